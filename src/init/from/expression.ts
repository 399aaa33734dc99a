// A value that was read and not run: the JavaScript that makes it, and the value itself where it is the same everywhere. Pure.
// Runs in the CLI.

export type Constant =
  string | number | boolean | null | readonly Constant[] | { readonly [key: string]: Constant }

export interface Expression {
  readonly js: string
  /** How tightly its outermost operator binds. */
  readonly binds: Binding
  readonly type: 'number' | 'string' | 'boolean' | 'other'
  /** Missing if it depends on the environment or the machine. */
  readonly value?: Constant
  /** It is a variable of the environment, or else something: `process.env.X ?? 300`. */
  readonly variable?: { readonly name: string; readonly otherwise?: Expression }
  /** It counts the CPUs, so `availableParallelism` must be imported. */
  readonly countsCpus?: true
}

/** Why something could not be read; completes "not taken: ...". */
export class Unreadable extends Error {}

const BINDING = { choice: 1, or: 2, compare: 3, sum: 4, product: 5, unary: 6, atom: 7 } as const
export type Binding = keyof typeof BINDING

export const constant = (value: Constant): Expression => ({
  js: literal(value),
  binds: typeof value === 'number' && value < 0 ? 'unary' : 'atom',
  type: typeOf(value),
  value,
})

const typeOf = (value: Constant): Expression['type'] => {
  const type = typeof value
  return type === 'number' || type === 'string' || type === 'boolean' ? type : 'other'
}

/** As prettier would write it, in one line. */
export function literal(value: Constant): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return `[${(value as Constant[]).map(literal).join(', ')}]`
  const parts = Object.entries(value).map(([key, part]) => `${keyOf(key)}: ${literal(part)}`)
  return parts.length === 0 ? '{}' : `{ ${parts.join(', ')} }`
}

const keyOf = (key: string): string => (/^[A-Za-z_$][\w$]*$/.test(key) ? key : quoted(key))

/** Double quotes where that saves a backslash. */
const quoted = (text: string): string => {
  const json = JSON.stringify(text)
  const inside = json.slice(1, -1).replaceAll('\\"', '"')
  return text.includes("'") && !text.includes('"') ? json : `'${inside.replaceAll("'", "\\'")}'`
}

/** Put into parentheses where it binds less tightly. */
export const inside = (part: Expression, binding: Binding): string =>
  BINDING[part.binds] < BINDING[binding] ? `(${part.js})` : part.js

export const cpus: Expression = {
  js: 'availableParallelism()',
  binds: 'atom',
  type: 'number',
  countsCpus: true,
}

/** What is left of several parts: whether any of them counts CPUs. */
export const needs = (...parts: readonly Expression[]): { countsCpus?: true } =>
  parts.some((part) => part.countsCpus) ? { countsCpus: true } : {}

/** `empty`: an empty variable counts as unset, as in a shell's ${X:-y}. */
export function variable(name: string, otherwise?: Expression, empty = false): Expression {
  const read = /^[A-Za-z_$][\w$]*$/.test(name)
    ? `process.env.${name}`
    : `process.env[${quoted(name)}]`
  if (!otherwise || otherwise.value === null)
    return { js: read, binds: 'atom', type: 'other', variable: { name } }
  return {
    js: `${read} ${empty ? '||' : '??'} ${inside(otherwise, 'compare')}`,
    binds: 'or',
    type: otherwise.type === 'string' ? 'string' : 'other',
    variable: { name, otherwise },
    ...needs(otherwise),
  }
}

/** `Number(process.env.X ?? 300)` */
export function asNumber(part: Expression): Expression {
  if (part.type === 'number') return part
  if (part.value !== undefined) {
    const value = typeof part.value === 'string' ? Number(part.value.replaceAll('_', '')) : NaN
    if (typeof part.value === 'boolean') return constant(Number(part.value))
    if (Number.isNaN(value)) throw new Unreadable('it is not a number')
    return constant(value)
  }
  const { name, otherwise } = part.variable ?? {}
  const plain =
    name !== undefined && otherwise && isNumeric(otherwise)
      ? variable(name, asNumber(otherwise), part.js.includes(' || '))
      : part
  return {
    js: `Number(${plain.js})`,
    binds: 'atom',
    type: 'number',
    ...(plain.variable && { variable: plain.variable }),
    ...needs(part),
  }
}

const isNumeric = ({ value, type }: Expression): boolean =>
  type === 'number' || (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value))

/** Its parts in one text. */
export function template(parts: readonly Expression[]): Expression {
  const [first, ...others] = parts.filter(({ value }) => value !== '')
  if (!first) return constant('')
  if (parts.every(({ value }) => value !== undefined))
    return constant(parts.map(({ value }) => String(value)).join(''))
  if (others.length === 0) return first
  const js = parts.map((part) =>
    part.value === undefined
      ? `\${${part.js}}`
      : String(part.value).replace(/[\\`]|\$(?=\{)/g, '\\$&'),
  )
  return { js: `\`${js.join('')}\``, binds: 'atom', type: 'string', ...needs(...parts) }
}

const NUMBERS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '//': (a, b) => Math.floor(a / b),
}

export function arithmetic(sign: string, one: Expression, other: Expression): Expression {
  if (sign === '+' && (one.type === 'string' || other.type === 'string'))
    return template([one, other])
  const [a, b] = [asNumber(one), asNumber(other)]
  const sum = NUMBERS[sign]!
  if (typeof a.value === 'number' && typeof b.value === 'number')
    return constant(sum(a.value, b.value))
  const binds = sign === '+' || sign === '-' ? 'sum' : 'product'
  const right = sign === '+' || sign === '*' ? binds : binds === 'sum' ? 'product' : 'unary'
  const js = `${inside(a, binds)} ${sign === '//' ? '/' : sign} ${inside(b, right)}`
  const made = { js, binds, type: 'number', ...needs(a, b) } as const
  return sign === '//' ? { ...made, js: `Math.floor(${js})`, binds: 'atom' } : made
}

/** `name(...)` of JavaScript. */
export const call = (
  name: string,
  type: Expression['type'],
  parts: readonly Expression[],
): Expression => ({
  js: `${name}(${parts.map(({ js }) => js).join(', ')})`,
  binds: 'atom',
  type,
  ...needs(...parts),
})

/** One between two others, as it stands. */
export const operator = (
  binds: Binding,
  type: Expression['type'],
  parts: readonly [Expression, string, Expression, ...(readonly (string | Expression)[])],
): Expression => ({
  // a sign between must not be read together with those of the parts
  js: parts.map((part) => (typeof part === 'string' ? part : inside(part, 'sum'))).join(' '),
  binds,
  type,
  ...needs(...parts.filter((part) => typeof part !== 'string')),
})
