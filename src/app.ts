// For applications: what a handler may know and ask of its request, and the app of its worker. A door (`nodicorn/app`);
// without a supervisor around it, in tests or under plain node, everything answers as if there were no deadline.

import { isRegistry, type Registry } from './worker/app-metrics.ts'
import { runtime } from './worker/context.ts'
import { preloadedValue } from './worker/preloaded.ts'

const never = new AbortController().signal

/**
 * The signal of the request that is being handled: aborted with a TimeoutError at its deadline, with an AbortError when the client leaves.
 * Pass it to whatever the handler waits for. Outside of a request, or with `requestContext` off: a signal that never aborts.
 */
export const requestSignal = (): AbortSignal => runtime()?.current()?.signal ?? never

/** Seconds until the deadline of the request that is being handled, negative once it is past; Infinity if it has none. */
export const deadline = (): number => {
  const at = runtime()?.current()?.deadline ?? Infinity
  return (at - performance.now()) / 1000
}

/**
 * Moves the deadline to `seconds` from now, if that is later, and at most to `timeoutCeiling` seconds after the request began.
 * Answers the seconds that are left.
 */
export const extendTimeout = (seconds: number): number => {
  if (!(seconds >= 0))
    throw new RangeError(`extendTimeout(${seconds}): it must be a number of seconds, 0 or more`)
  runtime()?.extend(seconds)
  return deadline()
}

/** The id of the request that is being handled: the client's X-Request-Id, or one made for it. Undefined outside of a request. */
export const requestId = (): string | undefined => runtime()?.current()?.id

/**
 * This worker is not ready when it listens, but when ready() is called: until then it gets no clients, and whom it is to replace
 * goes on. Call it while the application loads, at the latest in the same tick as listen(). After `bootTimeout` seconds without
 * ready() the worker counts as failed.
 */
export const notReady = (): void => runtime()?.notReady()

/** Ends what notReady(), or the setting `waitReady`, began. */
export const ready = (): void => runtime()?.ready()

/**
 * Has `listener` called when this worker begins to leave: at a stop, a reload or a recycle, before anything is closed. It may say
 * goodbye over connections that would stay open. If it returns a promise, the worker ends only when that is settled, for as long as
 * `gracefulTimeout` lasts. What it throws is logged and harms nothing. It may be called several times; one that comes late, when the
 * worker leaves already, is called at once. Throws a TypeError if it is no function.
 */
export const onShutdown = (listener: () => unknown): void => {
  if (typeof listener !== 'function')
    throw new TypeError(`onShutdown(${String(listener)}): it must be a function`)
  runtime()?.onShutdown(listener)
}

/**
 * Adds what a registry of prom-client holds to the server's metrics. Only for registries of your own: the default one is found by
 * itself, unless prom-client was bundled into your file. Throws a TypeError if it has no getMetricsAsJSON().
 */
export const exposeMetrics = (registry: Registry): void => {
  if (!isRegistry(registry))
    throw new TypeError('exposeMetrics(registry): it must be a Registry of prom-client')
  runtime()?.exposeMetrics(registry)
}

/**
 * What `preload()` of the settings file returned: a copy of this process's own, the same one at every call, there from the first
 * line of the application on. Undefined if there is no such function, and in worker threads.
 */
export const preloaded = <T = unknown>(): T | undefined => preloadedValue() as T | undefined

/** This worker; its properties are those of the moment. */
export const worker: {
  /** 0 to the number of workers - 1, or more while it stands by. Undefined without a supervisor. */
  readonly slot: number | undefined
  /** It has no clients yet, and waits to take the place of another worker. */
  readonly standby: boolean
} = {
  get slot() {
    return runtime()?.standing.slot
  },
  get standby() {
    return runtime()?.standing.isStandby ?? false
  },
}

/**
 * Calls `activate` when this worker begins to serve: on standby when it is promoted, before its first client; otherwise at once,
 * in a microtask. For what should not run in a worker that only waits, such as a timetable or the consumer of a queue. What it
 * throws, or rejects with, is an uncaught error of the worker.
 */
export const onActivate = (activate: () => unknown): void => {
  const standing = runtime()?.standing
  if (standing) standing.onActivate(activate)
  else queueMicrotask(activate)
}
