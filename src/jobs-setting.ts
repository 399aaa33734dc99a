// The setting `jobs`: what it may hold, and what becomes of it with the variables NUM_WORKERS and REDIS_URL. A leaf.
import * as v from 'valibot'
import { jsonOf } from './json-text.ts'
import { badSetting, type UserError } from './errors.ts'
import { count, type DurationText, type Explained, type Kind, seconds } from './kinds.ts'

/** What keeps a job's code away from its neighbours. */
export const ISOLATIONS = ['thread', 'process', 'inline'] as const
export type Isolation = (typeof ISOLATIONS)[number]

/** Durations in seconds. */
export interface JobsSettings {
  /** The file that defines the jobs, as it was given. */
  readonly entry: string
  /** Job processes; undefined until completeJobs() has seen the variables. */
  readonly workers?: number | undefined
  /** Jobs at a time in each of them. */
  readonly concurrency: number
  /** Of jobs whose definitions do not say. */
  readonly isolation: Isolation
  /** `embedded`, `redis-local` or a URL; undefined until completeJobs() has seen the variables. */
  readonly store?: string | undefined
  readonly dataDir: string
  readonly keep: number
  readonly grace: number
  /** Where bull-board is below the admin address; empty if it is not. */
  readonly dashboard: string
}

export interface JobsInput {
  readonly entry: string
  readonly workers?: number | `${number}` | undefined
  readonly concurrency?: number | `${number}` | undefined
  readonly isolation?: Isolation | undefined
  readonly store?: string | undefined
  readonly dataDir?: string | undefined
  readonly keep?: number | DurationText | undefined
  readonly grace?: number | DurationText | undefined
  readonly dashboard?: boolean | { readonly path?: string | undefined } | undefined
}

/** With the variables: nothing is left open. */
export type CompleteJobs = JobsSettings & { readonly workers: number; readonly store: string }

const STORE = /^(embedded|redis-local|(rediss?|postgres(ql)?):\/\/.+)$/
export const ISOLATION_WANTED = `one of ${ISOLATIONS.join(', ')}`
/** What a job process may take beyond the grace of its jobs, seconds. */
export const BEYOND_GRACE = 8

const WANTED: Readonly<Record<string, string>> = {
  entry: 'the file that defines the jobs, such as "./jobs.js"',
  workers: 'a whole number, 0 or more',
  concurrency: 'a whole number, 1 or more',
  isolation: ISOLATION_WANTED,
  store: '"embedded", "redis-local", or a URL that begins with redis://, rediss:// or postgres://',
  dataDir: 'a directory',
  keep: 'a duration such as 3600 or "24h"',
  grace: 'a duration such as 30 or "2m"',
  dashboard:
    'true, false, or { path: "/_jobs" } with a path of letters, digits, - and _ that the admin address does not use itself',
}
const OBJECT = 'an object with at least an entry, such as { entry: "./jobs.js" }'
/** None of the admin address's own, nor a file of its page. */
const DASHBOARD_PATH = /^(?!\/(api|metrics|livez|readyz)(\/|$))(\/[\w-]+)+$/
const DASHBOARD = '/_jobs'
const text = v.pipe(v.string(), v.minLength(1))

export const jobs = (): Kind<JobsInput, JobsSettings | undefined> => ({
  schema: v.strictObject({
    entry: text,
    workers: v.optional(count().schema),
    concurrency: v.optional(count({ min: 1 }).schema, 2),
    isolation: v.optional(v.picklist(ISOLATIONS), 'thread'),
    store: v.optional(v.pipe(v.string(), v.regex(STORE))),
    dataDir: v.optional(text, './var/jobs'),
    keep: v.optional(seconds().schema, 86_400),
    grace: v.optional(seconds().schema, 30),
    dashboard: v.optional(dashboard(), false),
  }) as v.GenericSchema<JobsInput, JobsSettings | undefined>,
  wanted: OBJECT,
  placeholder: 'json',
  fromText: jsonOf,
  explain,
})

const dashboard = () =>
  v.pipe(
    v.union([
      v.boolean(),
      v.strictObject({
        path: v.optional(v.pipe(v.string(), v.regex(DASHBOARD_PATH)), DASHBOARD),
      }),
    ]),
    v.transform((given) => (typeof given === 'object' ? given.path : given ? DASHBOARD : '')),
  )

/** A store's URL may hold a password: of a wrong one only the beginning is shown. */
function explain({ path, input }: v.BaseIssue<unknown>): Explained {
  const key = path?.[0] && String((path[0] as { key: unknown }).key)
  if (key === undefined) return { place: '', value: input, wanted: OBJECT }
  const wanted = WANTED[key] ?? `left out: jobs has ${Object.keys(WANTED).join(', ')}`
  const isUrl = key === 'store' && typeof input === 'string' && input.includes(':')
  return { place: `.${key}`, value: isUrl ? withoutSecrets(input) : input, wanted }
}

/** A store that is started with the jobs, in their directory. */
export const isLocal = (store: string): boolean => store === 'embedded' || store === 'redis-local'

/** `redis://localhost:6379/0`: what may be printed of a store's URL. */
export const withoutSecrets = (store: string): string => {
  if (isLocal(store)) return store
  if (!URL.canParse(store)) return `${/^[a-z]*:?/i.exec(store)?.[0] ?? ''}...`
  const { protocol, host, pathname } = new URL(store)
  return `${protocol}//${host}${pathname}`
}

/** Drivers may quote the URL that they were given, with its password. */
export const withoutUrl = (message: string, store: string): string =>
  isLocal(store) ? message : message.replaceAll(store, withoutSecrets(store))

/**
 * NUM_WORKERS, if set, wins over the file, as all variables do. REDIS_URL is only what `store` is when the settings do not say:
 * it is often there for a cache.
 * @throws UserError for a NUM_WORKERS or a REDIS_URL that cannot be right.
 */
export function completeJobs(given: JobsSettings, env: NodeJS.ProcessEnv): CompleteJobs {
  const number = env['NUM_WORKERS']?.trim()
  const workers = number ? wholeNumber(number) : (given.workers ?? 2)
  const url = env['REDIS_URL']?.trim()
  if (given.store === undefined && url && !STORE.test(url)) throw wrongUrl(url)
  const store = given.store ?? (url || 'embedded')
  return Object.freeze({ ...given, workers, store })
}

function wholeNumber(number: string): number {
  const result = v.safeParse(count().schema, number)
  if (result.success) return result.output
  throw badSetting('NUM_WORKERS', number, WANTED['workers']!)
}

const wrongUrl = (url: string): UserError =>
  badSetting('REDIS_URL', withoutSecrets(url), 'a URL that begins with redis:// or rediss://')
