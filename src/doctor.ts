// `supervisor doctor`: what may go wrong where a server runs, each with its fix: a table of checks over facts that
// doctor-facts.ts has gathered. Pure; a leaf.

import type { ServerStatus } from './control-protocol.ts'
import type { Settings } from './settings.ts'

/** Times in seconds, sizes in bytes. */
export interface DoctorFacts {
  readonly settings: Settings
  readonly today: Date
  /** `v24.11.0` */
  readonly node: string
  /** As the workers see it. */
  readonly nodeEnv: string | undefined
  readonly uid: number | undefined
  /** The most there can be. */
  readonly workers: number
  /** `memory`: Infinity without a limit. */
  readonly granted: { readonly cpus: number; readonly memory: number }
  readonly machineMemory: number
  /** Of each worker; `isChosen`: by a flag of node, not by V8. */
  readonly heap: { readonly limit: number; readonly isChosen: boolean }
  /** That one process may have. */
  readonly openFiles: number | undefined
  readonly somaxconn: number | undefined
  /** Who stops us, and how long it waits by default before it kills. */
  readonly stopper:
    { readonly name: string; readonly seconds: number; readonly fix: string } | undefined
  /** The server is process 1, of a container. */
  readonly isFirst: boolean
  /** Files that are to be written and can't be: by setting, and why. */
  readonly unwritable: readonly {
    readonly setting: string
    readonly path: string
    readonly why: string
  }[]
  /** When that of --certfile expires, ms since 1970; NaN if it cannot be read, undefined if there is none. */
  readonly certificate: number | undefined
  /** Processes of this container that the kernel has killed for lack of memory. */
  readonly oomKills: number | undefined
  /** The server, if one runs. */
  readonly live: { readonly status: ServerStatus; readonly crashes: number } | undefined
}

export interface Finding {
  readonly check: string
  /** `wrong`: it does not work, or will not when it matters. */
  readonly level: 'wrong' | 'advice' | 'fine'
  readonly measured: string
  /** What comes of it, if it is not fine. */
  readonly why?: string
  /** A command, or a setting. */
  readonly fix?: string
}

type Result = Omit<Finding, 'check'> | undefined
type Check = (facts: DoctorFacts) => Result

const fine = (measured: string): Result => ({ level: 'fine', measured })
const advice = (measured: string, why: string, fix: string): Result => ({
  level: 'advice',
  measured,
  why,
  fix,
})
const wrong = (measured: string, why: string, fix: string): Result => ({
  level: 'wrong',
  measured,
  why,
  fix,
})

/** The last day of each line of Node, as its release plan had it in November 2026. */
export const NODE_ENDS: Readonly<Record<number, string>> = {
  20: '2026-04-30',
  21: '2024-06-01',
  22: '2027-04-30',
  23: '2025-06-01',
  24: '2028-04-30',
  25: '2026-06-01',
  26: '2029-04-30',
}
const DAY_MS = 86_400_000
const SOON_MS = 180 * DAY_MS
/** Whoever renews certificates does it a month before; then something has gone wrong. */
const RENEWAL_MS = 14 * DAY_MS
/** What a worker opens beside its connections: files, pipes, its descriptors for the master. */
const OTHER_FILES = 64
/** Below so many, an ordinary rush of clients is enough, if their number is not limited. */
const FEW_FILES = 4096
/** What nginx and AWS's load balancers keep an idle connection for, and a little more. */
const PROXY_SECONDS = 65
/** The share of the memory granted above which the kernel may soon kill somebody. */
const FULL = 0.9
/** Beside its heap a worker needs about so much: code, buffers, threads. */
const BESIDE_HEAP = 64 * 1024 ** 2

const amount = (bytes: number): string =>
  bytes < 1024 ** 3 ? `${Math.round(bytes / 1024 ** 2)} MB` : `${(bytes / 1024 ** 3).toFixed(1)} GB`
const plural = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`

const checks: Readonly<Record<string, Check>> = {
  node({ node, today }) {
    const line = Number(/^v(\d+)/.exec(node)?.[1])
    const end = NODE_ENDS[line]
    if (end === undefined) return fine(node)
    const left = Date.parse(end) - today.getTime()
    const fix = 'install the newest even version of Node, then upgrade: kill -USR2 <pid>'
    if (left < 0)
      return advice(`${node}, maintained until ${end}`, 'it gets no security fixes any more', fix)
    if (left < SOON_MS)
      return advice(`${node}, maintained until ${end}`, 'soon it gets no security fixes', fix)
    return fine(`${node}, maintained until ${end}`)
  },
  mode({ nodeEnv }) {
    if (nodeEnv === 'production') return fine('NODE_ENV=production')
    return advice(
      nodeEnv === undefined ? 'NODE_ENV is not set' : `NODE_ENV=${nodeEnv}`,
      'frameworks are slower, and show errors with their stacks to clients',
      '--env NODE_ENV=production',
    )
  },
  development({ settings, nodeEnv }) {
    if (!settings.reload || nodeEnv !== 'production') return undefined
    return advice(
      '--reload with NODE_ENV=production',
      'a deploy that writes file by file is loaded half-written',
      '--no-reload, and "supervisor reload --wait" at the end of a deploy',
    )
  },
  rights({ uid, settings: { user } }) {
    if (uid === undefined) return undefined
    if (uid !== 0) return fine(`user ${uid}`)
    if (user) return fine(`workers run as ${user}`)
    return advice(
      'root, without --user',
      'who breaks into the application is root',
      '--user www-data',
    )
  },
  workers({ workers, granted }) {
    const cpus = Math.ceil(granted.cpus)
    const measured = `${plural(workers, 'worker')}, ${plural(cpus, 'CPU')} granted`
    if (workers === 1 && cpus > 1)
      return advice(
        measured,
        'when its event loop is blocked nobody serves, and other CPUs are idle',
        '--workers auto',
      )
    if (workers > 2 * cpus + 1)
      return advice(measured, 'they take memory and wait for each other', `--workers ${cpus}`)
    return fine(measured)
  },
  memory: checkMemory,
  used({ live, granted: { memory } }) {
    if (!live || memory === Infinity) return undefined
    const bytes = live.status.workers.reduce((sum, { rss }) => sum + (rss ?? 0), 0)
    const measured = `the workers use ${amount(bytes)} of ${amount(memory)} granted`
    if (bytes < FULL * memory) return fine(measured)
    return wrong(
      measured,
      'the kernel kills a process when it is full',
      '--workers with fewer, or more memory for the container',
    )
  },
  killed({ oomKills }) {
    if (!oomKills) return undefined
    return advice(
      `${plural(oomKills, 'process', 'processes')} killed for lack of memory`,
      'since this container or service was made, the kernel had to',
      '"supervisor events" tells if they were workers; --max-memory 80% replaces them before',
    )
  },
  files({ openFiles, settings: { workerConnections } }) {
    if (openFiles === undefined) return undefined
    const measured = `${openFiles} open files for each process (ulimit -n)`
    const fix = (n: number): string =>
      `ulimit -n ${n}; systemd: LimitNOFILE=${n}; docker run --ulimit nofile=${n}`
    if (workerConnections + OTHER_FILES > openFiles)
      return wrong(
        `${measured}, ${workerConnections} connections for each worker`,
        'a worker cannot accept so many, nor open files then',
        fix(2 ** Math.ceil(Math.log2(2 * workerConnections))),
      )
    if (workerConnections === 0 && openFiles < FEW_FILES)
      return advice(
        measured,
        'a worker with so many connections cannot open files or call other services',
        fix(65_536),
      )
    return fine(measured)
  },
  backlog({ somaxconn, settings: { backlog } }) {
    if (somaxconn === undefined) return undefined
    const measured = `--backlog ${backlog}, net.core.somaxconn ${somaxconn}`
    if (backlog <= somaxconn) return fine(measured)
    return advice(
      measured,
      'the kernel keeps no more than its own limit waiting; others are refused or try again',
      `sysctl -w net.core.somaxconn=${backlog}`,
    )
  },
  keepAlive({ settings: { keepAlive } }) {
    const measured = `--keep-alive ${keepAlive}`
    if (keepAlive === 0)
      return advice(
        `${measured}: off`,
        'every request needs a connection of its own',
        '--keep-alive 75',
      )
    if (keepAlive < PROXY_SECONDS)
      return advice(
        measured,
        'nginx and AWS keep idle connections for 60 s: they send a request to one that is just being closed, and answer 502',
        '--keep-alive 75',
      )
    return fine(`${measured} s, nginx and AWS 60 (Google's load balancers want 620)`)
  },
  stop({ stopper, settings: { preStopDelay, gracefulTimeout } }) {
    const needed = preStopDelay + gracefulTimeout
    const measured = `a stop takes up to ${needed} s`
    if (!stopper) return fine(measured)
    const both = `${measured}, ${stopper.name} waits ${stopper.seconds} s unless told otherwise`
    if (needed < stopper.seconds) return fine(both)
    return advice(
      both,
      'it kills everything then, and requests in flight are lost',
      `${stopper.fix.replace(/\bN/g, String(Math.ceil(needed) + 5))}, or --graceful-timeout ${Math.max(1, stopper.seconds - preStopDelay - 2)}`,
    )
  },
  init({ isFirst }) {
    if (!isFirst) return undefined
    return advice(
      'the server is process 1',
      'processes that the application leaves behind stay as zombies when they end',
      'docker run --init; compose: init: true',
    )
  },
  timeout({ settings: { timeout } }) {
    if (timeout > 0) return fine(`--timeout ${timeout}`)
    return advice(
      '--timeout 0: off',
      'a request that hangs is never answered, and keeps its worker from being replaced',
      '--timeout 30',
    )
  },
  writing({ unwritable }) {
    const [first, ...others] = unwritable
    if (!first) return fine('log file, access log, pidfile')
    const more =
      others.length > 0 ? ` (and ${others.map(({ setting }) => setting).join(', ')})` : ''
    return wrong(
      `${first.setting} ${first.path}: ${first.why}${more}`,
      'it cannot be written',
      `mkdir -p and chown its directory, or another ${first.setting}`,
    )
  },
  certificate({ certificate, today, settings: { certfile } }) {
    if (certificate === undefined) return undefined
    const name = `--certfile ${certfile}`
    const fix = 'renew it (certbot renew): the server takes the new file without a restart'
    if (Number.isNaN(certificate))
      return wrong(name, 'it cannot be read here', 'supervisor check says why')
    const left = certificate - today.getTime()
    const until = `${name}, valid until ${new Date(certificate).toISOString().slice(0, 10)}`
    if (left < 0) return wrong(until, 'clients refuse it', fix)
    return left < RENEWAL_MS ? advice(until, 'soon clients refuse it', fix) : fine(until)
  },
  control({ settings: { controlSocket } }) {
    if (controlSocket !== 'off') return fine(`--control-socket ${controlSocket}`)
    return advice(
      '--control-socket off',
      'no command reaches the server, only signals do',
      '--control-socket auto',
    )
  },
  reload({ live }) {
    if (live?.status.reload.state !== 'failed') return undefined
    return wrong(
      `the last reload failed: ${live.status.reload.error ?? ''}`,
      'the old code and settings are still served',
      'mend it, then "supervisor reload --wait"',
    )
  },
  crashes({ live }) {
    if (!live) return undefined
    const measured = `${plural(live.crashes, 'crash', 'crashes')} of workers since the start`
    if (live.crashes === 0) return fine(measured)
    return advice(measured, 'each has cut its requests', '"supervisor events" tells why')
  },
  serving({ live }) {
    if (!live) return undefined
    const { ready, target, workers } = live.status
    const blocked = workers.filter(({ state }) => state === 'blocked')
    const measured = `${ready - blocked.length} of ${target} workers serve`
    if (blocked.length > 0)
      return wrong(
        `${measured}, ${plural(blocked.length, 'event loop')} blocked`,
        'requests to them wait until --timeout ends it',
        '"supervisor stack" tells what they are at',
      )
    if (ready < target)
      return advice(measured, 'others boot, or wait after a crash', '"supervisor status"')
    return fine(measured)
  },
}

/** A limit that was chosen and cannot hold is a mistake; V8's own guess is for one process, not for several. */
function checkMemory({ settings, workers, granted, machineMemory, heap }: DoctorFacts): Result {
  const memory = Math.min(granted.memory, machineMemory)
  const each = heap.limit + BESIDE_HEAP
  const whose = granted.memory < machineMemory ? 'granted' : 'in the machine'
  const measured = `${plural(workers, 'worker')} of ${amount(heap.limit)} heap at most, ${amount(memory)} ${whose}`
  if (workers * each <= memory) return fine(measured)
  if (settings.maxMemory !== 0)
    return fine(`${measured}; --max-memory ${String(settings.maxMemory)}`)
  const megabytes = Math.max(64, Math.floor(memory / workers / 1024 ** 2) - BESIDE_HEAP / 1024 ** 2)
  const fix = `--max-memory 80%, or --node-args=--max-old-space-size=${megabytes}`
  const why =
    'together they may take more: then the kernel kills one, in the middle of its requests'
  return heap.isChosen ? wrong(measured, why, fix) : advice(measured, why, fix)
}

/** All that can be said: what is wrong first, what is fine last. */
export function examine(facts: DoctorFacts): Finding[] {
  const order = ['wrong', 'advice', 'fine']
  return Object.entries(checks)
    .flatMap(([check, run]) => {
      const result = run(facts)
      return result ? [{ check, ...result }] : []
    })
    .sort((one, other) => order.indexOf(one.level) - order.indexOf(other.level))
}
