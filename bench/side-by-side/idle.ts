// What a server takes while nobody asks it anything: memory and CPU. All at once: they sleep.

import { setTimeout as sleep } from 'node:timers/promises'
import { cpuExact, pss } from '../proc.ts'
import type { Dimension } from './dimension.ts'

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
const WINDOW_MS = { quick: 4_000, full: 20_000 }

export const idle: Dimension = {
  name: 'idle',
  rounds: { quick: 1, full: 3 },
  atOnce: true,
  rows: () => [
    { id: 'memory', what: 'memory idle (PSS), all of it', unit: 'MB', better: 'less' },
    { id: 'memory-master', what: 'memory idle, the master', unit: 'MB', better: 'less' },
    { id: 'memory-worker', what: 'memory idle, a worker', unit: 'MB', better: 'less' },
    { id: 'cpu-idle', what: 'CPU idle, share of a core', unit: '%', better: 'less' },
  ],
  async measure(subject, { size }) {
    const server = await subject.server()
    await sleep(2_000) // what a boot leaves behind is collected
    const all = server.all()
    const cpu = (): number => sum(all.map(cpuExact))
    const [before, began] = [cpu(), performance.now()]
    await sleep(WINDOW_MS[size])
    const share = ((cpu() - before) / (performance.now() - began)) * 100
    const workers = server.workers()
    const hasMaster = !workers.includes(server.master)
    return {
      memory: sum(all.map(pss)),
      'cpu-idle': share,
      ...(hasMaster && {
        'memory-master': pss(server.master),
        'memory-worker': sum(workers.map(pss)) / workers.length,
      }),
    }
  },
}
