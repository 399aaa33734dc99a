// What the workers have served, summed up from their digests: counters that don't go back when a worker goes, and the rates of
// the last seconds. Pure. Runs in the master.

import type { Digest, FromMetrics, LastCount } from '../protocol.ts'
import { labelsOf, quantile, type Served } from '../statistics.ts'
import { AppMetrics } from './app-metrics.ts'

/** Rates are those of so many seconds. */
const WINDOW_MS = 10_000

/** Of requests in the last seconds; latencies in ms, undefined without requests. */
export interface Rates {
  readonly perSecond: number
  readonly p50: number | undefined
  readonly p99: number | undefined
}

export interface SeriesTotal {
  readonly labels: Readonly<{ method: string; route: string; status: string }>
  /** Seconds. */
  sum: number
  /** By bucket, each on its own: see BUCKETS. */
  readonly buckets: number[]
}

interface Sample {
  readonly at: number
  readonly requests: number
  readonly latencies: readonly number[]
}

/** A worker, or all of them. */
class Account {
  served: Served = { requests: 0, series: [], latencies: [] }
  readonly #samples: Sample[] = []

  hear(served: Served | undefined, at: number): void {
    if (served) this.served = served
    const { requests, latencies } = this.served
    this.#samples.push({ at, requests, latencies })
    while (this.#samples.length > 2 && this.#samples[1]!.at <= at - WINDOW_MS) this.#samples.shift()
  }

  /** `now`: what was said long ago says nothing of now. */
  growth(now: number): { seconds: number; requests: number; latencies: Map<number, number> } {
    const from = this.#samples[0]
    if (from === undefined) return { seconds: 0, requests: 0, latencies: new Map() }
    const latencies = new Map<number, number>()
    forPairs(this.served.latencies, (magnitude, count) => latencies.set(magnitude, count))
    forPairs(from.latencies, (magnitude, count) =>
      latencies.set(magnitude, latencies.get(magnitude)! - count),
    )
    const requests = this.served.requests - from.requests
    return { seconds: (now - from.at) / 1000, requests, latencies }
  }
}

interface Known {
  readonly account: Account
  readonly routes: readonly string[]
  untracked: number
}

export class Traffic {
  /** The application's own metrics. */
  readonly app = new AppMetrics()
  readonly #accounts = new Map<number, Known>()
  readonly #totals = new Map<string, SeriesTotal>()
  /** Of workers that are gone. */
  #before = 0
  #untrackedBefore = 0

  /** Whatever a worker says of what it has served and counted. `now`: ms. */
  told(
    worker: { readonly id: number; readonly generation: number; readonly routes: Known['routes'] },
    said: Digest | LastCount | FromMetrics,
    now: number,
  ): void {
    if (said.type === 'metrics') return this.app.hear(worker, said.metrics)
    this.hear(worker.id, worker.routes, said.served, now)
    if (said.type === 'digest') this.#accounts.get(worker.id)!.untracked = said.untracked
  }

  /** A worker has spoken; `served` is missing when nothing has changed. `routes`: the patterns it knows; `now`: ms. */
  hear(worker: number, routes: readonly string[], served: Served | undefined, now: number): void {
    let known = this.#accounts.get(worker)
    if (!known)
      this.#accounts.set(worker, (known = { account: new Account(), routes, untracked: 0 }))
    known.account.hear(served, now)
  }

  /** It will not serve any more; what it has served still counts. */
  gone(worker: number): void {
    this.app.gone(worker)
    const known = this.#accounts.get(worker)
    if (!known) return
    this.#accounts.delete(worker)
    this.#before += known.account.served.requests
    this.#untrackedBefore += known.untracked
    addTo(this.#totals, known)
  }

  /** Requests answered since the server started. */
  get requests(): number {
    return [...this.#accounts.values()].reduce(
      (n, { account }) => n + account.served.requests,
      this.#before,
    )
  }

  /** Connections that watchdogs did not see, since the server started. */
  get untracked(): number {
    return [...this.#accounts.values()].reduce((n, one) => n + one.untracked, this.#untrackedBefore)
  }

  requestsOf(worker: number): number {
    return this.#accounts.get(worker)?.account.served.requests ?? 0
  }

  /** Of one worker, or of all. */
  rates(now: number, worker?: number): Rates {
    const wanted =
      worker === undefined ? [...this.#accounts.values()] : [this.#accounts.get(worker)]
    const all = new Map<number, number>()
    let perSecond = 0
    for (const known of wanted) {
      const { seconds, requests, latencies } = known?.account.growth(now) ?? NOTHING
      if (seconds > 0) perSecond += requests / Math.max(1, seconds)
      for (const [magnitude, count] of latencies)
        all.set(magnitude, (all.get(magnitude) ?? 0) + count)
    }
    const pairs = [...all]
      .filter(([, count]) => count > 0)
      .sort(([a], [b]) => a - b)
      .flat()
    return { perSecond, p50: quantile(pairs, 0.5), p99: quantile(pairs, 0.99) }
  }

  /** Every series there ever was, of all workers together. */
  series(): SeriesTotal[] {
    const totals = new Map(
      [...this.#totals].map(([key, one]) => [key, { ...one, buckets: [...one.buckets] }]),
    )
    for (const known of this.#accounts.values()) addTo(totals, known)
    return [...totals.values()]
  }
}

const NOTHING = { seconds: 0, requests: 0, latencies: new Map<number, number>() }

function addTo(
  totals: Map<string, SeriesTotal>,
  { account, routes }: Pick<Known, 'account' | 'routes'>,
): void {
  for (const [number = 0, sum = 0, ...buckets] of account.served.series) {
    const labels = labelsOf(number, routes)
    const key = Object.values(labels).join('\n')
    const total = totals.get(key)
    if (!total) totals.set(key, { labels, sum, buckets })
    else {
      total.sum += sum
      buckets.forEach((count, n) => (total.buckets[n]! += count))
    }
  }
}

function forPairs(pairs: readonly number[], tell: (one: number, other: number) => void): void {
  for (let n = 0; n < pairs.length; n += 2) tell(pairs[n]!, pairs[n + 1]!)
}
