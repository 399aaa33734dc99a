// Those to whom metrics are sent: each is loaded with the first settings that ask for it. Runs in the master, beside its loop.

import type { Log } from '../log.ts'
import type { Settings } from '../settings.ts'
import type { Metrics } from './exposition.ts'
import type { Ledger } from './ledger.ts'
import type { Otlp, OtlpParts } from './otlp.ts'
import type { Statsd } from './statsd.ts'

/** The end of the server waits so long for what is sent last, ms. */
const LAST_MS = 1_000

export interface PusherParts extends Pick<OtlpParts, 'identity'> {
  readonly log: Log
  readonly ledger: Ledger
  readonly metrics: Metrics
  /** Of the last reload. */
  readonly settings: () => Settings
}

export class Pushers {
  readonly #parts: PusherParts
  readonly #forget: () => void
  #state: 'open' | 'over' = 'open'
  #statsd: Statsd | undefined
  #otlp: Otlp | undefined

  constructor(parts: PusherParts) {
    this.#parts = parts
    this.#forget = parts.ledger.follow(({ name }) => name === 'reloading' && void this.open())
  }

  async open(): Promise<void> {
    const { log, metrics, settings, identity } = this.#parts
    if (settings().statsdHost !== '' && !this.#statsd) {
      const { Statsd } = await import('./statsd.ts')
      if (this.#state === 'over') return
      this.#statsd ??= new Statsd({ log, settings, picture: () => metrics.picture() })
    }
    if (settings().otlpEndpoint !== '' && !this.#otlp) {
      const { Otlp } = await import('./otlp.ts')
      if (this.#state === 'over') return
      this.#otlp ??= new Otlp({ log, settings, metrics, identity })
    }
  }

  /** Each sends its last. Resolves when that has left, or when it takes too long. */
  async close(): Promise<void> {
    this.#state = 'over'
    this.#forget()
    let late: NodeJS.Timeout | undefined
    const limit = new Promise<void>((resolve) => (late = setTimeout(resolve, LAST_MS)))
    await Promise.race([limit, Promise.all([this.#statsd?.close(), this.#otlp?.close()])])
    clearTimeout(late)
  }
}
