// Sends the metrics to an OpenTelemetry collector, every 10 s and once more in the end. Each message has everything since the start,
// so one that is lost is made up for by the next. Runs in the master, if `otlpEndpoint` is set.

import type { Log } from '../log.ts'
import type { Settings } from '../settings.ts'
import type { Metrics } from './exposition.ts'
import { otlpRequest, type OtlpSource } from './otlp-json.ts'

const PUSH_MS = 10_000
const ANSWER_MS = 5_000

export interface OtlpParts {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'families'>
  readonly settings: () => Pick<Settings, 'otlpEndpoint'>
  readonly identity: { readonly name: string; readonly version: string }
}

export class Otlp {
  readonly #parts: OtlpParts
  readonly #timer: NodeJS.Timeout
  readonly #startedAt = Date.now() - process.uptime() * 1000
  /** What is wrong has been said once, until it is something else. */
  #failure: string | undefined
  #sending: Promise<void> | undefined

  constructor(parts: OtlpParts) {
    this.#parts = parts
    this.#timer = setInterval(() => this.#push(), PUSH_MS).unref()
    this.#push()
  }

  /** Sends the last. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#sending
    this.#push()
    await this.#sending
  }

  /** One at a time: a collector that is slow gets fewer. */
  #push(): void {
    const { otlpEndpoint } = this.#parts.settings()
    if (otlpEndpoint === '') return
    this.#sending ??= this.#send(otlpEndpoint).finally(() => (this.#sending = undefined))
  }

  async #send(endpoint: string): Promise<void> {
    const { name, version } = this.#parts.identity
    const now = Date.now()
    const source: OtlpSource = { name, version, pid: process.pid, startedAt: this.#startedAt, now }
    const body = JSON.stringify(otlpRequest(await this.#parts.metrics.families(), source))
    const why = await post(`${endpoint.replace(/\/$/, '')}/v1/metrics`, body)
    if (why !== undefined && why !== this.#failure)
      this.#parts.log.event('otlpFailed', { endpoint, why })
    this.#failure = why
  }
}

/** Never rejects; resolves with what is wrong, if something is. */
async function post(url: string, body: string): Promise<string | undefined> {
  try {
    const headers = { 'content-type': 'application/json' }
    const signal = AbortSignal.timeout(ANSWER_MS)
    const response = await fetch(url, { method: 'POST', headers, body, signal })
    await response.arrayBuffer()
    return response.ok ? undefined : `it answered ${response.status}`
  } catch (error) {
    const { message, cause } = error as Error
    return cause instanceof Error ? cause.message : message // ECONNREFUSED, ENOTFOUND: it may be there the next time
  }
}
