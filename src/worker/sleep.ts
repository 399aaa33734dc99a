// Waiting, without node:timers/promises, which is memory in the watchdog's thread. Runs in the watchdog thread.

/** Resolves with `value` after `ms`. */
export function sleep(ms: number): Promise<undefined>
export function sleep<T>(ms: number, value: T): Promise<T>
export function sleep(ms: number, value?: unknown): Promise<unknown> {
  return new Promise((resolve) => setTimeout(resolve, ms, value))
}
