// The setting `processes`: what runs beside the workers, such as a scheduler or a tunnel. A leaf.
import * as v from 'valibot'
import { jsonOf } from './json-text.ts'
import { count, seconds, variables, words, type DurationText, type Explained } from './kinds.ts'

/** A group of processes of one kind. Durations in seconds. */
export interface ProcessSettings {
  /** A program and its arguments; empty if there is an `entry`. */
  readonly command: readonly string[]
  /** A file that node runs; undefined if there is a `command`. */
  readonly entry: string | undefined
  /** How many of them. */
  readonly workers: number
  readonly env: Readonly<Record<string, string>>
  /** How long each may take to end when it is told to; undefined: gracefulTimeout. */
  readonly grace: number | undefined
}

export interface ProcessInput {
  readonly command?: string | readonly string[] | undefined
  readonly entry?: string | undefined
  readonly workers?: number | `${number}` | undefined
  readonly env?: Readonly<Record<string, string | number | boolean>> | undefined
  readonly grace?: number | DurationText | undefined
}

/** Names that mean something else: the workers themselves, and the job queue's processes. */
const TAKEN = ['web', 'master', 'worker', 'jobs', 'jobs-store']
const NAME = /^[a-z][\w-]{0,29}$/i
const isName = (name: string): boolean => NAME.test(name) && !TAKEN.includes(name)

const WANTED: Readonly<Record<string, string>> = {
  command: 'a program and its arguments, such as "cloudflared tunnel run" or ["crond", "-f"]',
  entry: 'a file that node runs, such as "./scheduler.js"',
  workers: 'a whole number, 0 or more',
  env: 'an object of variables, such as { "QUEUE": "mail" }',
  grace: 'a duration such as 30 or "2m"',
}
const NAME_WANTED = `named by letters, digits, "-" and "_", 30 at most, and not ${TAKEN.join(', ')}`
const ONE_WANTED = 'an object with either a command or an entry'

const group = v.pipe(
  v.strictObject({
    command: v.optional(words('').schema, []),
    entry: v.optional(v.pipe(v.string(), v.minLength(1))),
    workers: v.optional(count().schema, 1),
    env: v.optional(variables().schema, {}),
    grace: v.optional(seconds().schema),
  }),
  v.check(({ command, entry }) => command.length > 0 !== (entry !== undefined)),
)

/** `{ scheduler: { entry: './scheduler.js' }, tunnel: { command: 'cloudflared tunnel run' } }`; in a flag or variable as JSON. */
export const processes = () => ({
  schema: v.record(v.pipe(v.string(), v.check(isName)), group) as v.GenericSchema<
    Readonly<Record<string, ProcessInput>>,
    Readonly<Record<string, ProcessSettings>>
  >,
  wanted:
    'an object of groups, such as { "scheduler": { "entry": "./scheduler.js" }, "tunnel": { "command": "cloudflared tunnel run" } }',
  placeholder: 'json',
  fromText: jsonOf,
  explain,
})

function explain({ path, input, type }: v.BaseIssue<unknown>): Explained {
  const [name, key] = (path ?? []).map((item) => String((item as { key: unknown }).key))
  if (name === undefined) return { place: '', value: input, wanted: processes().wanted }
  const place = `[${JSON.stringify(name)}]`
  if (key !== undefined) {
    const wanted = WANTED[key] ?? `left out: a group has ${Object.keys(WANTED).join(', ')}`
    return { place: `${place}.${key}`, value: input, wanted }
  }
  if (type === 'check' && !isName(name)) return { place, value: name, wanted: NAME_WANTED }
  return { place, value: input, wanted: ONE_WANTED }
}
