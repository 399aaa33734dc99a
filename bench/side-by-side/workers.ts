// What grows with the workers: requests a second, the boot, memory.

import { pss } from '../proc.ts'
import type { Dimension, Row } from './dimension.ts'
import { allAnswer } from './instances.ts'
import { load } from './load.ts'

const COUNTS = { quick: [4], full: [1, 2, 4, 8] }

export const workers: Dimension = {
  name: 'workers',
  rounds: { quick: 1, full: 2 },
  needs: 'workers',
  rows: ({ size }) =>
    COUNTS[size].flatMap((n): Row[] => [
      { id: `w${n}`, what: `requests/s, workers: ${n}`, unit: '/s', better: 'more' },
      { id: `w${n}-boot`, what: `boot, workers: ${n}`, unit: 'ms', better: 'less' },
      { id: `w${n}-memory`, what: `memory after it, workers: ${n}`, unit: 'MB', better: 'less' },
    ]),
  async measure(subject, { size, seconds }) {
    const figures: Record<string, number> = {}
    for (const n of COUNTS[size]) {
      const server = await subject.start({ workers: n })
      figures[`w${n}-boot`] = server.bootMs
      await allAnswer(server.port, n)
      figures[`w${n}`] = (await load(server.port, { connections: 64, seconds })).perSecond
      figures[`w${n}-memory`] = server.all().reduce((sum, pid) => sum + pss(pid), 0)
      await server.stop()
    }
    return figures
  },
}
