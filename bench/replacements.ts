// What hundreds of replaced workers cost clients, and leave behind in the master: recycling by requests, age and memory
// under load. `npm run bench:replacements -- [--node /path/to/node] [--replacements 500] [--only requests]`

import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { Load, type LoadOptions } from '../test/helpers/load.ts'
import { openFiles, zombieChildrenOf } from '../test/helpers/process.ts'
import type { LogLine } from '../test/helpers/server.ts'
import { closeWaits, extremes, memoryOf } from '../test/helpers/workers.ts'
import { Report, machine } from './report.ts'
import { start } from './servers.ts'
import { run, type Site } from './site.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    replacements: { type: 'string', default: '500' },
    clients: { type: 'string', default: '4' },
    only: { type: 'string', multiple: true, default: ['requests', 'lifetime', 'memory'] },
    json: { type: 'boolean', default: false },
  },
})
const replacements = Number(values.replacements)
const clients = Number(values.clients)
const WORKERS = 2
/** What is there before these is not counted: the first ones make the master grow to its size. */
const WARM_UP = 10
const MB = 1024 ** 2

interface Part {
  readonly count: number
  readonly flags: readonly string[]
}
const few = Math.min(30, replacements)
const parts: Record<string, Part> = {
  requests: {
    count: replacements,
    flags: ['--max-requests', '50', '--max-requests-jitter', '20'],
  },
  lifetime: { count: few, flags: ['--max-lifetime', '0.5', '--max-lifetime-jitter', '1'] },
  memory: { count: few, flags: ['--max-memory', '150mb', '--stable-after', '0', '-e', 'LEAK=256'] },
}

const only = { keepAlive: clients, newConnections: 0 }
const classes: Record<string, LoadOptions> = {
  'keep-alive, think time 0': { ...only, pause: 0 },
  'keep-alive, think time 2 ms': { ...only, pause: 2 },
  'keep-alive, think time 100 ms': { ...only, pause: 100 },
  'new connections': { keepAlive: 0, newConnections: clients, pause: 2 },
  'requests of 800 ms': { ...only, path: '/slow', pause: 2 },
  'POSTs of 16 kB': { ...only, body: 'x'.repeat(16_384), pause: 2 },
}

interface Master {
  readonly descriptors: number
  readonly closeWaits: number
  readonly zombies: number
  /** Bytes. */
  readonly memory: number
}
const look = (pid: number): Master => ({
  descriptors: openFiles(pid),
  closeWaits: closeWaits(pid),
  zombies: zombieChildrenOf(pid).length,
  memory: memoryOf(pid),
})

/** A worker that boots or leaves has descriptors too, and by age they are replaced without any load: the fewest of three seconds. */
async function atRest(pid: number): Promise<Master> {
  const looks: Master[] = []
  for (const end = performance.now() + 3_000; performance.now() < end; await sleep(50))
    looks.push(look(pid))
  const descriptors = Math.min(...looks.map((one) => one.descriptors))
  return { ...looks.at(-1)!, descriptors }
}

const parse = (log: string): LogLine[] =>
  log
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as LogLine)

const replacedIn = (lines: readonly LogLine[]): number =>
  lines.filter(({ event }) => event === 'workerExited').length

async function measure(
  t: Site,
  name: string,
  { count, flags }: Part,
  report: Report,
): Promise<void> {
  const options = { app: 'replaced', flags: ['--log-format', 'json', ...flags] }
  const server = await start(t, 'ours', values.node, options)
  const pid = server.child.pid!
  const url = `http://127.0.0.1:${server.port}`
  const loads = Object.entries(classes).map(([who, one]) => ({ who, load: new Load(url, one) }))
  const stop = async (): Promise<void> => void (await Promise.all(loads.map((l) => l.load.stop())))
  t.onTestFinished(stop)
  const began = performance.now()
  const seen: Master[] = []
  let lines: LogLine[] = []
  while (replacedIn(lines) < count) {
    await sleep(250)
    lines = parse(server.log())
    if (replacedIn(lines) >= WARM_UP + (seen.length * (count - WARM_UP)) / 5) seen.push(look(pid))
  }
  const seconds = (performance.now() - began) / 1000
  await stop()
  await sleep(1_000) // what was moved or sent last has arrived
  seen.push(await atRest(pid))
  lines = parse(server.log())
  clientsIn(report, name, loads)
  workersIn(report, name, lines, seconds)
  masterIn(report, name, seen)
}

function clientsIn(report: Report, part: string, loads: { who: string; load: Load }[]): void {
  for (const { who, load } of loads) {
    const { ok } = load.counts
    const failed = load.failures.length
    const list = load.failures.slice(0, 3).map(({ outcome, message }) => `${outcome}: ${message}`)
    const seen = `${failed} failed, ${ok} answered ${list.join('; ')}`.trim()
    report.add({ part, what: who, bound: '0 failed', seen, isMet: failed === 0, data: load.counts })
  }
}

function workersIn(report: Report, part: string, lines: LogLine[], seconds: number): void {
  const { fewestReady, mostAlive } = extremes(lines)
  report.add({
    part,
    what: `${replacedIn(lines)} workers replaced in ${seconds.toFixed(0)} s`,
    bound: `never fewer than ${WORKERS} ready`,
    seen: `at least ${fewestReady} ready, at most ${mostAlive} alive`,
    isMet: fewestReady >= WORKERS,
  })
  const bad = lines.filter(({ level }) => level === 'error' || level === 'critical')
  const seen = `${bad.length} ${bad.slice(0, 3).map(({ msg }) => msg)}`.trim()
  report.add({ part, what: 'errors in the log', bound: '0', seen, isMet: bad.length === 0 })
}

/** How much more memory the master may have at the end than after the warm-up, bytes: a leak of 20 kB for each worker would show. */
const FLAT = 10 * MB

function masterIn(report: Report, part: string, seen: readonly Master[]): void {
  const [first, last] = [seen[0]!, seen.at(-1)!]
  const row = (what: string, bound: string, isMet: boolean, text: (m: Master) => string): void =>
    report.add({ part, what: `the master's ${what}`, bound, isMet, seen: seen.map(text).join(' ') })
  const { descriptors } = first
  row('descriptors', 'flat', last.descriptors <= descriptors, (m) => String(m.descriptors))
  row('sockets in CLOSE-WAIT', '0', last.closeWaits === 0, (m) => String(m.closeWaits))
  row('zombies', '0', last.zombies === 0, (m) => String(m.zombies))
  const isFlat = last.memory - first.memory < FLAT
  row('memory, MB', 'flat', isFlat, (m) => (m.memory / MB).toFixed(1))
}

await run(async (site) => {
  const facts = machine(values.node)
  const report = new Report(values.json)
  if (!values.json) console.log(`Node ${facts['node']}, ${WORKERS} workers, load ${facts['load']}`)
  for (const name of values.only) {
    const part = parts[name]
    if (!part) throw new Error(`--only is one of ${Object.keys(parts).join(', ')}`)
    report.begin(name)
    await site.part((t) => measure(t, name, part, report))
  }
  report.end(facts)
  return 0
})
