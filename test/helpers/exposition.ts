// Prometheus' text format, read as strictly as Prometheus reads it.

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly type: string
  readonly help: string
  readonly samples: Sample[]
}

const NAME = '[A-Za-z_:][A-Za-z0-9_:]*'
const LABEL = '[A-Za-z_][A-Za-z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"'
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)?\\})? (\\S+)$`)

/** Throws at the first line that breaks a rule, of the format or of what its series mean. */
export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const families = new Map<string, Family>()
  const seen = new Set<string>()
  let current: { name: string; help: string; family?: Family } | undefined
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? []
    if (word === 'HELP') {
      if (families.has(name)) throw new Error(`a second family: ${line}`)
      if (/\\(?![\\n])/.test(rest.replaceAll('\\\\', ''))) throw new Error(`bad escape: ${line}`)
      current = { name, help: rest }
    } else if (word === 'TYPE') {
      if (current?.name !== name || current.family) throw new Error(`TYPE out of place: ${line}`)
      if (!/^(counter|gauge|histogram|summary)$/.test(rest)) throw new Error(`bad type: ${line}`)
      current.family = { type: rest, help: current.help, samples: [] }
      families.set(name, current.family)
    } else addSample(line, current?.name ?? '', current?.family, seen)
  }
  for (const [name, family] of families) if (family.type === 'histogram') checkBuckets(name, family)
  return families
}

function addSample(line: string, of: string, family: Family | undefined, seen: Set<string>): void {
  const [, name = '', labelText = '', number = ''] = SAMPLE.exec(line) ?? []
  if (name === '') throw new Error(`not a sample: ${line}`)
  const ends = { histogram: ['_bucket', '_sum', '_count'], summary: ['', '_sum', '_count'] }
  const allowed = ends[family?.type as keyof typeof ends] ?? ['']
  if (!family || !allowed.some((end) => name === of + end))
    throw new Error(`a sample outside of its family: ${line}`)
  const pairs = [...labelText.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)]
  const labels = Object.fromEntries(pairs.map(([, key, value]) => [key!, unescaped(value!)]))
  if (Object.keys(labels).length !== pairs.length) throw new Error(`a label twice: ${line}`)
  const id = `${name} ${JSON.stringify(Object.entries(labels).sort())}`
  if (seen.has(id)) throw new Error(`a series twice: ${line}`)
  seen.add(id)
  family.samples.push({ name, labels, value: valueOf(number, line) })
}

const unescaped = (text: string): string =>
  text.replace(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one))

function valueOf(text: string, line: string): number {
  if (/^nan$/i.test(text)) return Number.NaN
  if (/^[+-]?inf$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity
  if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text)) throw new Error(`not a number: ${line}`)
  return Number(text)
}

/** Each bucket has what the smaller ones have, and +Inf has all. */
function checkBuckets(name: string, { samples }: Family): void {
  const groups = new Map<string, Sample[]>()
  for (const sample of samples) {
    const { le: _le, ...labels } = sample.labels
    const key = JSON.stringify(labels)
    groups.set(key, [...(groups.get(key) ?? []), sample])
  }
  for (const [labels, group] of groups) {
    const buckets = group
      .filter((one) => one.name === `${name}_bucket`)
      .map(({ labels: { le = '' }, value }) => ({ le: valueOf(le, le), value }))
      .sort((a, b) => a.le - b.le)
    const falls = buckets.some(({ value }, n) => value < (buckets[n - 1]?.value ?? 0))
    const count = group.find((one) => one.name === `${name}_count`)?.value
    const hasSum = group.some((one) => one.name === `${name}_sum`)
    const last = buckets.at(-1)
    if (falls || !hasSum || last?.le !== Infinity || last.value !== count)
      throw new Error(`the buckets of ${name}${labels} do not add up`)
  }
}

/** All series of that name whose labels include these, together; undefined if there is none. */
export function valueIn(
  families: Map<string, Family>,
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  const samples = [...families.values()].flatMap((one) => one.samples)
  const wanted = samples.filter(
    (one) => one.name === name && Object.entries(labels).every(([key, v]) => one.labels[key] === v),
  )
  return wanted.length === 0 ? undefined : wanted.reduce((sum, one) => sum + one.value, 0)
}
