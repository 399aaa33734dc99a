// The text that Prometheus reads: the server's own metrics and those of the application. The workers are asked for theirs, and one
// that is blocked gives what it said last. Runs in the master, beside its loop.

import { createRequire } from 'node:module'
import type { AggregatorRegistry, Registry } from 'prom-client'
import type { AppMetric } from '../app-metric.ts'
import type { Log } from '../log.ts'
import { metricNames, metricRow, seriesNames } from '../metric-table.ts'
import { EventMeter } from './event-meter.ts'
import type { Ledger } from './ledger.ts'
import type { Master } from './master.ts'
import { serverMetrics, type MetricsPicture } from './metrics.ts'
import type { Status } from './status.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** How long workers have for their answers, ms. */
const ANSWER_MS = 100
/** A worker whose loop stood still for so long when it was last heard of is not asked; an idle one may seem to for 0.6 s. */
const STALE_SECONDS = 1
/** Who has read the metrics once will again: so often they are fetched, for what workers have counted that then crash, ms. */
const KEEP_MS = 5_000

export interface MetricsParts {
  readonly log: Log
  readonly master: Pick<Master, 'state'>
  readonly ledger: Ledger
  readonly status: Pick<Status, 'server'>
}

export interface MetricsText {
  readonly contentType: string
  readonly body: string
}

export class Metrics {
  readonly #parts: MetricsParts
  readonly #meter = new EventMeter()
  readonly #startedAt = Date.now() / 1000 - process.uptime()
  readonly #own = new Set(metricNames.flatMap((name) => seriesNames(name, metricRow(name).type)))
  readonly #clashes = new Set<string>()
  readonly #forget: () => void
  #asking: Promise<void> | undefined
  #rendering: Promise<MetricsText> | undefined
  #keeping: NodeJS.Timeout | undefined

  constructor(parts: MetricsParts) {
    this.#parts = parts
    for (const event of parts.ledger.recent()) this.#meter.hear(event)
    this.#forget = parts.ledger.follow((event) => {
      this.#meter.hear(event)
      if (event.name === 'workerReady' && this.#keeping) this.#askThose()
    })
  }

  /** What the server's own metrics are made of. */
  picture(): MetricsPicture {
    const { status, ledger, master } = this.#parts
    const { crew, groups } = master.state
    const { traffic } = crew
    return {
      status: status.server(),
      series: traffic.series(),
      jobs: groups.board.totals,
      counters: ledger.counters,
      meter: this.#meter,
      untracked: traffic.untracked,
      resident: process.memoryUsage.rss(),
      startedAt: this.#startedAt,
    }
  }

  /** In Prometheus' text format 0.0.4. Who asks while it is made gets the same. */
  text(): Promise<MetricsText> {
    return (this.#rendering ??= this.#render().finally(() => (this.#rendering = undefined)))
  }

  close(): void {
    clearInterval(this.#keeping)
    this.#forget()
  }

  /** The same, as prom-client has it in JSON. */
  async families(): Promise<AppMetric[]> {
    return (await (await this.#registry()).getMetricsAsJSON()) as unknown as AppMetric[]
  }

  async #render(): Promise<MetricsText> {
    const registry = await this.#registry()
    return { contentType: registry.contentType, body: await registry.metrics() }
  }

  async #registry(): Promise<Registry> {
    this.#keeping ??= setInterval(() => void this.#ask(), KEEP_MS).unref()
    await this.#ask()
    const { aggregate } = loadRegistry()
    const { app } = this.#parts.master.state.crew.traffic
    const all = [serverMetrics(this.picture()), ...this.#withoutOurs(app.all())]
    return aggregate(all)
  }

  /** Ours win: there can be but one of a name. */
  #withoutOurs(all: readonly AppMetric[][]): AppMetric[][] {
    return all.map((metrics) =>
      metrics.filter(({ name, type }) => {
        const clashes = [name, ...seriesNames(name, type)].some((one) => this.#own.has(one))
        if (clashes && !this.#clashes.has(name)) this.#parts.log.event('metricClash', { name })
        if (clashes) this.#clashes.add(name)
        return !clashes
      }),
    )
  }

  #ask(): Promise<void> {
    return (this.#asking ??= this.#answers().finally(() => (this.#asking = undefined)))
  }

  /** Resolves when all have answered, or when the time is up. */
  #answers(): Promise<void> {
    const { crew } = this.#parts.master.state
    const asked = crew.all.filter(mayAnswer)
    const waiting = new Set(asked.map(({ id }) => id))
    if (waiting.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(late)
        crew.traffic.app.onHeard = undefined
        resolve()
      }
      const late = setTimeout(done, ANSWER_MS).unref()
      crew.traffic.app.onHeard = (id) => {
        waiting.delete(id)
        if (waiting.size === 0) done()
      }
      this.#askThose(asked)
    })
  }

  /** From its first question on, a worker tells its metrics when it leaves. */
  #askThose(workers = this.#parts.master.state.crew.all.filter(mayAnswer)): void {
    for (const worker of workers) worker.tell({ type: 'metrics' })
  }
}

const mayAnswer = ({ state, watchdog }: WorkerHandle): boolean =>
  (state === 'ready' || state === 'draining') && (watchdog.digest?.stale ?? 0) < STALE_SECONDS

/** What adds up, without the instruments: those would load OpenTelemetry's API, and hold up the master for a third of a second. */
const loadRegistry = (): typeof AggregatorRegistry =>
  createRequire(import.meta.url)('prom-client/lib/cluster.js') as typeof AggregatorRegistry
