// Every message on the wire between master and worker, and what a worker is told at its birth. A leaf.
// All of them carry a `cmd` that starts with NODE_: Node then emits `internalMessage` instead of `message`,
// so an application's own process.on('message') never sees them.

import type { ServeAddress } from './address.ts'
import type { ErrorCode } from './errors.ts'
import type { Settings } from './settings.ts'

export const CMD = 'NODE_NODICORN'

/** The environment variable that carries a WorkerInit; removed before the application runs. */
export const INIT_VARIABLE = 'SUPERVISOR_WORKER'
export const SLOT_VARIABLE = 'SUPERVISOR_WORKER_SLOT'

/** The settings a worker acts on. */
export type WorkerSettings = Pick<
  Settings,
  | 'timeout'
  | 'gracefulTimeout'
  | 'drainIdle'
  | 'keepAlive'
  | 'headersTimeout'
  | 'backlog'
  | 'workerConnections'
  | 'maxRequests'
  | 'maxRequestsJitter'
  | 'limitRequestFields'
  | 'limitRequestLine'
  | 'maxBody'
  | 'accessLog'
  | 'user'
  | 'group'
>

export interface WorkerInit {
  readonly mode: 'serve' | 'check'
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
  /** Names of settings somebody set on purpose: they win over what the application set in its code. */
  readonly explicit: readonly string[]
  readonly accessLogFormat: 'text' | 'json'
}

/** What `net` asks for when a worker listens, plus `index`: the how-manieth such listener of this worker it is. */
export interface ListenQuery {
  readonly address: string | null
  readonly port: number | null
  readonly addressType: number
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

export type ToWorker =
  | { type: 'socket'; seq: number; errno: number }
  | { type: 'drain'; mode: DrainMode; idleSeconds: number }

export type ToMaster =
  | { type: 'listen'; seq: number; query: ListenQuery }
  | { type: 'listening'; address: ListeningAddress }
  | { type: 'ready' }
  | { type: 'unlisten'; query: ListenQuery }
  | { type: 'loaded' }
  | { type: 'failed'; code: ErrorCode; message: string }
  | { type: 'retire'; reason: 'max-requests' | 'signal' }
  | { type: 'draining'; requests: number; connections: number }
  | { type: 'timeout'; method: string; url: string; seconds: number; answered: boolean }
  | { type: 'notice'; text: string }

export type Envelope<M> = M & { cmd: typeof CMD }

export const seal = <M extends ToWorker | ToMaster>(message: M): Envelope<M> => ({
  ...message,
  cmd: CMD,
})

/** The message if it is one of ours, else undefined. */
export const open = <M extends ToWorker | ToMaster>(message: unknown): M | undefined =>
  typeof message === 'object' && message !== null && (message as { cmd?: unknown }).cmd === CMD
    ? (message as M)
    : undefined

/** What a message says, without the words that only the wire needs. */
export const payload = <M extends ToMaster>(message: M): Omit<M, 'type' | 'cmd'> => {
  const { type: _type, cmd: _cmd, ...facts } = message as M & { cmd?: string }
  return facts
}

/** Worker exit statuses are protocol too: the application could not boot, or is not there. */
export const EXIT_APP_FAILED = 3
export const EXIT_APP_NOT_FOUND = 4
