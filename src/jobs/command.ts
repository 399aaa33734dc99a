// `supervisor jobs`: runs the jobs of the settings file, without a web server; with a word after it, looks at the queue. A process of
// its own; its modules are loaded for it alone.
import { loadConfig, type Config } from '../config.ts'
import { ConfigErrors, UserError } from '../errors.ts'
import { type CompleteJobs, isLocal } from '../jobs-setting.ts'
import { Log } from '../log.ts'
import { Groups } from '../master/groups.ts'
import { listenToSignals } from '../master/signals.ts'
import type { DrainMode } from '../protocol.ts'
import { environmentOf, type JobsEnvironment } from './environment.ts'
import { jobGroups } from './groups.ts'
import { storeAt } from './store/claim.ts'

const DEFAULT_WORKERS = 2

/** Answers the exit status; errors for people are printed. */
export async function runJobs(words: readonly string[], directory: string): Promise<number> {
  try {
    const [first, ...rest] = words
    if (first !== undefined && !first.startsWith('-')) {
      const { look } = await import('./look.ts')
      return await look(
        first,
        rest,
        async (flags) => (await configured(flags, directory)).environment,
      )
    }
    return await serve(words, directory)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    const lines = error instanceof ConfigErrors ? error.lines : [error.message]
    for (const line of lines) process.stderr.write(`supervisor: ${line}\n`)
    return error.exit
  }
}

interface Configured {
  readonly config: Config
  readonly jobs: CompleteJobs
  /** What relative paths are relative to. */
  readonly place: string
  readonly environment: JobsEnvironment
}

async function configured(argv: readonly string[], directory: string): Promise<Configured> {
  const config = await loadConfig({ argv, cwd: directory })
  const jobs = config.settings.jobs as CompleteJobs | undefined
  const place = config.settings.chdir || directory
  if (jobs) return { config, jobs, place, environment: environmentOf(jobs, place) }
  throw new UserError(
    'NO_JOBS',
    `jobs are not configured: ${config.file ?? 'a settings file'} must have jobs, such as jobs: { entry: './jobs.js' }`,
  )
}

async function serve(argv: readonly string[], directory: string): Promise<number> {
  const began = performance.now()
  const { config, jobs, place, environment } = await configured(argv, directory)
  const { settings, sources } = config
  // whoever calls this wants some, also where NUM_WORKERS=0 keeps the web server from having any
  const asked = sources.workers.startsWith('-') ? settings.workers : jobs.workers
  const workers = (typeof asked === 'number' && asked) || DEFAULT_WORKERS
  const log = new Log()
  log.check(settings)
  log.open(settings)
  const owner = isLocal(jobs.store) ? await storeAt(environment.socket) : undefined
  if (owner !== undefined) log.event('jobStoreShared', { dataDir: environment.dataDir, owner })
  const hasStore = owner !== undefined
  const specs = jobGroups({ ...jobs, workers }, settings.env, place, { hasStore })
  try {
    return await run(new Groups(config, log, () => specs), log, { ...jobs, workers }, began)
  } finally {
    await log.close()
  }
}

/** Answers the exit status, when all of them are gone. */
function run(groups: Groups, log: Log, jobs: CompleteJobs, began: number): Promise<number> {
  const { workers, grace } = jobs
  let phase: 'starting' | 'serving' | { readonly exit: number } = 'starting'
  return new Promise((resolve) => {
    const stop = (mode: DrainMode, exit: number): void => {
      phase = { exit }
      groups.stop(mode)
      look()
    }
    const look = (): void => {
      if (typeof phase === 'object') {
        if (groups.finish()) resolve(phase.exit)
      } else if (phase === 'starting' && groups.hopeless !== undefined) {
        log.event('startFailed', { error: groups.hopeless, exit: 1 })
        stop('quick', 1)
      } else if (phase === 'starting' && groups.areReady) {
        phase = 'serving'
        log.event('jobsServing', { workers, seconds: (performance.now() - began) / 1000 })
      }
    }
    groups.onChange(look)
    listenToSignals((order) => {
      if (order !== 'stop' && order !== 'quick-stop') return
      if (typeof phase === 'object') return groups.killAll('a second signal asked to stop at once')
      log.event('jobsDraining', { grace: order === 'stop' ? grace : 0 })
      stop(order === 'stop' ? 'graceful' : 'quick', 0)
    })
    void groups.start()
  })
}
