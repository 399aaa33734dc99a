// The kind of setting that limits a worker's memory: a size, or a share of what the container grants. A leaf.
import * as v from 'valibot'
import { bytes, type Kind, type SizeText } from './kinds.ts'

/** Bytes, 0 for no limit; or a share of a worker's part of the granted memory, above 0 and up to 100 percent. */
export type MemoryLimit = number | ShareText
type ShareText = `${number}%`

export const memoryLimit = (): Kind<number | SizeText | ShareText, MemoryLimit> => ({
  schema: v.union([v.pipe(v.string(), v.regex(SHARE)), bytes().schema]) as v.GenericSchema<
    number | SizeText | ShareText,
    MemoryLimit
  >,
  wanted:
    'a size such as "512mb" or a number of bytes, or a share of what the container grants, from "1%" to "100%"',
  placeholder: 'bytes|percent',
})

const SHARE = /^(100|[1-9]\d?)%$/

/** The limit in bytes for each of `workers` workers that share `granted` bytes. Infinity for none. */
export const limitInBytes = (limit: MemoryLimit, granted: number, workers: number): number => {
  if (typeof limit === 'number') return limit === 0 ? Infinity : limit
  return (granted / workers) * (Number.parseInt(limit, 10) / 100)
}
