// Tells the log of wrong admin tokens: the first at once, then a line a minute, however fast somebody guesses. Runs in the master.

import type { Log } from '../log.ts'

const QUIET_MS = 60_000

export class WrongTokens {
  readonly #log: Log
  #times = 0
  #quietUntil = -Infinity

  constructor(log: Log) {
    this.#log = log
  }

  /** `from`: the client's address, undefined for a unix socket. */
  count(from: string | undefined, path: string): void {
    this.#times++
    const now = performance.now()
    if (now < this.#quietUntil) return
    this.#log.event('wrongToken', { from: from ?? 'unix', path, times: this.#times })
    this.#times = 0
    this.#quietUntil = now + QUIET_MS
  }
}
