// `supervisor jobs`: runs the jobs of the settings file, without a web server; with a word after it, looks at the queue. A process of
// its own; its modules are loaded for it alone.
import { loadConfig, type Config } from '../config.ts'
import { ConfigErrors, UserError } from '../errors.ts'
import type { CompleteJobs } from '../jobs-setting.ts'
import { Log } from '../log.ts'
import { listenToSignals } from '../master/signals.ts'
import { environmentOf, type JobsEnvironment } from './environment.ts'
import { jobGroups } from './groups.ts'
import { storeAt } from './store/claim.ts'
import { JobSupervisor } from './supervise.ts'

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
  const owner = jobs.store === 'embedded' ? await storeAt(environment.socket) : undefined
  if (owner !== undefined) log.event('jobStoreShared', { dataDir: environment.dataDir, owner })
  const hasStore = owner !== undefined
  const specs = jobGroups({ ...jobs, workers }, place, { hasStore })
  const supervisor = new JobSupervisor(specs, once(log))
  try {
    return await run(supervisor, log, jobs.grace, workers, began)
  } finally {
    await log.close()
  }
}

async function run(
  supervisor: JobSupervisor,
  log: Log,
  grace: number,
  workers: number,
  began: number,
): Promise<number> {
  const stopped = new Promise<number>((resolve) => {
    listenToSignals((order) => {
      if (order !== 'stop' && order !== 'quick-stop') return
      const granted = order === 'stop' ? grace : 0
      log.event('jobsDraining', { grace: granted })
      void supervisor.stop(granted).then(() => resolve(0))
    })
  })
  const started = supervisor.start().then(
    () => {
      const seconds = (performance.now() - began) / 1000
      log.event('jobsServing', { workers, seconds })
      return stopped
    },
    async (error: Error) => {
      log.event('startFailed', { error: error.message, exit: 1 })
      await supervisor.stop(0)
      return 1
    },
  )
  return await Promise.race([stopped, started])
}

/** What is said of the store, each of its processes would say. */
function once(log: Log): ConstructorParameters<typeof JobSupervisor>[1] {
  const said = new Set<string>()
  return (name, facts) => {
    if (name === 'jobsRemote' || name === 'jobsForgetful') {
      if (said.has(name)) return
      said.add(name)
    }
    log.event(name, facts)
  }
}
