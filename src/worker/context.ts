// Which request the running code belongs to, and what its handler may ask of it. Runs in the main thread of every worker.
// Shared with `nodicorn/app` through a global symbol, because an application may have a copy of the package of its own.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Registry } from './app-metrics.ts'
import type { Entry } from './request-entry.ts'
import type { Standing } from './standing.ts'

/** What `nodicorn/app` finds. */
export interface Runtime {
  readonly current: () => RequestContext | undefined
  /** Moves the deadline of the current request to `seconds` from now, if that is later, and at most to its ceiling. */
  readonly extend: (seconds: number) => void
  /** This worker is to get no clients until ready(). */
  readonly notReady: () => void
  readonly ready: () => void
  /** Called when this worker begins to leave. */
  readonly onShutdown: (listener: () => unknown) => void
  readonly exposeMetrics: (registry: Registry) => void
  readonly standing: Pick<Standing, 'slot' | 'isStandby' | 'onActivate'>
}

/** A request in flight, as its handler sees it. */
export interface RequestContext {
  readonly id: string
  /** Aborted with a TimeoutError at the deadline, with an AbortError when the client leaves. */
  readonly signal: AbortSignal
  /** Ms of performance.now(); Infinity without one. */
  readonly deadline: number
}

const RUNTIME = Symbol.for('nodicorn.runtime')

const STORAGE = Symbol.for('nodicorn.storage')
const shared = globalThis as { [STORAGE]?: AsyncLocalStorage<Entry> }

/** One in a process: the workers' bundle and what is loaded beside it have copies of this file. */
export const storage = (shared[STORAGE] ??= new AsyncLocalStorage<Entry>())

export const offerRuntime = (runtime: Runtime): void =>
  void Object.defineProperty(globalThis, RUNTIME, { value: runtime, configurable: true })

export const runtime = (): Runtime | undefined => (globalThis as { [RUNTIME]?: Runtime })[RUNTIME]
