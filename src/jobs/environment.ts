// What every process of the job queue is told, in one variable. Runs in the job processes, and in applications that enqueue; the
// only reader of it.
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { LONGEST_PATH } from '../control-place.ts'
import { UserError } from '../errors.ts'
import type { CompleteJobs, Isolation } from '../jobs-setting.ts'

export const VARIABLE = 'NODICORN_JOBS'

/** Absolute paths; durations in seconds. */
export interface JobsEnvironment {
  readonly entry: string
  readonly concurrency: number
  readonly isolation: Isolation
  /** `embedded`, `redis-local` or a URL. */
  readonly store: string
  readonly dataDir: string
  /** Of the embedded store; of another local one, it is the lock of its directory. */
  readonly socket: string
  /** Of `redis-local`. */
  readonly redisSocket: string
  readonly keep: number
  readonly grace: number
  /** The path of the dashboard; empty if there is none. */
  readonly dashboard: string
}

/** `directory`: what relative paths of the settings are relative to. */
export function environmentOf(settings: CompleteJobs, directory: string): JobsEnvironment {
  const dataDir = resolve(directory, settings.dataDir)
  return {
    entry: resolve(directory, settings.entry),
    concurrency: settings.concurrency,
    isolation: settings.isolation,
    store: settings.store,
    dataDir,
    socket: socketOf(dataDir, 'store'),
    redisSocket: socketOf(dataDir, 'redis'),
    keep: settings.keep,
    grace: settings.grace,
    dashboard: settings.dashboard,
  }
}

/** In the data directory, unless its path is too long for a socket's address. */
function socketOf(dataDir: string, name: 'store' | 'redis'): string {
  const path = join(dataDir, `${name}.sock`)
  if (path.length <= LONGEST_PATH) return path
  const { createHash } = process.getBuiltinModule('node:crypto') // loading it takes longer than all else here
  const mark = createHash('sha256').update(dataDir).digest('hex').slice(0, 16)
  return join(tmpdir(), `nodicorn-jobs-${process.getuid?.() ?? 0}`, `${mark}.${name}`)
}

/** What the parent said. Undefined in a program that nobody of us has started. */
export function givenEnvironment(): JobsEnvironment | undefined {
  const text = process.env[VARIABLE]
  return text ? (JSON.parse(text) as JobsEnvironment) : undefined
}

/**
 * What the parent said, else the settings file of the working directory: a script can enqueue too.
 * @throws UserError NO_JOBS if there is neither.
 */
export async function findEnvironment(): Promise<JobsEnvironment> {
  const given = givenEnvironment()
  if (given) return given
  const { loadConfig } = await import('../config.ts')
  const { settings } = await loadConfig()
  if (settings.jobs) return environmentOf(settings.jobs as CompleteJobs, process.cwd())
  throw new UserError(
    'NO_JOBS',
    `jobs are not configured: the settings file in ${process.cwd()} has no jobs, such as jobs: { entry: './jobs.js' }`,
  )
}
