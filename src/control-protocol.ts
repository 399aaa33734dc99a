// What is said over the control socket: JSON, a line a message; and the picture of the server that its answers draw. A leaf:
// the master answers, the CLI and the page ask.

import type { Level } from './events.ts'
import type { StackAnswer } from './inspection.ts'
import type { QueueDigest, RunningJob } from './job-digest.ts'
import type { RequestFacts } from './protocol.ts'

/** Raised when a word changes its meaning; new words may come without. */
export const CONTROL_VERSION = 1

/** The longest line either side takes, bytes. */
export const MAX_MESSAGE = 1 << 20

export interface ControlRequest {
  /** The asker's own number, which all answers to it carry. */
  readonly id: number
  readonly command: string
  readonly args?: Readonly<Record<string, unknown>>
}

/** `item`s come before the end of a command that goes on, such as `events`. */
export type ControlAnswer =
  | {
      readonly hello: {
        readonly protocol: number
        readonly version: string
        readonly pid: number
        readonly name: string
      }
    }
  | { readonly id: number; readonly item: unknown }
  | { readonly id: number; readonly ok: true; readonly result: unknown }
  | {
      readonly id: number
      readonly ok: false
      readonly error: { readonly code: string; readonly message: string }
    }

export type ServerState = 'starting' | 'running' | 'reloading' | 'stopping'

/** Times in seconds, sizes in bytes, moments as ISO 8601; null is what is not known. */
export interface ServerStatus {
  readonly name: string
  readonly pid: number
  readonly version: string
  readonly node: string
  readonly directory: string
  readonly state: ServerState
  readonly uptime: number
  readonly urls: readonly string[]
  readonly generation: number
  /** How many workers there should be, and how many are ready. */
  readonly target: number
  readonly ready: number
  /** Why it should not get requests, as /readyz says; empty if it should. */
  readonly unready: readonly string[]
  readonly standby: number
  /** Connections that wait in the kernel until a worker accepts them. */
  readonly queued: number
  readonly requests: number
  readonly inFlight: number
  readonly perSecond: number
  /** Of the last ten seconds. */
  readonly p50: number | null
  readonly p99: number | null
  readonly reload: {
    readonly state: 'none' | 'running' | 'done' | 'failed'
    readonly at?: string
    readonly seconds?: number
    readonly error?: string
  }
  readonly workers: readonly WorkerStatus[]
  /** Beside the workers (`processes`). */
  readonly processes: readonly ProcessStatus[]
  /** Null where none are configured. */
  readonly jobs: JobsStatus | null
}

/** As the processes of the jobs have told last: nobody waits for them, or for the store. */
export interface JobsStatus {
  /** Empty before the first one is known. */
  readonly queues: readonly QueueStatus[]
  /** Its path below the admin address; null if there is none, or nobody could see it. */
  readonly dashboard: string | null
}

/** On whatever machines its jobs run. */
export interface QueueStatus extends Omit<QueueDigest, 'took'> {
  readonly queue: string
  /** How old this is. */
  readonly age: number
}

/** A process of a group beside the workers. */
export interface ProcessStatus {
  readonly group: string
  readonly slot: number
  readonly pid: number
  /** `waiting`: it has ended, and is started again later; then there is no pid (0). */
  readonly state: 'running' | 'waiting' | 'draining' | 'killed'
  readonly age: number
  readonly rss: number | null
  /** Jobs that it runs, the oldest first. */
  readonly running: readonly RunningJob[]
  /** Processes that have ended in this slot of the group, and why the last one did. */
  readonly restarts: number
  readonly lastRestart: { readonly reason: string; readonly at: string } | null
}

export interface WorkerStatus {
  readonly slot: number
  readonly pid: number
  /** `blocked`: ready, but its event loop has not turned for a while. */
  readonly state: 'booting' | 'warming' | 'standby' | 'ready' | 'blocked' | 'draining' | 'killed'
  readonly generation: number
  readonly age: number
  readonly requests: number
  readonly inFlight: number
  readonly connections: number
  readonly perSecond: number
  readonly p50: number | null
  readonly p99: number | null
  /** The longest wait of a timer in the last second, or since when the loop has stood still. */
  readonly loopDelay: number | null
  /** From 0 to 1. */
  readonly utilization: number | null
  readonly rss: number | null
  readonly heapUsed: number | null
  readonly heapLimit: number | null
  readonly timeouts: number
  readonly orphans: number
  /** Since its watchdog was last heard of. */
  readonly silence: number | null
  /** Workers that have ended in this slot; why the last one did, in one word and in the log's. */
  readonly restarts: number
  readonly lastRestart: {
    readonly reason: string
    readonly at: string
    readonly story: string
  } | null
}

/** A request in flight, with the worker that has it. */
export interface RequestInFlight extends RequestFacts {
  readonly slot: number
  readonly pid: number
  /** Its share of the deadline that has passed, from 0; null without one. */
  readonly share: number | null
}

export interface RequestList {
  /** The oldest first. */
  readonly requests: readonly RequestInFlight[]
  /** How many more there are than are listed. */
  readonly more: number
}

/** An event of the log. */
export interface EventItem {
  readonly at: string
  readonly event: string
  readonly level: Level
  readonly text: string
  readonly facts: Readonly<Record<string, unknown>>
}

/** What a worker is at, or why it can't be told. */
export type StackLook = { readonly slot: number; readonly pid: number } & (
  StackAnswer | { readonly error: string }
)

/** A profile or a heap snapshot of a worker: a file that is removed when who asked for it hangs up. */
export interface FileLook {
  readonly slot: number
  readonly pid: number
  readonly file: string
  readonly bytes: number
  /** Of a profile. */
  readonly samples?: number
  /** For so long the worker stood still, for its heap. */
  readonly seconds?: number
}
