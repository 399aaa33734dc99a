// What expressions of Python call: the functions and methods that settings files use, in JavaScript. Pure. Runs in the CLI.
import {
  asNumber,
  call,
  constant,
  type Constant,
  cpus,
  type Expression,
  inside,
  needs,
  template,
  Unreadable,
  variable,
} from './expression.ts'

/** A name that is no value yet: what it is called or indexed by decides. */
export interface Path {
  readonly path: string
}
export type Operand = Expression | Path
export const isPath = (operand: Operand): operand is Path => 'path' in operand

export const isTrue = (value: Constant): boolean =>
  Array.isArray(value) ? value.length > 0 : Boolean(value)

export function listOf(parts: readonly Expression[]): Expression {
  if (parts.every(({ value }) => value !== undefined))
    return constant(parts.map(({ value }) => value!))
  return {
    js: `[${parts.map(({ js }) => js).join(', ')}]`,
    binds: 'atom',
    type: 'other',
    ...needs(...parts),
  }
}

/** `os.environ['X']` */
export function index(left: Operand, key: Expression | undefined): Expression {
  if (isPath(left) && left.path === 'os.environ' && typeof key?.value === 'string')
    return variable(key.value)
  throw new Unreadable(`${isPath(left) ? left.path : left.js}[...] is not understood`)
}

type Apply = (parts: readonly Expression[]) => Expression | undefined

const fromEnvironment: Apply = ([name, otherwise]) =>
  typeof name?.value === 'string' ? variable(name.value, otherwise) : undefined

const largest =
  (name: 'max' | 'min'): Apply =>
  (parts) => {
    const numbers = parts.map(asNumber)
    const values = numbers.flatMap(({ value }) => (typeof value === 'number' ? [value] : []))
    return values.length === numbers.length
      ? constant(Math[name](...values))
      : call(`Math.${name}`, 'number', numbers)
  }

const CALLS: Readonly<Record<string, Apply>> = {
  'os.environ.get': fromEnvironment,
  'os.getenv': fromEnvironment,
  'multiprocessing.cpu_count': () => cpus,
  'os.cpu_count': () => cpus,
  'os.process_cpu_count': () => cpus,
  int: ([part]) => part && wholeNumber(asNumber(part)),
  float: ([part]) => part && asNumber(part),
  str: ([part]) => part && (part.type === 'string' ? part : asText(part)),
  bool: ([part]) => part && (part.type === 'boolean' ? part : asBoolean(part)),
  max: largest('max'),
  min: largest('min'),
  round: ([part]) => part && call('Math.round', 'number', [asNumber(part)]),
}

const wholeNumber = (part: Expression): Expression => {
  if (typeof part.value === 'number') return constant(Math.trunc(part.value))
  return part.binds === 'product' ? call('Math.trunc', 'number', [part]) : part
}

const asText = (part: Expression): Expression =>
  part.value === undefined ? call('String', 'string', [part]) : constant(String(part.value))
const asBoolean = (part: Expression): Expression =>
  part.value === undefined ? call('Boolean', 'boolean', [part]) : constant(isTrue(part.value))

export function apply(path: string, parts: readonly Expression[]): Expression {
  const made = Object.hasOwn(CALLS, path) ? CALLS[path]!(parts) : undefined
  if (!made) throw new Unreadable(`${path}() is not known without running it`)
  return made
}

const METHODS: Readonly<Record<string, string>> = {
  lower: 'toLowerCase',
  upper: 'toUpperCase',
  strip: 'trim',
}

export function method(left: Expression, name: string, parts: readonly Expression[]): Expression {
  const ours = METHODS[name]
  if (ours && parts.length === 0) return letters(left, ours)
  if (name === 'format' && typeof left.value === 'string') return formatted(left.value, parts)
  if (name === 'split' && typeof left.value === 'string' && typeof parts[0]?.value === 'string')
    return constant(left.value.split(parts[0].value))
  if (name === 'split') return { ...call(`${inside(left, 'atom')}.split`, 'other', parts) }
  throw new Unreadable(`.${name}() is not understood`)
}

function letters(left: Expression, ours: string): Expression {
  if (typeof left.value === 'string')
    return constant(
      ours === 'trim'
        ? left.value.trim()
        : ours === 'toLowerCase'
          ? left.value.toLowerCase()
          : left.value.toUpperCase(),
    )
  const text =
    left.variable && !left.variable.otherwise ? variable(left.variable.name, constant('')) : left
  return { ...call(`${inside(text, 'atom')}.${ours}`, 'string', []), ...needs(left) }
}

function formatted(text: string, parts: readonly Expression[]): Expression {
  const pieces = text.split(/\{\d?\}/)
  if (pieces.length !== parts.length + 1) throw new Unreadable('.format() is not understood')
  return template(
    pieces.flatMap((piece, at) => [constant(piece), ...(parts[at] ? [parts[at]] : [])]),
  )
}
