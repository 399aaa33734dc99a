// A job process: takes jobs from the queue, has threads run them, and keeps their locks. Forked by whoever starts the jobs; its
// settings are in NODICORN_JOBS.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Job, Queue, Relay, Worker } from 'bullmq'
import { UserError } from '../errors.ts'
import { isLocal, withoutSecrets, withoutUrl } from '../jobs-setting.ts'
import { CANCEL, openStore, type Store } from './connect.ts'
import type { Limits } from './define.ts'
import { givenEnvironment, type JobsEnvironment } from './environment.ts'
import type { QueueDigest } from '../job-digest.ts'
import type { JobTable, Runner } from './execute.ts'
import { MasterChannel } from './master-channel.ts'
import { JobMeter } from './meter.ts'
import { QueueLook } from './queue-look.ts'
import { JobRun } from './run-job.ts'
import { refusal } from './store/redis.ts'
import { Runners } from './runners.ts'
import { CANCELLED, type Payload } from './views.ts'

/** A dead process's jobs are taken up again within the two together, ms. */
const LOCK_MS = 10_000
const STALLED_MS = 5_000
/** So often a job may be begun again after its process died; then it has failed: it is what kills them. */
const MAX_STALLS = 2
/** A lost connection is tried again after so long, ms. */
const RETRY_MS = 1_000
/** How often finished jobs that are old enough are removed, ms, and how many at a time. */
const CLEAN_MS = 300_000
const CLEAN_COUNT = 1_000
/** Beyond the grace, for what ends by force and for the last words to the store, s. */
const LAST_WORDS = 3

class JobProcess {
  readonly #environment: JobsEnvironment
  readonly #store: Store
  readonly #runners: Runners
  readonly #limits: ReadonlyMap<string, Limits>
  readonly #channel: MasterChannel
  readonly #running = new Map<string, JobRun>()
  readonly #worker: Worker<Payload>
  readonly #queue: Queue<Payload>
  readonly #relay: Relay
  readonly #meter: JobMeter
  readonly #look: QueueLook

  constructor(
    environment: JobsEnvironment,
    store: Store,
    runners: Runners,
    limits: ReadonlyMap<string, Limits>,
    channel: MasterChannel,
  ) {
    this.#environment = environment
    this.#store = store
    this.#runners = runners
    this.#limits = limits
    this.#channel = channel
    this.#queue = store.queue()
    this.#look = new QueueLook(this.#queue)
    this.#meter = new JobMeter(limits.keys(), (digest) => channel.digest(digest))
    this.#relay = store.relay()
    this.#worker = store.worker((job, token) => this.#run(job, token), {
      concurrency: environment.concurrency,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_MS,
      maxStalledCount: MAX_STALLS,
      runRetryDelay: RETRY_MS,
      removeOnComplete: { age: environment.keep },
      removeOnFail: { age: environment.keep },
    })
    this.#worker.on('stalled', (id) => {
      this.#meter.stalled()
      channel.event('jobsStalled', { id })
    })
    this.#worker.on('completed', (job) => this.#meter.completed(job))
    this.#worker.on('failed', (job, error) => this.#tellFailed(job, error))
  }

  async start(): Promise<void> {
    await this.#worker.waitUntilReady()
    await this.#relay.subscribe<{ id: string }>(CANCEL, ({ data }) =>
      this.#running.get(data.id)?.stop('cancelled'),
    )
    const ms = Math.min(CLEAN_MS, Math.max(1_000, (this.#environment.keep * 1000) / 4))
    setInterval(() => void this.#clean(), ms).unref()
  }

  /** Undefined while the store is away. */
  async look(): Promise<QueueDigest | undefined> {
    return await this.#look.look().catch((error: unknown) => forgotten(error))
  }

  async #run(job: Job<Payload>, token: string | undefined): Promise<unknown> {
    const { UnrecoverableError, WaitingError } = this.#store.bullmq
    const limits = this.#limits.get(job.name)
    if (!limits) throw new UnrecoverableError(`no job "${job.name}" is defined`)
    // whoever enqueues may say nothing of it: the definition is here
    job.opts.attempts ||= limits.attempts
    if (limits.backoff > 0)
      job.opts.backoff ??= { type: 'exponential', delay: limits.backoff * 1000 }
    const run = this.#begin(job, limits)
    this.#running.set(job.id!, run)
    this.#meter.begin(job)
    const { outcome, reason } = await run.end
    this.#running.delete(job.id!)
    this.#meter.end(job, reason)
    if (reason === 'stopping') {
      await job.moveToWait(token)
      this.#channel.event('jobReturned', { job: job.name, id: job.id! })
      throw new WaitingError()
    }
    if (!('error' in outcome)) return outcome.value
    const { message, stack, isFinal } = outcome.error
    const failure =
      isFinal || reason === CANCELLED ? new UnrecoverableError(message) : new Error(message)
    if (stack !== undefined) failure.stack = stack
    throw failure
  }

  #begin(job: Job<Payload>, limits: Limits): JobRun {
    const task = {
      name: job.name,
      data: job.data.data,
      id: job.id!,
      attempt: job.attemptsMade + 1,
    }
    return new JobRun(task, limits, {
      run: async (one, signal) =>
        await (await this.#runners.of(limits.isolation)).run(one, limits.memory, signal),
      progress: (value) => job.updateProgress(value as object),
      log: (text) => {
        job.log(text).catch(forgotten)
      },
      stuck: () => void this.#leave(job),
    })
  }

  #tellFailed(job: Job<Payload> | undefined, error: Error): void {
    if (!job) return
    this.#meter.failed(job, error)
    const attempts = job.opts.attempts || 1
    this.#channel.event('jobFailed', {
      job: job.name,
      id: job.id!,
      attempt: job.attemptsMade,
      attempts,
      error: error.message,
      isRetried: job.finishedOn === undefined,
    })
  }

  /** Finished jobs are removed when others finish; where none do, here. */
  async #clean(): Promise<void> {
    const age = this.#environment.keep * 1000
    try {
      for (const state of ['completed', 'failed'] as const)
        await this.#queue.clean(age, CLEAN_COUNT, state)
    } catch (error) {
      forgotten(error) // ECONNREFUSED: the store restarts, and the next time is soon
    }
  }

  /** What can't be ended keeps its memory and its processor: the process goes when its other jobs have finished. */
  async #leave(job: Job<Payload>): Promise<void> {
    const { grace } = this.#environment
    await this.drain(grace)
    this.#channel.kill(
      `job ${job.name} ${job.id} goes on although it was ended: it is in native code, or inline, and only the end of its process can stop it`,
    )
  }

  /** Takes no more jobs; what still runs after `grace` seconds goes back to the queue, its attempts as they were. */
  async drain(grace: number): Promise<void> {
    const closed = this.#worker.close()
    const late = new AbortController()
    const deadline = sleep(grace * 1000, undefined, { signal: late.signal }).then(
      () => this.#running.forEach((run) => run.stop('stopping')),
      () => undefined, // AbortError: all have finished
    )
    await Promise.race([closed, deadline.then(() => sleep(LAST_WORDS * 1000))])
    late.abort()
    this.#meter.flush()
    await briefly(Promise.allSettled([this.#relay.close(), this.#queue.close()]))
    await briefly(this.#store.close())
  }
}

/** A store that has gone answers no goodbye. */
const briefly = (goodbye: Promise<unknown>): Promise<unknown> =>
  Promise.race([goodbye, sleep(LAST_WORDS * 1000)])

/** ECONNREFUSED: the store is away. What is lost is not the job. */
function forgotten(error: unknown): undefined {
  if (!(error instanceof Error)) throw error
}

async function main(): Promise<void> {
  const environment = givenEnvironment()!
  let jobs: JobProcess | undefined
  const channel = new MasterChannel({
    drain: async (grace) => await jobs?.drain(grace),
    orphaned: async () => await jobs?.drain(environment.grace),
    orphanSeconds: environment.grace + 4 * LAST_WORDS,
    look: async () => await jobs?.look(),
    onTerm: { grace: environment.grace },
  })
  process.title = 'supervisor: job worker'
  try {
    const runners = new Runners(environment)
    const [store, table] = await Promise.all([
      openStore(environment, 'worker'),
      describe(await runners.of(), environment),
    ])
    judge(store, environment, channel)
    // what is not installed is to be known now
    await Promise.all(table.map(([, { isolation }]) => runners.of(isolation)))
    jobs = new JobProcess(environment, store, runners, new Map(table), channel)
    await jobs.start()
    const names = table.map(([name]) => name)
    channel.event('jobsReady', { group: 'jobs', worker: process.pid, jobs: names })
    channel.ready()
  } catch (error) {
    const isOurs = error instanceof UserError
    channel.fatal(withoutUrl((error as Error).message, environment.store), { final: isOurs })
  }
}

async function describe(runner: Runner, { entry }: JobsEnvironment): Promise<JobTable> {
  try {
    return await runner.describe()
  } catch (error) {
    throw new UserError(
      'APP_FAILED',
      `the jobs in ${entry} can't be loaded: ${(error as Error).message}`,
    )
  }
}

function judge(store: Store, { store: url }: JobsEnvironment, channel: MasterChannel): void {
  for (const fault of store.faults) {
    const sentence = refusal(fault)
    if (sentence) throw new UserError('JOB_STORE', sentence)
    channel.event('jobsForgetful', {})
  }
  if (!isLocal(url)) channel.event('jobsRemote', { store: withoutSecrets(url) })
}

await main()
