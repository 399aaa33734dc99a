// The kind of setting that says how many workers there are: a number, "auto", or a range such as 2-8. A leaf.
import * as v from 'valibot'
import { count, countOr, type Kind } from './kinds.ts'

/** A fixed number, one for each granted CPU, or as many as the load needs. */
export type WorkerCount = number | 'auto' | WorkerRange
export interface WorkerRange {
  readonly min: number
  readonly max: number | 'auto'
}

type NumberText = `${number}`
/** `2-8`, `2-auto`. */
type RangeText = `${NumberText}-${NumberText | 'auto'}`
type RangeInput = {
  readonly min: number | NumberText
  readonly max: number | NumberText | 'auto'
}

export const workerCount = (): Kind<
  number | NumberText | 'auto' | RangeText | RangeInput,
  WorkerCount
> => ({
  schema: v.union([auto.schema, ofText, v.pipe(ofObject, v.check(isAscending))]) as v.GenericSchema<
    number | NumberText | 'auto' | RangeText | RangeInput,
    WorkerCount
  >,
  wanted:
    'a whole number, 1 or more, "auto", or a range from the smaller number to the larger such as "2-8" or "2-auto" (in a settings file also { min: 2, max: 8 })',
  placeholder: 'n|auto|min-max',
  fromText: (text) => (/^(\d+-)?auto$/i.test(text) ? text.toLowerCase() : text),
})

const auto = countOr('auto', { min: 1 })

const ofObject = v.strictObject({ min: count({ min: 1 }).schema, max: auto.schema })

const RANGE = /^([1-9]\d{0,8})-([1-9]\d{0,8}|auto)$/

const rangeOf = (text: string): WorkerRange => {
  const [, min, max] = RANGE.exec(text) ?? []
  return { min: Number(min), max: max === 'auto' ? max : Number(max) }
}

const isAscending = ({ min, max }: WorkerRange): boolean => max === 'auto' || min <= max

/** Infinity where it depends on the machine. */
export function mostWorkers(count: WorkerCount): number {
  const most = typeof count === 'object' ? count.max : count
  return most === 'auto' ? Infinity : most
}

const ofText = v.pipe(
  v.string(),
  v.regex(RANGE),
  v.check((text) => isAscending(rangeOf(text))),
  v.transform(rangeOf),
)
