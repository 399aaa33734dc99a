// Where the jobs of an app are to be, as far as settings and package.json tell, and what its files must have for that. Pure. Runs in
// the CLI.
import { relative, resolve } from 'node:path'
import { BEYOND_GRACE } from '../jobs-setting.ts'
import type { Settings } from '../settings.ts'
import type { Manifest } from './packages.ts'

export interface JobsPlace {
  readonly store: 'embedded' | 'redis' | 'postgres'
  /** Of the settings; undefined where the variable REDIS_URL is to say it. */
  readonly url: URL | undefined
  /** Of the embedded store, absolute. */
  readonly directory: string
  /** Seconds that a job process may take to leave: the grace of its jobs, and what it needs itself. */
  readonly grace: number
}

/** `directory`: of the project. Undefined for an app without jobs. */
export function jobsOf(
  { jobs, chdir }: Settings,
  directory: string,
  { dependencies = {} }: Manifest,
): JobsPlace | undefined {
  if (!jobs) return undefined
  const place = {
    directory: resolve(directory, chdir, jobs.dataDir),
    grace: Math.ceil(jobs.grace) + BEYOND_GRACE,
  }
  if (jobs.store !== undefined && jobs.store !== 'embedded') {
    const url = new URL(jobs.store)
    return { ...place, url, store: url.protocol.startsWith('redis') ? 'redis' : 'postgres' }
  }
  // the package of the embedded store may be there for development alone
  const isElsewhere =
    dependencies['ioredis'] !== undefined && dependencies['@electric-sql/pglite'] === undefined
  return { ...place, url: undefined, store: isElsewhere ? 'redis' : 'embedded' }
}

/** A store that the settings have on the machine of the app. */
export const isLocal = (url: URL): boolean => /^(localhost|127\..*|\[::1\])$/.test(url.hostname)

/** Where several processes need not be on one machine: the app's alone and the jobs' alone. */
export const isShared = (jobs: JobsPlace | undefined): boolean =>
  jobs !== undefined && jobs.store !== 'embedded'

/** The embedded store below the project's directory, for a project whose jobs are in it where it is deployed. */
export const storeDirectory = (
  jobs: JobsPlace | undefined,
  directory: string,
): string | undefined => (jobs?.store === 'embedded' ? dataDirectory(jobs, directory) : undefined)

/** Where the embedded store is below the project's directory; undefined without jobs, or if it is outside. */
export function dataDirectory(jobs: JobsPlace | undefined, directory: string): string | undefined {
  if (!jobs) return undefined
  const path = relative(directory, jobs.directory)
  return path === '' || path.startsWith('..') ? undefined : path
}

/** `supervisor jobs`, with the settings file if that was named. */
export function jobsWords(words: readonly string[]): readonly string[] {
  const at = words.findIndex((word) => /^(-c|--config(=|$))/.test(word))
  if (at === -1) return ['jobs']
  const isAlone = ['-c', '--config'].includes(words[at]!)
  return ['jobs', ...words.slice(at, isAlone ? at + 2 : at + 1)]
}
