// The application's own metrics, as its workers told them last. What workers that are gone have counted still counts; their gauges
// are gone with them. Pure. Runs in the master.

import { fromWire, type AppMetric, type AppValue, type WireMetric } from '../app-metric.ts'

/** An application that gives every process labels of its own would leave ever more series behind: the oldest are forgotten. */
const MOST_GONE = 10_000
/** Workers whose last word may come late. */
const LATE = 8

interface Teller {
  readonly id: number
  readonly generation: number
}

/** Of workers that are gone: series by their labels, those of a histogram together. */
interface Estate {
  readonly metric: Omit<AppMetric, 'values'>
  readonly series: Map<string, Map<string, AppValue>>
}

export class AppMetrics {
  readonly #told = new Map<number, { generation: number; metrics: readonly AppMetric[] }>()
  readonly #estates = new Map<string, Estate>()
  /** What the last ones that left had told: on a busy machine, the last word of one comes after its end. */
  readonly #departed = new Map<number, readonly AppMetric[]>()
  /** Called when a worker has told, and when it is gone and will not. */
  onHeard: ((worker: number) => void) | undefined

  hear({ id, generation }: Teller, wire: readonly WireMetric[]): void {
    const metrics = wire.map(fromWire)
    if (this.#departed.has(id)) this.#correct(id, metrics)
    else this.#told.set(id, { generation, metrics })
    this.onHeard?.(id)
  }

  gone(worker: number): void {
    if (this.#departed.has(worker)) return
    this.#correct(worker, this.#told.get(worker)?.metrics ?? [])
    this.#told.delete(worker)
    for (const id of this.#departed.keys())
      if (this.#departed.size > LATE) this.#departed.delete(id)
    this.onHeard?.(worker)
  }

  /** What a worker left is this, and not what it was before. */
  #correct(worker: number, metrics: readonly AppMetric[]): void {
    for (const metric of this.#departed.get(worker) ?? []) this.#inherit(metric, -1)
    for (const metric of metrics) this.#inherit(metric, 1)
    this.#departed.set(worker, metrics)
  }

  /** A list for each worker and one of those that are gone. What does not fit to what the newest code has is left out. */
  all(): AppMetric[][] {
    const told = [...this.#told.values()].sort((one, other) => other.generation - one.generation)
    const left = [...this.#estates.values()].map(({ metric, series }) => ({
      ...metric,
      values: [...series.values()].flatMap((values) => [...values.values()]),
    }))
    const shapes = new Map<string, string>()
    const fits = (metric: AppMetric): boolean => {
      if (metric.values.length === 0) return true
      const shape = shapeOf(metric)
      if (!shapes.has(metric.name)) shapes.set(metric.name, shape)
      return shapes.get(metric.name) === shape
    }
    return [...told.map(({ metrics }) => metrics), left].map((metrics) => metrics.filter(fits))
  }

  #inherit(metric: AppMetric, sign: 1 | -1): void {
    if (metric.type === 'gauge' || metric.aggregator !== 'sum' || metric.values.length === 0) return
    const { values, ...rest } = metric
    const key = `${metric.name} ${shapeOf(metric)}`
    const estate = this.#estates.get(key) ?? { metric: rest, series: new Map() }
    this.#estates.set(key, estate)
    for (const value of values.filter(onlyGrows)) addTo(estate.series, value, sign)
    for (const labels of estate.series.keys()) {
      if (estate.series.size <= MOST_GONE) return
      estate.series.delete(labels)
    }
  }
}

/** Buckets of one histogram cannot be added to those of another. */
function shapeOf({ type, values }: AppMetric): string {
  const bounds = new Set(values.map(({ labels }) => labels['le'] ?? ''))
  return type === 'histogram' ? [type, ...[...bounds].sort()].join(' ') : type
}

/** Not a summary's quantile. */
const onlyGrows = ({ value, labels }: AppValue): boolean =>
  Number.isFinite(value) && !('quantile' in labels)

function addTo(series: Estate['series'], value: AppValue, sign: 1 | -1): void {
  const { le = '', ...labels } = value.labels
  const key = JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
  const group = series.get(key) ?? new Map<string, AppValue>()
  series.delete(key) // what was counted last is forgotten last
  series.set(key, group)
  const part = `${value.metricName ?? ''} ${le}`
  group.set(part, { ...value, value: sign * value.value + (group.get(part)?.value ?? 0) })
}
