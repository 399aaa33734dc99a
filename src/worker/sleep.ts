// Waiting, without node:timers/promises, which is memory in the watchdog's thread. Runs in the watchdog thread.

/** Resolves with `value` after `ms`. */
export function sleep(ms: number): Promise<undefined>
export function sleep<T>(ms: number, value: T): Promise<T>
export function sleep(ms: number, value?: unknown): Promise<unknown> {
  return new Promise((resolve) => setTimeout(resolve, ms, value))
}

/** Whether it came true within `ms`; what it waits for is also what keeps this thread alive. */
export function comesTrue(ms: number, isTrue: () => boolean): Promise<boolean> {
  const limit = performance.now() + ms
  return new Promise((resolve) => {
    const poll = (): void => {
      if (isTrue()) resolve(true)
      else if (performance.now() > limit) resolve(false)
      else setTimeout(poll, 1)
    }
    poll()
  })
}
