// What tracking and the watchdog cost: throughput, heap, memory, idle CPU. Each against the same build without it, in pairs.

import { execFile } from 'node:child_process'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Server } from '../../test/helpers/server.ts'
import { until } from '../../test/helpers/until.ts'
import { cpuExact, cpuTicks, pss } from '../proc.ts'
import { median, quantile } from '../report.ts'
import { apps } from '../servers.ts'
import type { Site } from '../site.ts'
import { cli, untracked, unwatched } from '../variants.ts'
import { ours, type Bench } from './bench.ts'

/** With and without what is measured. */
type Pair<T> = { readonly on: T; readonly off: T }
type Side = keyof Pair<unknown>

const app = (name: string): string => join(apps, `${name}.cjs`)

async function pair(
  t: Site,
  node: string,
  file: string,
  flags: string[],
  off: string,
): Promise<Pair<Server>> {
  const one = (from: string): Promise<Server> => ours(t, node, file, flags, { from })
  return { on: await one(cli), off: await one(off) }
}

/** Alternating, so that a slow minute of the machine hits both. */
async function alternate<T>(
  rounds: number,
  measure: (side: Side) => Promise<T>,
): Promise<Pair<T[]>> {
  const all: Pair<T[]> = { on: [], off: [] }
  for (let n = 0; n < rounds; n++)
    for (const side of n % 2 ? (['off', 'on'] as const) : (['on', 'off'] as const))
      all[side].push(await measure(side))
  return all
}

const list = (numbers: readonly number[], digits: number): string =>
  numbers.map((n) => n.toFixed(digits)).join(' ')

/** `{on: 10, off: 9} ... [list]` */
const both = ({ on, off }: Pair<number[]>, unit: string, digits = 0): string =>
  `with ${median(on).toFixed(digits)} ${unit} [${list(on, digits)}], without ${median(off).toFixed(digits)} ${unit} [${list(off, digits)}]`

interface Run {
  readonly perSecond: number
  /** CPU time of the worker for one request, microseconds. */
  readonly cpu: number
}

async function wrk(server: Server, seconds: number): Promise<Run> {
  const pid = server.pids()[0]!
  const before = cpuExact(pid)
  const args = ['-t1', '-c64', `-d${seconds}s`, `${server.url}/`]
  const { stdout } = await promisify(execFile)('wrk', args)
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1])
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    cpu: ((cpuExact(pid) - before) * 1000) / requests,
  }
}

export async function throughput({ node, site, report, rounds, seconds }: Bench): Promise<void> {
  await site.part(async (t) => {
    const servers = await pair(t, node, app('hello'), [], untracked(t))
    for (const side of ['on', 'off'] as const) await wrk(servers[side], 2) // until V8 has compiled it
    const runs = await alternate(rounds * 8, (side) => wrk(servers[side], seconds))
    const perSecond = figures(runs, 'perSecond')
    const cpu = figures(runs, 'cpu')
    const bound = servers.on.lines.some(({ msg }) => /Node v20\./.test(msg)) ? 0.93 : 0.97
    const ratio = medianOfPairs(perSecond)
    report.add({
      part: 'throughput',
      what: 'requests a second with tracking to those without (wrk -t1 -c64, 1 worker), median of the pairs',
      bound: `at least ${bound}`,
      seen: `${ratio.toFixed(3)}; of the medians ${(median(perSecond.on) / median(perSecond.off)).toFixed(3)}; ${both(perSecond, '/s')}`,
      isMet: ratio >= bound,
      data: runs,
    })
    report.add({
      part: 'throughput',
      what: "the worker's CPU time for a request, with to without; the least disturbed runs (10th percentile)",
      seen: `${(quantile(cpu.on, 0.1) / quantile(cpu.off, 0.1)).toFixed(3)}, median of the pairs ${medianOfPairs(cpu).toFixed(3)}; ${both(cpu, 'us', 1)}`,
      data: cpu,
    })
  })
}

const medianOfPairs = ({ on, off }: Pair<number[]>): number =>
  median(on.map((one, n) => one / off[n]!))

const figures = (runs: Pair<Run[]>, name: keyof Run): Pair<number[]> => ({
  on: runs.on.map((run) => run[name]),
  off: runs.off.map((run) => run[name]),
})

const IN_FLIGHT = 10_000

export async function heap({ node, site, report }: Bench): Promise<void> {
  const off = untracked(site)
  const added = await alternate(2, (side) =>
    site.part((t) => heapOfRequests(t, node, side === 'on' ? cli : off)),
  )
  const difference = (median(added.on) - median(added.off)) / 1e6
  report.add({
    part: 'heap',
    what: `heap that tracking adds to ${IN_FLIGHT} requests in flight`,
    bound: 'less than 1 MB',
    seen: `${difference.toFixed(2)} MB; ${both({ on: added.on.map(toMb), off: added.off.map(toMb) }, 'MB', 2)}`,
    isMet: difference < 1,
    data: added,
  })
}

const toMb = (bytes: number): number => bytes / 1e6

/** Bytes of heap after a collection, with them and without. */
async function heapOfRequests(t: Site, node: string, from: string): Promise<number> {
  const flags = ['--node-args=--expose-gc', '--timeout', '600']
  const server = await ours(t, node, app('heap'), flags, { from })
  const number = async (path: string): Promise<number> => Number((await server.get(path)).text)
  await number('/heap')
  const before = await number('/heap')
  const sockets: net.Socket[] = []
  t.onTestFinished(() => sockets.forEach((socket) => socket.destroy()))
  const { hostname, port } = new URL(server.url)
  for (let n = 0; n < IN_FLIGHT; n++) {
    const socket = net.connect(Number(port), hostname)
    socket.on('error', () => undefined) // ECONNRESET when the server ends: that was the end of the part
    socket.write('GET /never HTTP/1.1\r\nHost: a\r\n\r\n')
    sockets.push(socket)
    if (n % 200 === 199) await until('they arrived', async () => (await number('/count')) === n + 1)
  }
  return (await number('/heap')) - before
}

const IDLE_SECONDS = 20

export async function watchdog({ node, site, report, rounds }: Bench): Promise<void> {
  const off = unwatched(site)
  const memory = await alternate(rounds, (side) =>
    site.part(async (t) => {
      const server = await ours(t, node, app('hello'), [], { from: side === 'on' ? cli : off })
      await sleep(2_500) // idle: what a boot leaves behind is collected
      return pss(server.pids()[0]!)
    }),
  )
  const added = median(memory.on) - median(memory.off)
  report.add({
    part: 'watchdog',
    what: "memory of the watchdog's thread (PSS of a worker with and without)",
    bound: 'under 12 MB',
    seen: `${added.toFixed(1)} MB; ${both(memory, 'MB', 1)}`,
    isMet: added < 12,
    data: memory,
  })
  await idleCpu({ node, site, report, rounds }, off)
}

async function idleCpu(
  { node, site, report, rounds }: Pick<Bench, 'node' | 'site' | 'report' | 'rounds'>,
  off: string,
): Promise<void> {
  await site.part(async (t) => {
    const servers = await pair(t, node, app('hello'), [], off)
    await sleep(3_000)
    const shares = { on: [] as Idle[], off: [] as Idle[] }
    for (let n = 0; n < rounds; n++) {
      const [on, without] = await Promise.all([idle(servers.on), idle(servers.off)])
      shares.on.push(on)
      shares.off.push(without)
    }
    const of = (name: keyof Idle): Pair<number[]> => ({
      on: shares.on.map((one) => one[name]),
      off: shares.off.map((one) => one[name]),
    })
    const worker = of('worker')
    const added = median(worker.on) - median(worker.off)
    report.add({
      part: 'watchdog',
      what: `CPU of the watchdog's thread in an idle worker, share of a core over ${IDLE_SECONDS} s`,
      bound: 'under 0.2 %',
      seen: `${added.toFixed(3)} %; ${both(worker, '%', 3)}; in ticks of 10 ms: ${both(of('ticks'), '%', 2)}`,
      isMet: added < 0.2,
      data: shares,
    })
    report.add({
      part: 'watchdog',
      what: 'CPU of the master of one idle worker',
      seen: both(of('master'), '%', 3),
    })
  })
}

/** Percent of one core. */
interface Idle {
  readonly worker: number
  readonly ticks: number
  readonly master: number
}

async function idle(server: Server): Promise<Idle> {
  const worker = server.pids()[0]!
  const look = (): Idle => ({
    worker: cpuExact(worker),
    ticks: cpuTicks(worker),
    master: cpuExact(server.pid),
  })
  const [before, began] = [look(), performance.now()]
  await sleep(IDLE_SECONDS * 1000)
  const [after, ms] = [look(), performance.now() - began]
  const share = (name: keyof Idle): number => ((after[name] - before[name]) / ms) * 100
  return { worker: share('worker'), ticks: share('ticks'), master: share('master') }
}
