// Every message on the wire between master and worker, and what a worker is told at its birth. A leaf.
// All of them carry a `cmd` that starts with NODE_: Node then emits `internalMessage` instead of `message`,
// so an application's own process.on('message') never sees them.

import type { ServeAddress } from './address.ts'
import type { WireMetric } from './app-metric.ts'
import type { ErrorCode } from './errors.ts'
import type { HookName } from './hooks.ts'
import type { Inspected } from './inspection.ts'
import type { Settings } from './settings.ts'
import type { Thrown } from './hook-runner.ts'
import type { Served } from './statistics.ts'

export const CMD = 'NODE_NODICORN'

/** The environment variable that carries a WorkerInit; removed before the application runs. */
export const INIT_VARIABLE = 'SUPERVISOR_WORKER'
export const SLOT_VARIABLE = 'SUPERVISOR_WORKER_SLOT'

/** The settings a worker acts on. */
export type WorkerSettings = Pick<
  Settings,
  | 'timeout'
  | 'stallTimeout'
  | 'blocked'
  | 'timeoutCeiling'
  | 'requestContext'
  | 'abortFetch'
  | 'maxOrphans'
  | 'slowRatio'
  | 'timeoutHeader'
  | 'minUploadRate'
  | 'routes'
  | 'gracefulTimeout'
  | 'drainIdle'
  | 'drainUpgraded'
  | 'handover'
  | 'rebalance'
  | 'keepAlive'
  | 'headersTimeout'
  | 'backlog'
  | 'workerConnections'
  | 'maxRequests'
  | 'maxRequestsJitter'
  | 'crash'
  | 'readyCheck'
  | 'waitReady'
  | 'limitRequestFields'
  | 'limitRequestLine'
  | 'maxBody'
  | 'accessLog'
  | 'forwardedAllowIps'
  | 'proxyProtocol'
  | 'proxyAllowFrom'
  | 'user'
  | 'group'
>

export interface WorkerInit {
  /** `standby`: it boots, and serves from its promotion on. */
  readonly mode: 'serve' | 'standby' | 'check'
  readonly slot: number
  readonly title: string
  /** Absolute path of the application's file. */
  readonly file: string
  readonly exportName?: string
  /** Where an exporting application is to be served. */
  readonly addresses: readonly ServeAddress[]
  /** Somebody said `--bind`: an application that listens elsewhere by itself is worth a warning. */
  readonly bindIsExplicit: boolean
  readonly sockets: 'owned' | 'cluster'
  readonly settings: WorkerSettings
  /** An exported application is served over TLS; the certificate comes by the channel. */
  readonly tls?: TlsInit
  /** Names of settings somebody set on purpose: they win over what the application set in its code. */
  readonly explicit: readonly string[]
  /** `json`, or text with atoms. */
  readonly accessLogFormat: string
  /** The settings file has hooks that the worker calls, or a preload() for the throw-away process. */
  readonly hooks?: WorkerHooksInit
  /** What preload() returned is to be read from PRELOAD_PIPE. */
  readonly preloaded?: true
  /** V8's: the throw-away process is to find a directory for it, the workers use it. */
  readonly compileCache?: 'find' | { readonly directory: string }
  /** It is to say which files the application loads. */
  readonly reportsModules: boolean
}

export interface TlsInit {
  readonly http2: boolean
  readonly certReqs: Settings['certReqs']
  readonly ciphers: string
  readonly minVersion: Settings['tlsMinVersion']
}

/** What TLS needs of files, which only the master can read. Never in the environment, which others may see. */
export interface Credentials {
  /** PEM. */
  readonly cert: string
  readonly key: string
  readonly ca?: string
  /** 48 bytes in base64, the same for all workers: a client may resume its session with any of them. */
  readonly ticketKeys: string
}

export interface WorkerHooksInit {
  /** Absolute path of the settings file. */
  readonly file: string
  /** As people know the file. */
  readonly source: string
  readonly names: readonly HookName[]
  /** This is the throw-away process, and is to run preload(). */
  readonly preload?: true
}

/** What `net` asks for when a worker listens, plus `index`: the how-manieth such listener of this worker it is. */
export interface ListenQuery {
  readonly address: string | null
  readonly port: number | null
  readonly addressType: number | null
  readonly fd: number | null
  readonly flags: number
  readonly index: number
}

export interface ListeningAddress {
  readonly scheme: 'http' | 'https' | 'tcp'
  /** `127.0.0.1`, `::1` or the path of a unix socket. */
  readonly host: string
  /** -1 for a unix socket. */
  readonly port: number
}

export type DrainMode = 'graceful' | 'quick'

export interface DrainOrder {
  readonly mode: DrainMode
  /** How long an idle keep-alive connection is given to speak once more before it is closed. */
  readonly idleSeconds: number
  /** How long upgraded connections may stay open. */
  readonly upgradedSeconds: number
  /** Others stay, who may take its connections. */
  readonly handover: boolean
}

/** Which request a message is about. */
export interface Named {
  readonly method: string
  /** Truncated at 2,048 characters. */
  readonly url: string
  readonly id: string
  /** The pattern of `routes` that it matched. */
  readonly route?: string
}

/** An error that nobody caught. */
export interface UncaughtFacts {
  /** Its first line: `TypeError: x is not a function`. */
  readonly error: string
  readonly stack: readonly string[]
  /** What became of its request's response: '500' or 'cut'; 'none' if it came out of no request, or out of one that was over. */
  readonly outcome: '500' | 'cut' | 'none'
  readonly request?: Named
}

/** The file descriptor on which a worker's watchdog and the master write to each other: JSON, a line a message. */
export const WATCHDOG_PIPE = 4

/** A request as the scoreboard knows it; age in seconds. */
export interface RequestFacts {
  readonly method: string
  readonly url: string
  /** Of the request that was executing. */
  readonly id?: string
  readonly age: number
  /** From its start to its deadline, s; missing without one. */
  readonly timeout?: number
  /** What its client got when the worker was killed or its code stopped, 'complete' being the response of its own; missing if it goes on. */
  readonly outcome?: '504' | '503' | 'reset' | 'idle' | 'complete'
}

/** What a worker is doing, once a second. Times in seconds. */
export interface Digest {
  readonly type: 'digest'
  /** Since the event loop last turned. */
  readonly stale: number
  /** Of the event loop, from 0 to 1, when it last turned. */
  readonly utilization: number
  readonly inFlight: number
  readonly connections: number
  readonly timeouts: number
  readonly orphans: number
  /** Connections the scoreboard had no slot for, so far. */
  readonly untracked: number
  /** The longest that the event loop kept its timers waiting in the last second, s. */
  readonly loopDelay: number
  /** Of V8, bytes. */
  readonly heap: { readonly used: number; readonly limit: number }
  /** Missing if it is what it was. */
  readonly served?: Served
  /** The oldest requests in flight, at most 20. */
  readonly oldest: readonly RequestFacts[]
}

/** Why a worker's watchdog ended it; its last message. */
export interface PostMortem {
  readonly type: 'post-mortem'
  readonly reason: 'timeout' | 'stall'
  /** How long the event loop had stood still. */
  readonly seconds: number
  readonly culprit?: RequestFacts
  /** True: the culprit's code was on the stack; false: it is merely the one that was late. */
  readonly certain: boolean
  /** Null: blocked in native code, where there is no JavaScript stack to be had. */
  readonly stack: readonly string[] | null
  readonly neighbours: number
  readonly listed: readonly RequestFacts[]
  /** Bytes. */
  readonly rss: number
}

/** The code of the culprit was stopped; the worker lives, and its other requests go on. */
export interface Interruption extends Omit<PostMortem, 'type' | 'culprit'> {
  readonly type: 'interrupted'
  readonly culprit: RequestFacts
}

/** The last word of a worker that ends by itself: what it has served. */
export interface LastCount {
  readonly type: 'served'
  readonly served: Served
}

export type FromWatchdog = LastCount | Digest | PostMortem | Interruption | Inspected

/**
 * Handing over, worker to master to another worker. `gave` and `sent` follow the handle on the same wire: without the
 * handle before them, it was lost on the way (EMFILE).
 */
export interface Connection {
  readonly seq: number
  /** Which of a worker's servers it belongs to. */
  readonly key: string
  /** It has served requests, and waits for the next one; else it never sent a byte. */
  readonly served: boolean
}

export type ToWorker =
  | { type: 'socket'; seq: number; errno: number }
  | ({ type: 'drain' } & DrainOrder)
  /** A standby becomes a worker. */
  | { type: 'promote'; slot: number; title: string }
  | ({ type: 'take' } & Connection)
  | { type: 'sent'; seq: number }
  | { type: 'given'; seq: number; taken: boolean }
  | { type: 'share'; count: number }
  /** The files of its logs were moved away: it is to open them anew. */
  | { type: 'reopen' }
  /** Tell the application's metrics. */
  | { type: 'metrics' }
  /** At its birth, and whenever there are new ones. */
  | ({ type: 'credentials' } & Credentials)

export type ToMaster =
  | { type: 'listen'; seq: number; query: ListenQuery }
  | { type: 'listening'; address: ListeningAddress }
  | { type: 'ready' }
  /** Booted, it waits to be promoted. */
  | { type: 'standby' }
  /** Why it is not ready yet although it listens. */
  | { type: 'waiting'; text: string }
  | { type: 'unlisten'; query: ListenQuery }
  /** `compileCache`: the directory that has it now. */
  | { type: 'loaded'; compileCache?: string }
  | { type: 'failed'; code: ErrorCode; message: string }
  | { type: 'retire'; reason: 'signal' }
  | { type: 'recycle'; reason: 'max-requests'; requests: number }
  | { type: 'recycle'; reason: 'orphans'; handlers: number }
  | { type: 'draining'; requests: number; connections: number }
  /** The requests it still has may take so long by their own deadlines, s; -1: one of them has none. */
  | { type: 'finishing'; seconds: number }
  | ({ type: 'timeout'; seconds: number; answered: boolean } & Named)
  | ({ type: 'slow'; seconds: number; timeout: number } & Named)
  | ({ type: 'uncaught' } & UncaughtFacts)
  | { type: 'notice'; text: string }
  /** Its access log can't be written, or could not: so many lines are lost. */
  | { type: 'access-log-fails'; file: string; why: string }
  | { type: 'access-log-lost'; file: string; lines: number }
  /** A connection that did not begin as `proxyProtocol` says; `omitted`: so many since the last one that was told. */
  | { type: 'proxy-refused'; peer: string; why: string; omitted: number }
  | ({ type: 'hook-failed'; hook: HookName | 'onShutdown'; omitted?: number } & Thrown)
  /** Comes by the watchdog's pipe. */
  | Interruption

/** About handing over: for the master's handover.ts, not for its loop. */
export type FromHandover =
  | ({ type: 'give' } & Connection)
  | { type: 'gave'; seq: number }
  | { type: 'taken'; seq: number; taken: boolean }
  | { type: 'load'; connections: number }
  | { type: 'handover-fails'; why: string }

const ABOUT_HANDOVER: Record<FromHandover['type'], true> = {
  give: true,
  gave: true,
  taken: true,
  load: true,
  'handover-fails': true,
}

export const isFromHandover = (message: ToMaster | FromHandover): message is FromHandover =>
  message.type in ABOUT_HANDOVER

/** A file that the application has loaded, or looked for in vain, and its stamp (src/file-stamp.ts) at that moment. */
export type LoadedFile = readonly [path: string, stamp: string]

/** For whoever waits for changes, not for the master's loop. */
export type FromModules = { type: 'modules'; files: readonly LoadedFile[] }

/** The application's metrics: asked for, and once more before the worker ends. For metrics.ts, not for the master's loop. */
export type FromMetrics = { type: 'metrics'; metrics: readonly WireMetric[] }

export type Envelope<M> = M & { cmd: typeof CMD }

type Message = ToWorker | ToMaster | FromHandover | FromModules | FromMetrics

export const seal = <M extends Message>(message: M): Envelope<M> => ({
  ...message,
  cmd: CMD,
})

/** The message if it is one of ours, else undefined. */
export const open = <M extends Message>(message: unknown): M | undefined =>
  typeof message === 'object' && message !== null && (message as { cmd?: unknown }).cmd === CMD
    ? (message as M)
    : undefined

/** What a message says, without the words that only the wire needs. */
export const payload = <M extends ToMaster | FromWatchdog>(message: M): Payload<M> => {
  const { type: _type, cmd: _cmd, ...facts } = message as M & { cmd?: string }
  return facts as Payload<M>
}
type Payload<M> = M extends unknown ? Omit<M, 'type' | 'cmd'> : never

/** Worker exit statuses are protocol too: the application could not boot, or is not there. */
export const EXIT_APP_FAILED = 3
export const EXIT_APP_NOT_FOUND = 4
