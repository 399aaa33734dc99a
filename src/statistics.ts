// What a worker has served, counted in shared memory: so that its watchdog thread can tell when its main thread can't. A leaf:
// written by the worker's main thread, read by its watchdog, understood by the master.

/** Labels of `method`, as OpenTelemetry has them: clients can make no others. */
export const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  '_OTHER',
] as const
/** Labels of `status`; `aborted`: the client left before the response began. */
export const CLASSES = ['aborted', '1xx', '2xx', '3xx', '4xx', '5xx'] as const
/** Upper bounds of the duration's buckets in seconds, those of OpenTelemetry's http.server.request.duration; +Inf follows. */
export const BUCKETS = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
] as const
const BUCKETS_MS = BUCKETS.map((seconds) => seconds * 1000)

/** Float64 fields of a series: the sum of its durations in seconds, then how many fell into each bucket. */
const FIELDS = BUCKETS.length + 2
/** Latencies by magnitude: four steps to each doubling of microseconds, up to half an hour. */
const MAGNITUDES = 128

/** A series: its number, then its fields. */
export type Series = readonly number[]

/** Everything since the worker started, without what is 0. */
export interface Served {
  readonly requests: number
  readonly series: readonly Series[]
  /** Pairs of a magnitude and how many requests had it: see latencyOf. */
  readonly latencies: readonly number[]
}

/** `routes`: how many there are in the settings; requests that match none are counted apart. */
export class Statistics {
  readonly buffer: SharedArrayBuffer
  readonly #series: Float64Array
  readonly #latencies: Float64Array

  /** With a `buffer`: the same counters as seen from another thread. */
  constructor(routes: number, buffer?: SharedArrayBuffer) {
    const length = METHODS.length * CLASSES.length * (routes + 1) * FIELDS
    // the kernel gives memory only to the pages that are used
    this.buffer = buffer ?? new SharedArrayBuffer((MAGNITUDES + length) * 8)
    this.#latencies = new Float64Array(this.buffer, 0, MAGNITUDES)
    this.#series = new Float64Array(this.buffer, MAGNITUDES * 8)
  }

  /** `route`: its place in the settings, or -1; `status`: 0 if the client left before there was one; `ms`: how long it took. */
  count(method: string, route: number, status: number, ms: number): void {
    const at = seriesOf(method, route, status) * FIELDS
    this.#series[at]! += ms / 1000
    let bucket = 0
    while (bucket < BUCKETS_MS.length && ms > BUCKETS_MS[bucket]!) bucket++
    this.#series[at + 1 + bucket]!++
    this.#latencies[magnitudeOf(ms)]!++
  }

  get requests(): number {
    return this.#latencies.reduce((sum, count) => sum + count, 0)
  }

  read(): Served {
    const series: number[][] = []
    for (let at = 0; at < this.#series.length; at += FIELDS) {
      const fields = this.#series.subarray(at, at + FIELDS)
      if (fields.some((n) => n > 0)) series.push([at / FIELDS, ...fields])
    }
    const latencies: number[] = []
    this.#latencies.forEach((count, magnitude) => {
      if (count > 0) latencies.push(magnitude, count)
    })
    return { requests: this.requests, series, latencies }
  }
}

function seriesOf(method: string, route: number, status: number): number {
  const known = METHODS.indexOf(method as (typeof METHODS)[number])
  const methodAt = known < 0 ? METHODS.length - 1 : known
  const classAt = status >= 100 && status < 600 ? Math.floor(status / 100) : 0
  return ((route + 1) * METHODS.length + methodAt) * CLASSES.length + classAt
}

/** What a series counts. `routes`: the patterns of the settings the worker was started with. */
export function labelsOf(
  series: number,
  routes: readonly string[],
): { method: string; route: string; status: string } {
  const rest = Math.floor(series / CLASSES.length)
  const status = CLASSES[series % CLASSES.length]!
  const method = METHODS[rest % METHODS.length]!
  return { method, route: routes[Math.floor(rest / METHODS.length) - 1] ?? '', status }
}

/** Whole microseconds with their two digits after the first, in base 2. */
function magnitudeOf(ms: number): number {
  const us = Math.min(Math.max(ms * 1000, 4), 0x7fffffff) | 0
  const exponent = 31 - Math.clz32(us)
  return (exponent << 2) | ((us >> (exponent - 2)) & 3)
}

/** The middle of a magnitude, ms. */
const middleOf = (magnitude: number): number =>
  (2 ** (magnitude >> 2) * (1 + ((magnitude & 3) + 0.5) / 4)) / 1000

/** The latency that a share of `latencies` (pairs as in Served, in order) does not exceed, ms, within 12 %; undefined without any. */
export function quantile(latencies: readonly number[], share: number): number | undefined {
  let total = 0
  for (let n = 1; n < latencies.length; n += 2) total += latencies[n]!
  let seen = 0
  for (let n = 0; n < latencies.length; n += 2) {
    seen += latencies[n + 1]!
    if (seen >= total * share) return middleOf(latencies[n]!)
  }
  return undefined
}
