// The kinds of values a setting can have: what is accepted, and what the program gets. A leaf under settings.ts.
import * as v from 'valibot'
import { faultOf } from './routes.ts'
import { socketName } from './activation.ts'
import { addressWanted, tryAddress } from './address.ts'
import { jsonOf } from './json-text.ts'
import { shellWords } from './shell-words.ts'

/** What a kind brings to a row of the table. */
export interface Kind<Input, Output> {
  /** From the value in the settings file, or the text of a flag or variable, to the program's value. */
  readonly schema: v.GenericSchema<Input, Output>
  /** Completes "it must be ...". */
  readonly wanted: string
  /** Stands for the value in the help: `--timeout <seconds>`. Absent for a flag without a value. */
  readonly placeholder?: string
  /** Turns the text of a flag or variable into what a settings file would hold; text that it can't read stays as it is. */
  readonly fromText?: (text: string) => unknown
  /** 'list' collects repeated flags, 'map' also merges the file's keys with them; otherwise the last one wins. */
  readonly many?: 'list' | 'map'
  /** For structured values: the place inside the value, what stands there and what would be right. */
  readonly explain?: (issue: v.BaseIssue<unknown>) => Explained
}

export interface Explained {
  /** Appended to the setting's name: `["GET /x"].timeout`. */
  readonly place: string
  readonly value: unknown
  readonly wanted: string
}

type NumberText = `${number}`
export type DurationText = `${number}${'' | 'ms' | 's' | 'm' | 'h' | 'd'}`
export type SizeText = `${number}${'' | 'b' | 'kb' | 'mb' | 'gb'}`

const MAX_COUNT = 2 ** 31 - 1
// setTimeout fires at once above 2^31-1 milliseconds; 24 days is the last whole day below.
const MAX_SECONDS = 24 * 86_400

interface Units {
  readonly pattern: RegExp
  readonly factors: Readonly<Record<string, number>>
  readonly finish: (value: number) => number
}
const TIME: Units = {
  pattern: /^(\d+(?:\.\d+)?|\.\d+) ?(ms|s|m|h|d)?$/,
  factors: { '': 1, ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 },
  finish: (value) => value,
}
const SIZE: Units = {
  pattern: /^(\d+(?:\.\d+)?|\.\d+) ?([kKmMgG]?[bB])?$/,
  factors: { '': 1, b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 },
  finish: Math.round,
}

/** A whole number; digits in a string count too. */
export const count = ({ min = 0 } = {}): Kind<number | NumberText, number> => ({
  schema: wholeNumber(min),
  wanted: `a whole number, ${min} or more`,
  placeholder: 'n',
})

/** A whole number, or one word that stands for a number found later. */
export const countOr = <Word extends string>(
  word: Word,
  { min = 0 } = {},
): Kind<number | NumberText | Word, number | Word> => ({
  schema: v.union([v.literal(word), wholeNumber(min)]),
  wanted: `a whole number, ${min} or more, or "${word}"`,
  placeholder: `n|${word}`,
  fromText: (text) => (text.toLowerCase() === word ? word : text),
})

/** A duration; the program's value is in seconds, fractions allowed. */
export const seconds = (): Kind<number | DurationText, number> => ({
  schema: measured(TIME, MAX_SECONDS),
  wanted: 'a number of seconds from 0 to 24 days, or a duration such as "500ms", "2m" or "1h"',
  placeholder: 'seconds',
})

/** A duration, or one word for another setting's value. */
export const secondsOr = <Word extends string>(
  word: Word,
): Kind<number | DurationText | Word, number | Word> => ({
  schema: v.union([v.literal(word), measured(TIME, MAX_SECONDS)]) as v.GenericSchema<
    number | DurationText | Word,
    number | Word
  >,
  wanted: `a number of seconds from 0 to 24 days, a duration such as "500ms" or "2m", or "${word}"`,
  placeholder: `seconds|${word}`,
})

/** `5 in 60s`: so many in so long. */
export const burst = (): Kind<BurstText | Burst, Burst> => ({
  schema: v.union([
    v.pipe(
      v.custom<BurstText>(
        (text) => typeof text === 'string' && BURST.test(text) && secondsIn(text) !== undefined,
      ),
      v.transform((text) => ({ timeouts: Number.parseInt(text, 10), seconds: secondsIn(text)! })),
    ),
    v.strictObject({ timeouts: v.pipe(v.number(), v.integer(), v.minValue(0)), seconds: moment }),
  ]),
  wanted: 'a number and a duration, such as "5 in 60s"',
  placeholder: 'n in seconds',
})

const moment = v.pipe(v.number(), v.gtValue(0))
export type Burst = { readonly timeouts: number; readonly seconds: number }
export type BurstText = `${number} in ${string}`
const BURST = /^\d{1,6} in (.+)$/

const secondsIn = (text: string): number | undefined => {
  const result = v.safeParse(measured(TIME, MAX_SECONDS), BURST.exec(text)?.[1])
  return result.success && result.output > 0 ? result.output : undefined
}

/** An absolute http or https URL, or nothing. */
export const url = (): Kind<string, string> => ({
  schema: v.pipe(
    v.string(),
    v.check((text) => text === '' || (URL.canParse(text) && /^https?:/.test(text))),
  ),
  wanted: 'a URL that begins with http:// or https://',
  placeholder: 'url',
})

/** A share between 0 and 1. */
export const ratio = (): Kind<number | NumberText, number> => ({
  schema: v.union([
    v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
    v.pipe(v.custom<NumberText>(isShare), v.transform(Number)),
  ]),
  wanted: 'a number from 0 to 1',
  placeholder: 'ratio',
})

const isShare = (text: unknown): boolean =>
  typeof text === 'string' && /^(0|1|1\.0+|0?\.\d+)$/.test(text)

/** `{ 'POST /imports/*': { timeout: 300 } }`; in a flag or variable as JSON. */
export const routes = () => ({
  schema: v.record(
    v.pipe(
      v.string(),
      v.check((pattern) => faultOf(pattern) === undefined),
    ),
    v.strictObject(routeSettings),
  ),
  wanted: ROUTES_WANTED,
  placeholder: 'json',
  fromText: jsonOf,
  explain: explainRoute,
})

/** A size; the program's value is in bytes. kb, mb and gb are powers of 1024. */
export const bytes = ({ min = 0 } = {}): Kind<number | SizeText, number> => ({
  schema: measured(SIZE, Number.MAX_SAFE_INTEGER, min),
  wanted: `a number of bytes, ${min} or more, or a size such as "16kb", "512mb" or "1gb"`,
  placeholder: 'bytes',
})

/** On or off. In text: 1, true, yes, on and 0, false, no, off. */
export const onOff = (): Kind<boolean, boolean> => ({
  schema: v.boolean(),
  wanted: 'true or false',
  fromText: (text) => {
    if (/^(1|true|yes|on)$/i.test(text)) return true
    return /^(0|false|no|off)$/i.test(text) ? false : text
  },
})

export const text = (placeholder: string, wanted = 'a text', is = /^/): Kind<string, string> => ({
  schema: is.source === '^' ? v.string() : v.pipe(v.string(), v.regex(is)),
  wanted,
  placeholder,
})

/** A user or a group: its name or its number; the program's value is a string. */
export const account = (what: 'user' | 'group'): Kind<string | number, string> => ({
  schema: v.union([
    v.string(),
    v.pipe(v.number(), v.integer(), v.minValue(0), v.transform(String)),
  ]),
  wanted: `the name or the number of a ${what}`,
  placeholder: what,
})

/** One of a few words; synonyms are accepted and translated. Case does not matter in flags and variables. */
export const oneOf = <Choice extends string, Synonym extends string = never>(
  choices: readonly Choice[],
  synonyms: Readonly<Record<Synonym, Choice>> = {} as Readonly<Record<Synonym, Choice>>,
): Kind<Choice | Synonym, Choice> => {
  const words = [...choices, ...(Object.keys(synonyms) as Synonym[])]
  const isSynonym = (word: Choice | Synonym): word is Synonym => Object.hasOwn(synonyms, word)
  const schema = v.pipe(
    v.picklist(words),
    v.transform((word): Choice => (isSynonym(word) ? synonyms[word] : (word as Choice))),
  )
  return {
    schema: schema as v.GenericSchema<Choice | Synonym, Choice>,
    wanted: `one of ${choices.join(', ')}`,
    placeholder: choices.join('|'),
    fromText: (word) => word.toLowerCase(),
  }
}

/** Addresses, checked here and parsed by address.ts where they are used. A number is a port. */
export const addresses = (): Kind<string | number | readonly string[], readonly string[]> => ({
  schema: v.pipe(
    v.union([
      v.pipe(v.string(), v.transform(splitList)),
      v.pipe(
        v.number(),
        v.integer(),
        v.transform((port) => [String(port)]),
      ),
      v.array(v.string()),
    ]),
    v.array(
      v.pipe(
        v.string(),
        v.check((item) => tryAddress(item) !== undefined || socketName(item) !== undefined),
      ),
    ),
  ),
  wanted: addressWanted,
  placeholder: 'address',
  fromText: splitList,
  many: 'list',
})

/** Words as on a command line. Text is split as a shell would. */
export const words = (
  placeholder: string,
): Kind<string | readonly string[], readonly string[]> => ({
  schema: v.union([
    v.pipe(
      v.string(),
      v.check((line) => shellWords(line) !== undefined),
      v.transform((line) => shellWords(line) ?? []),
    ),
    v.array(v.string()),
  ]),
  wanted: 'a list of texts, or one text whose quotes are closed',
  placeholder,
  fromText: (line) => shellWords(line) ?? line,
  many: 'list',
})

/** Environment variables: an object in a file, KEY=VALUE in a flag. */
export const variables = (): Kind<
  Readonly<Record<string, string | number | boolean>>,
  Readonly<Record<string, string>>
> => ({
  schema: v.record(
    v.pipe(v.string(), v.regex(/^[^=\0\d][^=\0]*$/)),
    v.union([v.string(), v.pipe(v.union([v.number(), v.boolean()]), v.transform(String))]),
  ),
  wanted: 'KEY=VALUE, or in a settings file an object of texts',
  placeholder: 'KEY=VALUE',
  many: 'map',
  // A flag is one KEY=VALUE, taken whole because the value may hold spaces and quotes.
  fromText: (pair) => {
    const equals = pair.indexOf('=')
    return equals > 0 ? { [pair.slice(0, equals)]: pair.slice(equals + 1) } : pair
  },
})

/** A file mode mask: octal text, or a number (in JavaScript 0o022). */
export const mask = (): Kind<string | number, number | undefined> =>
  octal(/^(0o)?0?[0-7]{1,3}$/, 'an octal mask from 0 to 0777, such as "0022"')

/** Rights of files, up to 0o777: octal text that matches, or a number. */
export const octal = (text: RegExp, wanted: string): Kind<string | number, number | undefined> => ({
  schema: v.union([
    v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0o777)),
    v.pipe(
      v.string(),
      v.regex(text),
      v.transform((digits) => Number.parseInt(digits.replace(/^0o/, ''), 8)),
    ),
  ]),
  wanted,
  placeholder: 'octal',
})

const splitList = (line: string): string[] => line.split(/[\s,]+/).filter((item) => item !== '')

// In both helpers each branch checks its own numbers: the JSON Schema shows what a file may hold, so it
// follows a branch up to its transformation and no further.
const wholeNumber = (min: number): v.GenericSchema<number | NumberText, number> => {
  const number = v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(MAX_COUNT))
  return v.union([
    number,
    v.pipe(v.string(), v.regex(/^\d+$/), v.transform(Number), number),
  ]) as v.GenericSchema<number | NumberText, number>
}

/** A number, or a number with a unit of the table. */
const measured = <Input>(units: Units, max: number, min = 0): v.GenericSchema<Input, number> => {
  const number = v.pipe(v.number(), v.finite(), v.minValue(min), v.maxValue(max))
  const inUnits = (line: string): number => {
    const [, digits, suffix = ''] = units.pattern.exec(line) ?? []
    return units.finish(Number(digits) * (units.factors[suffix.toLowerCase()] ?? Number.NaN))
  }
  return v.union([
    v.pipe(number, v.transform(units.finish)),
    v.pipe(v.string(), v.regex(units.pattern), v.transform(inUnits), number),
  ]) as v.GenericSchema<unknown, number> as v.GenericSchema<Input, number>
}

const routeSettings = {
  timeout: v.optional(measured(TIME, MAX_SECONDS)),
  concurrency: v.optional(wholeNumber(1)),
  queueTimeout: v.optional(measured(TIME, MAX_SECONDS)),
  maxBody: v.optional(measured(SIZE, Number.MAX_SAFE_INTEGER, 0)),
}

const ROUTES_WANTED = "an object such as { 'POST /imports/*': { timeout: 300 } }"

const ROUTE_WANTED: Readonly<Record<string, string>> = {
  timeout: 'a duration such as 300 or "5m"',
  concurrency: 'a whole number, 1 or more',
  queueTimeout: 'a duration such as 10 or "500ms"',
  maxBody: 'a size such as "50mb"',
}

function explainRoute({ path, input }: v.BaseIssue<unknown>): Explained {
  const [first, second] = (path ?? []) as unknown as readonly { key: string }[]
  if (!first) return { place: '', value: input, wanted: ROUTES_WANTED }
  const fault = faultOf(first.key)
  if (fault)
    return {
      place: '',
      value: first.key,
      wanted: `a pattern such as "POST /imports/*": at character ${fault.at + 1}, ${fault.why}`,
    }
  const place = `["${first.key}"]`
  if (!second)
    return {
      place,
      value: input,
      wanted: `an object with any of ${Object.keys(ROUTE_WANTED).join(', ')}`,
    }
  const wanted = ROUTE_WANTED[second.key]
  const unknown = `left out: a route has ${Object.keys(ROUTE_WANTED).join(', ')}`
  return { place: `${place}.${second.key}`, value: input, wanted: wanted ?? unknown }
}
