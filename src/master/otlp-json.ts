// Metrics as OpenTelemetry's collectors read them: OTLP in JSON, cumulative since the master started. Pure. Runs in the master.

import type { AppMetric, AppValue } from '../app-metric.ts'

export interface OtlpSource {
  readonly name: string
  readonly version: string
  readonly pid: number
  /** Ms since 1970. */
  readonly startedAt: number
  readonly now: number
}

interface Times {
  readonly startTimeUnixNano: string
  readonly timeUnixNano: string
}

/** The body of a POST to /v1/metrics. */
export function otlpRequest(metrics: readonly AppMetric[], source: OtlpSource): object {
  const times = {
    startTimeUnixNano: nanoseconds(source.startedAt),
    timeUnixNano: nanoseconds(source.now),
  }
  const attributes = [
    ...attributesOf({ 'service.name': source.name }),
    { key: 'process.pid', value: { intValue: String(source.pid) } },
  ]
  const scope = { name: 'nodicorn', version: source.version }
  const shown = metrics.filter(({ values }) => values.length > 0)
  const scopeMetrics = [{ scope, metrics: shown.map((metric) => metricOf(metric, times)) }]
  return { resourceMetrics: [{ resource: { attributes }, scopeMetrics }] }
}

/** Cumulative, in the words of the protocol. */
const CUMULATIVE = 2

function metricOf({ name, help, type, values }: AppMetric, times: Times): object {
  const head = { name, description: help }
  switch (type) {
    case 'counter': {
      const dataPoints = points(values, times)
      return {
        ...head,
        sum: { aggregationTemporality: CUMULATIVE, isMonotonic: true, dataPoints },
      }
    }
    case 'gauge':
      return { ...head, gauge: { dataPoints: points(values, times) } }
    case 'histogram': {
      const dataPoints = grouped(values, 'le').map((group) => histogramPoint(name, group, times))
      return { ...head, histogram: { aggregationTemporality: CUMULATIVE, dataPoints } }
    }
    case 'summary': {
      const dataPoints = grouped(values, 'quantile').map((group) =>
        summaryPoint(name, group, times),
      )
      return { ...head, summary: { dataPoints } }
    }
  }
}

/** JSON has no number that is none: those are left out. */
const points = (values: readonly AppValue[], times: Times): object[] =>
  values
    .filter(({ value }) => Number.isFinite(value))
    .map(({ labels, value }) => ({ attributes: attributesOf(labels), ...times, asDouble: value }))

interface Group {
  readonly labels: AppValue['labels']
  readonly values: AppValue[]
}

/** Values that differ by `label` alone. */
function grouped(values: readonly AppValue[], label: 'le' | 'quantile'): Group[] {
  const groups = new Map<string, Group>()
  for (const value of values) {
    const { [label]: _own, ...labels } = value.labels
    const key = JSON.stringify(Object.entries(labels).sort())
    const group = groups.get(key) ?? { labels, values: [] }
    groups.set(key, group)
    group.values.push(value)
  }
  return [...groups.values()]
}

const named = (values: readonly AppValue[], name: string): number =>
  values.find(({ metricName }) => metricName === name)?.value ?? 0

const totals = (name: string, { labels, values }: Group, times: Times): object => ({
  attributes: attributesOf(labels),
  ...times,
  count: String(named(values, `${name}_count`)),
  sum: named(values, `${name}_sum`),
})

/** Here each bucket has its own requests only. */
function histogramPoint(name: string, group: Group, times: Times): object {
  const buckets = group.values
    .filter(({ labels }) => 'le' in labels)
    .map(({ labels: { le = '' }, value }) => ({ le: le === '+Inf' ? Infinity : Number(le), value }))
    .sort((a, b) => a.le - b.le)
  return {
    ...totals(name, group, times),
    explicitBounds: buckets.map(({ le }) => le).filter(Number.isFinite),
    bucketCounts: buckets.map(({ value }, n) => String(value - (buckets[n - 1]?.value ?? 0))),
  }
}

const summaryPoint = (name: string, group: Group, times: Times): object => ({
  ...totals(name, group, times),
  quantileValues: group.values
    .filter(({ labels, value }) => 'quantile' in labels && Number.isFinite(value))
    .map(({ labels, value }) => ({ quantile: Number(labels['quantile']), value })),
})

const attributesOf = (labels: AppValue['labels']): object[] =>
  Object.entries(labels).map(([key, value]) => ({ key, value: { stringValue: value } }))

/** 64 bits, which JSON holds as text. */
const nanoseconds = (ms: number): string => `${Math.round(ms)}000000`
