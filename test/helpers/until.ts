// Waiting for a condition, never for a second.
import { setTimeout as sleep } from 'node:timers/promises'

/** How long anything may take before a test gives up on it, in milliseconds. */
export const PATIENCE = 20_000

/**
 * The first truthy value of `condition`, asked every 10 ms.
 * Throws `what` did not happen, after `ms` milliseconds.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  ms = PATIENCE,
): Promise<NonNullable<T>> {
  const end = performance.now() + ms
  for (;;) {
    const value = await condition()
    if (value) return value
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(10)
  }
}

/** The promise's value, or an error that says what did not happen within `ms` milliseconds. */
export async function within<T>(what: string, promise: Promise<T>, ms = PATIENCE): Promise<T> {
  const late = new AbortController()
  const timeout = sleep(ms, undefined, { signal: late.signal }).then(
    () => {
      throw new Error(`not within ${ms} ms: ${what}`)
    },
    () => promise, // AbortError: the promise was first
  )
  try {
    return await Promise.race([promise, timeout])
  } finally {
    late.abort()
  }
}
