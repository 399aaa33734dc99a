// The kinds of settings that the access log has: its format, and the networks whose word is taken. A leaf under settings.ts.
import * as v from 'valibot'
import { FORMAT_WORDS, isFault, parseFormat } from './access-format.ts'
import type { Kind } from './kinds.ts'
import { isNetwork } from './networks.ts'

const WORDS = Object.keys(FORMAT_WORDS)
const FORMAT_WANTED = `one of ${WORDS.join(', ')}, or a format such as '%(h)s %(t)s "%(r)s" %(s)s'`

/** Undefined: nothing is wrong. */
function whyWrong(format: string): string | undefined {
  if (WORDS.includes(format)) return undefined
  const parsed = parseFormat(format)
  if (isFault(parsed)) return `a format: at character ${parsed.at + 1}, ${parsed.why}`
  return parsed.some((piece) => typeof piece !== 'string') ? undefined : FORMAT_WANTED
}

/** Gunicorn's format string, or a word for one. */
export const accessFormat = (): Kind<string, string> => ({
  schema: v.pipe(
    v.string(),
    v.check((format) => whyWrong(format) === undefined),
  ),
  wanted: FORMAT_WANTED,
  placeholder: 'format',
  explain: ({ input }) => ({
    place: '',
    value: input,
    wanted: (typeof input === 'string' && whyWrong(input)) || FORMAT_WANTED,
  }),
})

/** Addresses and networks; in a text with commas or spaces between them. */
export const networks = (): Kind<string | readonly string[], readonly string[]> => ({
  schema: v.pipe(
    v.union([v.pipe(v.string(), v.transform(splitList)), v.array(v.string())]),
    v.array(v.pipe(v.string(), v.check(isNetwork))),
  ),
  wanted: 'addresses and networks such as "127.0.0.1", "10.0.0.0/8" or "::1", or "*" for all',
  placeholder: 'networks',
  fromText: splitList,
  many: 'list',
})

function splitList(line: string): string[] {
  return line.split(/[\s,]+/).filter((item) => item !== '')
}
