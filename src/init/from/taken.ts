// What was read of a foreign configuration, as settings of ours with what is to be said about each. Pure. Runs in the CLI.
import * as v from 'valibot'
import { type SettingName, settingRow, variablesOf } from '../../settings.ts'
import { asNumber, constant, type Constant, type Expression, Unreadable } from './expression.ts'
import type { Left } from './python.ts'

export interface Entry {
  readonly value: Expression
  /** Sentences that stand before it. */
  readonly comments: readonly string[]
}

/** One settings file to be. */
export interface Taken {
  readonly entries: Map<SettingName, Entry>
  /** In the order of the source. */
  readonly left: Left[]
  /** Sentences for the top of the file. */
  readonly remarks: string[]
}

export const nothingYet = (): Taken => ({ entries: new Map(), left: [], remarks: [] })

/**
 * Puts a value among the entries if the setting can have it, or what is wrong with it among what is left.
 * @param source the line as written
 */
export function put(
  taken: Taken,
  name: SettingName,
  value: Expression,
  source: string,
  comments: readonly string[] = [],
): void {
  try {
    const { variable } = value
    if (name === 'bind' && PORT_ALONE.test(value.js))
      return void taken.left.push({
        source,
        why: 'PORT is a variable that the server reads by itself',
      })
    if (variable && variablesOf(name).includes(variable.name)) {
      const says = `${variable.name} is a variable that the server reads by itself`
      if (!variable.otherwise) return void taken.left.push({ source, why: says })
      const why = `${says}, and it wins over this`
      return putFitting(taken, name, variable.otherwise, [...comments, why])
    }
    putFitting(taken, name, value, comments)
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    taken.left.push({ source, why: error.message })
  }
}

/** On every interface. */
const PORT_ALONE = /^`(0\.0\.0\.0)?:\$\{process\.env\.PORT\}`$/

function putFitting(
  { entries }: Taken,
  name: SettingName,
  value: Expression,
  comments: readonly string[],
): void {
  entries.delete(name)
  entries.set(name, { value: fitting(name, value), comments })
}

/** Of the type that the setting has. Throws Unreadable. */
function fitting(name: SettingName, value: Expression): Expression {
  const row = settingRow(name)
  const { placeholder = '' } = row
  const isSwitch = row.placeholder === undefined
  const isNumber = !isSwitch && /^(n|seconds|bytes|ratio)\b/.test(placeholder)
  if (value.value === undefined) {
    if (isNumber) return asNumber(value)
    return isSwitch || /\|/.test(placeholder) ? { ...value, js: cast(name, value) } : value
  }
  for (const candidate of candidatesFor(value.value, isNumber, row.fromText))
    if (v.safeParse(row.schema, candidate).success) return constant(candidate)
  throw new Unreadable(`it must be ${row.wanted}`)
}

/** TypeScript can't know which words a variable may hold. */
const cast = (name: SettingName, { js, binds, type }: Expression): string =>
  type === 'boolean' ? js : `${binds === 'atom' ? js : `(${js})`} as ConfigInput['${name}']`

/** As it is, or as the text of a flag. */
function candidatesFor(
  value: Constant,
  isNumber: boolean,
  fromText?: (text: string) => unknown,
): Constant[] {
  if (typeof value !== 'string') return [value]
  const number = isNumber && /^\d+(\.\d+)?$/.test(value) ? [Number(value)] : []
  return [...number, value, ...(fromText ? [fromText(value) as Constant] : [])]
}
