// What the access log costs, and whether it has every line: throughput with it to that without, in alternating pairs; then answers
// against lines over reloads and rotations. `npm run bench:access -- [--node /path/to/node] [--rounds 8] [--seconds 2] [--format json]`.
// Needs wrk for the first.

import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { Load } from '../test/helpers/load.ts'
import { startServer, type Server } from '../test/helpers/server.ts'
import { tempDir } from '../test/helpers/temp.ts'
import { until } from '../test/helpers/until.ts'
import { cpuExact } from './proc.ts'
import { machine, median, Report } from './report.ts'
import { apps } from './servers.ts'
import { run, type Site } from './site.ts'
import { cli } from './variants.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    only: { type: 'string', multiple: true, default: ['throughput', 'lines'] },
    format: { type: 'string', default: 'json' },
    rounds: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
  },
})

const app = join(apps, 'hello.cjs')
const start = (t: Site, ...flags: string[]): Promise<Server> =>
  startServer(t, app, '--workers', '2', ...flags, { command: [values.node, cli] })

interface Run {
  readonly perSecond: number
  /** CPU time of all workers for one request, microseconds. */
  readonly cpu: number
}

const cpuOf = (server: Server): number => server.pids().reduce((sum, pid) => sum + cpuExact(pid), 0)

async function wrk(server: Server, seconds: string): Promise<Run> {
  const before = cpuOf(server)
  const args = ['-t1', '-c64', `-d${seconds}s`, `${server.url}/`]
  const { stdout } = await promisify(execFile)('wrk', args)
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1])
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    cpu: ((cpuOf(server) - before) * 1000) / requests,
  }
}

async function throughput(t: Site, report: Report): Promise<void> {
  const file = join(tempDir(t), 'access')
  const servers = {
    on: await start(t, '--access-log', file, '--access-logformat', values.format),
    off: await start(t),
  }
  const sides = ['on', 'off'] as const
  for (const side of sides) await wrk(servers[side], '2') // until V8 has compiled it
  const runs = { on: [] as Run[], off: [] as Run[] }
  for (let n = 0; n < Number(values.rounds); n++)
    for (const side of n % 2 ? sides : ([...sides].reverse() as (typeof sides)[number][]))
      runs[side].push(await wrk(servers[side], values.seconds))
  const ratio = (figure: keyof Run): number =>
    median(runs.on.map((one, n) => one[figure] / runs.off[n]![figure]))
  const list = (side: keyof typeof runs, figure: keyof Run, digits: number): string =>
    runs[side].map((one) => one[figure].toFixed(digits)).join(' ')
  const perSecond = ratio('perSecond')
  report.add({
    part: 'throughput',
    what: `requests a second with the access log (${values.format}) to those without, 2 workers, median of the pairs`,
    bound: 'at least 0.93',
    seen: `${perSecond.toFixed(3)}; with [${list('on', 'perSecond', 0)}], without [${list('off', 'perSecond', 0)}]`,
    isMet: perSecond >= 0.93,
    data: runs,
  })
  report.add({
    part: 'throughput',
    what: "the workers' CPU time for a request, with to without, median of the pairs",
    seen: `${ratio('cpu').toFixed(3)}; with ${list('on', 'cpu', 1)} us, without ${list('off', 'cpu', 1)} us`,
  })
}

const EVENTS = 20

async function lines(t: Site, report: Report): Promise<void> {
  const dir = tempDir(t)
  const file = join(dir, 'access')
  const server = await start(t, '--access-log', file, '--max-requests', '500')
  const load = new Load(server.url, { keepAlive: 8, newConnections: 8 })
  for (let n = 1; n <= EVENTS; n++) {
    server.signal('SIGHUP')
    renameSync(file, `${file}.${n}`)
    await until('the next file is there', () => readdirSync(dir).includes('access'))
    await server.logTimes(/^Reload finished/, n)
  }
  const { ok, ...bad } = await load.stop()
  server.signal('SIGTERM')
  await server.exit()
  const written = readdirSync(dir)
    .flatMap((name) => readFileSync(join(dir, name), 'utf8').split('\n'))
    .filter(Boolean)
  const whole = written.filter(isWhole).length
  const failed = Object.values(bad).reduce((sum, count) => sum + count, 0)
  report.add({
    part: 'lines',
    what: `lines for the answers of ${EVENTS} reloads and ${EVENTS} rotations under load, workers recycled`,
    bound: 'none lost, none torn',
    seen: `${ok} answers, ${whole} lines, ${written.length - whole} torn; ${failed} requests failed`,
    isMet: whole === ok && written.length === whole && failed === 0,
  })
}

function isWhole(line: string): boolean {
  try {
    return (JSON.parse(line) as { status?: unknown }).status === 200
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
}

const PARTS: Readonly<Record<string, (t: Site, report: Report) => Promise<void>>> = {
  throughput,
  lines,
}

await run(async (site) => {
  const report = new Report(values.json)
  for (const name of values.only) {
    report.begin(name)
    await site.part((t) => PARTS[name]!(t, report))
  }
  report.end(machine(values.node))
  return 0
})
