// Which signal means what to the master. Handlers only enqueue; the loop acts. Runs in the master.

export type Order = 'stop' | 'quick-stop' | 'reload' | 'reopen' | 'more' | 'fewer' | 'upgrade'
/** `reopen` is no signal's: USR1, which Gunicorn has for it, is node's. An upgrade is looked after outside the loop. */
export type LoopOrder = Exclude<Order, 'upgrade'>

const orders = {
  SIGTERM: 'stop',
  SIGINT: 'quick-stop',
  SIGQUIT: 'quick-stop',
  SIGHUP: 'reload',
  SIGTTIN: 'more',
  SIGTTOU: 'fewer',
  SIGUSR2: 'upgrade',
} as const satisfies Record<string, Order>

/** npm and a terminal both pass Ctrl-C on: two of the same signal within this time are one, ms. */
const SAME_KEYPRESS_MS = 200

/** Calls `handle` with the order and the signal's short name (`term`). Returns a function that takes the handlers off again. */
export function listenToSignals(handle: (order: Order, name: string) => void): () => void {
  let last = { signal: '', at: -Infinity }
  const listeners = Object.entries(orders).map(([signal, order]) => {
    const listener = (): void => {
      const at = performance.now()
      const repeated = last.signal === signal && at - last.at < SAME_KEYPRESS_MS
      last = { signal, at }
      if (repeated && order === 'quick-stop') return
      handle(order, signal.slice(3).toLowerCase())
    }
    process.on(signal as NodeJS.Signals, listener)
    return [signal, listener] as const
  })
  return () => listeners.forEach(([signal, listener]) => process.off(signal, listener))
}

/** What ends a process that does not handle them. */
const FATAL = { SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 } as const

/**
 * For process 1, of a container, which gets no signal that it has no handler for: docker stop would wait, then kill. Until
 * listenToSignals(), and when that is over, they end it, with the status that it would have elsewhere.
 */
export function heedSignals(end: (exit: number) => void): void {
  for (const [signal, number] of Object.entries(FATAL))
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) end(128 + number)
    })
}
