// Errors of our own making must not end a worker. When a request's signal aborts what an unmodified handler waits for, the
// handler may fail with our reason and nobody there to catch it: without us it would have waited. Runs in every worker.

const reasons = new WeakSet<object>()

/** From now on, nobody dies of this error. */
export const ours = <E extends Error>(reason: E): E => {
  reasons.add(reason)
  return reason
}

/** How deep a library may have wrapped it. */
const DEPTH = 5

/** Whether it is one of them, or was caused by one. */
export function isOurs(error: unknown, depth = DEPTH): boolean {
  if (typeof error !== 'object' || error === null || depth === 0) return false
  return reasons.has(error) || isOurs((error as { cause?: unknown }).cause, depth - 1)
}

type Emit = (event: string, ...args: unknown[]) => boolean

/** Node ends the process unless one of these events is answered with true. Call before the application loads. */
export function forgiveOwnAborts(): void {
  const emit = process.emit.bind(process) as Emit
  process.emit = ((event: string, ...args: unknown[]) =>
    ((event === 'unhandledRejection' || event === 'uncaughtException') && isOurs(args[0])) ||
    emit(event, ...args)) as typeof process.emit
}
