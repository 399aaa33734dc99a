// What one master carries: what it takes of memory, descriptors and CPU with more and more workers, and what a replacement costs.
// `npm run bench:scaling -- [--node /path/to/node] [--workers 1,8,32,64] [--json]`

import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openFiles } from '../test/helpers/process.ts'
import { cpuExact, pss } from './proc.ts'
import { machine, median, Report } from './report.ts'
import { start, type Started } from './servers.ts'
import { run, type Site } from './site.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    workers: { type: 'string', default: '1,8,32,64' },
    json: { type: 'boolean', default: false },
  },
})
/** What a boot leaves behind is done by then, ms. */
const REST_MS = 4_000
const WINDOW_MS = 10_000

const said = async (server: Started, sentence: RegExp): Promise<void> => {
  while (!sentence.test(server.log())) await sleep(20)
}

/** Of a core, percent, while nobody asks anything. */
async function idleShare(pids: readonly number[]): Promise<number[]> {
  const [before, began] = [pids.map(cpuExact), performance.now()]
  await sleep(WINDOW_MS)
  const ms = performance.now() - began
  return pids.map((pid, n) => ((cpuExact(pid) - before[n]!) / ms) * 100)
}

async function carry(site: Site, report: Report, count: number): Promise<void> {
  const flags = ['--log-format', 'text', '--stable-after', '0']
  const began = performance.now()
  const server = await start(site, 'ours', values.node, { workers: count, flags })
  const add = (what: string, seen: string): void =>
    report.add({ part: `${count} workers`, what, seen })
  report.begin(`${count} workers`)
  await said(server, /Server is ready/)
  add('all ready', `after ${((performance.now() - began) / 1000).toFixed(1)} s`)
  await sleep(REST_MS)
  const [master, ...workers] = await idleShare([server.master, ...server.workers()])
  const memory = median(server.workers().map(pss))
  add(
    'memory (PSS)',
    `the master ${pss(server.master).toFixed(0)} MB, a worker ${memory.toFixed(0)} MB`,
  )
  add("the master's descriptors", String(openFiles(server.master)))
  add('CPU, idle', `the master ${master!.toFixed(2)} %, a worker ${median(workers).toFixed(2)} %`)
  const before = cpuExact(server.master)
  await server.reload!()
  await said(server, /Reload finished/)
  const each = (cpuExact(server.master) - before) / count
  const boot = median(server.workers().map(cpuExact))
  add(
    'CPU for a replacement',
    `the master ${each.toFixed(0)} ms, the boot of a worker ${boot.toFixed(0)} ms`,
  )
}

await run(async (site) => {
  const report = new Report(values.json)
  for (const count of values.workers.split(',').map(Number))
    await site.part((part) => carry(part, report, count))
  report.end(machine(values.node))
  return 0
})
