// A metric of the application as it goes from a worker to the master: what prom-client's getMetricsAsJSON() makes, checked, for the
// application may bring any version of it and put anything into it. A leaf.

const TYPES = ['counter', 'gauge', 'histogram', 'summary'] as const
/** How prom-client adds up what several processes have. */
const AGGREGATORS = ['sum', 'first', 'omit', 'average', 'min', 'max'] as const

export interface AppValue {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  /** If not the metric's own: with _bucket, _sum or _count. */
  readonly metricName?: string
}

export interface AppMetric {
  readonly name: string
  readonly help: string
  readonly type: (typeof TYPES)[number]
  readonly aggregator: (typeof AGGREGATORS)[number]
  readonly values: readonly AppValue[]
}

/** A number that JSON would make null of. */
type WireNumber = number | 'NaN' | 'Infinity' | '-Infinity'
export interface WireMetric extends Omit<AppMetric, 'values'> {
  readonly values: readonly (Omit<AppValue, 'value'> & { readonly value: WireNumber })[]
}

const isName = (text: unknown): text is string =>
  typeof text === 'string' && /^[A-Za-z_:][\w:]*$/.test(text)
const isLabel = (text: string): boolean => /^[A-Za-z_]\w*$/.test(text)

const oneOf = <T extends string>(words: readonly T[], word: unknown): T | undefined =>
  words.find((one) => one === word)

/** Undefined if it could not be shown. */
export function toWire(raw: unknown): WireMetric | undefined {
  const { name, help, type, aggregator, values } = (raw ?? {}) as Record<string, unknown>
  const known = oneOf(TYPES, type)
  if (!isName(name) || !known || !Array.isArray(values)) return undefined
  return {
    name,
    help: String(help ?? ''),
    type: known,
    aggregator: oneOf(AGGREGATORS, aggregator) ?? 'sum',
    values: values.flatMap(valueToWire),
  }
}

function valueToWire(raw: unknown): WireMetric['values'] {
  const { labels, sharedLabels, value, metricName } = (raw ?? {}) as Record<string, unknown>
  if (typeof value !== 'number' || (metricName !== undefined && !isName(metricName))) return []
  const all = Object.entries({ ...(sharedLabels as object), ...(labels as object) } as object)
  const shown = all
    .filter(([label, content]) => isLabel(label) && content !== undefined)
    .map(([label, content]) => [label, String(content)])
  return [
    {
      labels: Object.fromEntries(shown) as Record<string, string>,
      value: Number.isFinite(value) ? value : (String(value) as WireNumber),
      ...(metricName !== undefined && { metricName }),
    },
  ]
}

export const fromWire = ({ values, ...metric }: WireMetric): AppMetric => ({
  ...metric,
  values: values.map(({ value, ...rest }) => ({ ...rest, value: Number(value) })),
})
