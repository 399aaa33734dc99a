// What an application asks of the queue: enqueue, look, cancel. Runs in applications, and in the command line; connects with the
// first question.
import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Job, JobsOptions, Queue, QueueEvents, Relay } from 'bullmq'
import { isAway } from './away.ts'
import { CANCEL, openStore, type Store } from './connect.ts'
import { findEnvironment, type JobsEnvironment } from './environment.ts'
import {
  CANCELLED,
  jobStatus,
  type JobStatus,
  type Payload,
  statesOf,
  type Status,
  STATUSES,
  statusOf,
} from './views.ts'

export interface EnqueueOptions {
  /** Two enqueuings with the same id are one job. Any text, such as a client's Idempotency-Key; default a random UUID. */
  readonly id?: string | undefined
  /** What the status shows beside its own, such as a file name. */
  readonly meta?: Readonly<Record<string, unknown>>
  /** Begun this many seconds from now at the earliest. */
  readonly delay?: number
  /** 1 is the first; default none, which is before all that have one. */
  readonly priority?: number
}

export interface ListOptions {
  readonly state?: Status | undefined
  /** Default 50, at most 1000. */
  readonly limit?: number | undefined
}

/** `removed`: it had not begun. `cancelled`: it was running. `finished`: it was too late. */
export type Cancelled = 'removed' | 'cancelled' | 'finished'

export interface JobEvent {
  readonly event: 'progress' | 'completed' | 'failed'
  readonly job_id: string
  /** The progress, the result or the reason. */
  readonly data: unknown
}

export interface Details extends JobStatus {
  readonly data: unknown
  readonly result?: unknown
  readonly stack: readonly string[]
  readonly log: readonly string[]
}

const MAX_LIST = 1_000
const CLEAN_COUNT = 1_000
/** How often, and for how long, a job is asked to end, ms. */
const CANCEL_STEP_MS = 100
const CANCEL_AGAIN = 10
const CANCEL_PATIENCE_MS = 10_000
/** A store that restarts is asked again for so long, ms: the id makes it one job. */
const ENQUEUE_PATIENCE_MS = 15_000
const ENQUEUE_STEP_MS = 200
/** The store has finished jobs in the order of their ends: so many more are read, to have the newest by their beginnings. */
const OVERLAP = 50

export class Client {
  readonly #environment: () => Promise<JobsEnvironment>
  #store: Promise<Store> | undefined
  #queue: Promise<Queue<Payload>> | undefined
  #events: Promise<QueueEvents> | undefined
  #relay: Promise<Relay> | undefined

  /** `environment` says where the store is, when that is needed. */
  constructor(environment = findEnvironment) {
    this.#environment = environment
  }

  async enqueue(name: string, data: unknown, options: EnqueueOptions = {}): Promise<string> {
    const id = idOf(options.id)
    const settings: JobsOptions = {
      jobId: id,
      ...(options.delay && { delay: options.delay * 1000 }),
      ...(options.priority && { priority: options.priority }),
    }
    const payload = { data, ...(options.meta && { meta: options.meta }) }
    const end = performance.now() + ENQUEUE_PATIENCE_MS
    for (;;) {
      try {
        await (await this.queue()).add(name, payload, settings)
        return id
      } catch (error) {
        if (!isAway(error) || performance.now() > end) throw error
        await sleep(ENQUEUE_STEP_MS)
      }
    }
  }

  /** Undefined if there is no such job. */
  async status(id: string): Promise<JobStatus | undefined> {
    const found = await this.#look(id)
    return found && jobStatus(found.job, found.state)
  }

  /** Its result too, once there is one. */
  async outcome(id: string): Promise<{ status: JobStatus; result?: unknown } | undefined> {
    const found = await this.#look(id)
    if (!found) return undefined
    const status = jobStatus(found.job, found.state)
    if (status.status !== 'completed') return { status }
    return { status, result: found.job.returnvalue as unknown }
  }

  async details(id: string): Promise<Details | undefined> {
    const found = await this.#look(id)
    if (!found) return undefined
    const { job, state } = found
    const { logs } = await (await this.queue()).getJobLogs(id)
    const status = jobStatus(job, state)
    return {
      ...status,
      data: job.data.data,
      ...(status.status === 'completed' && { result: job.returnvalue as unknown }),
      stack: (job.stacktrace ?? []).flatMap((text) => text.split('\n')),
      log: logs,
    }
  }

  /** Newest first. */
  async list({ state, limit = 50 }: ListOptions = {}): Promise<JobStatus[]> {
    const queue = await this.queue()
    const count = Math.min(Math.max(1, limit), MAX_LIST)
    const found = await Promise.all(
      (state ? [state] : STATUSES).flatMap((status) =>
        statesOf[status].map(async (one) => {
          const jobs = await queue.getJobs([one], 0, count + OVERLAP - 1, false)
          // removed between the two looks that getJobs takes
          return jobs.filter(Boolean).map((job) => jobStatus(job as Job<Payload>, one))
        }),
      ),
    )
    return found
      .flat()
      .sort((a, b) => b.created_at.localeCompare(a.created_at))
      .slice(0, count)
  }

  async stats(): Promise<Record<Status, number>> {
    const queue = await this.queue()
    const counts = await queue.getJobCounts(...STATUSES.flatMap((status) => statesOf[status]))
    const sum = (status: Status): number =>
      statesOf[status].reduce((all, one) => all + (counts[one] ?? 0), 0)
    return Object.fromEntries(STATUSES.map((status) => [status, sum(status)])) as Record<
      Status,
      number
    >
  }

  /** Returns when it has ended, or after ten seconds. Undefined if there is no such job. */
  async cancel(id: string): Promise<Cancelled | undefined> {
    const end = performance.now() + CANCEL_PATIENCE_MS
    let isAsked = false
    for (let turn = 0; performance.now() < end; turn++) {
      const found = await this.#look(id)
      if (!found) return isAsked ? 'removed' : undefined
      const { job } = found
      const status = statusOf(found.state)
      if (status === 'failed' && isAsked && job.failedReason === CANCELLED) return 'cancelled'
      if (status === 'completed' || status === 'failed') return 'finished'
      if (status === 'queued' && (await removed(job))) return 'removed'
      // a message may be lost while a process or the store restarts
      if (turn % CANCEL_AGAIN === 0) await (await this.#openRelay()).publish(CANCEL, { id })
      isAsked = true
      await sleep(CANCEL_STEP_MS)
    }
    return 'cancelled'
  }

  /** Queues a failed job again, with all its attempts. False if it is not a failed one. */
  async retry(id: string): Promise<boolean> {
    const found = await this.#look(id)
    if (found?.state !== 'failed') return false
    await found.job.retry('failed', { resetAttemptsMade: true })
    return true
  }

  /** Removes what finished more than `age` seconds ago. How many. */
  async clean(age: number, state?: 'completed' | 'failed'): Promise<number> {
    const queue = await this.queue()
    let count = 0
    for (const one of state ? [state] : (['completed', 'failed'] as const)) {
      for (let some = CLEAN_COUNT; some === CLEAN_COUNT; count += some)
        some = (await queue.clean(age * 1000, CLEAN_COUNT, one)).length
    }
    return count
  }

  /** Calls `hear` for what happens to any job. The result ends that. */
  async listen(hear: (event: JobEvent) => void): Promise<() => void> {
    const events = await this.#openEvents()
    const on = {
      progress: ({ jobId, data }: { jobId: string; data: unknown }) =>
        hear({ event: 'progress', job_id: jobId, data }),
      completed: ({ jobId, returnvalue }: { jobId: string; returnvalue: unknown }) =>
        hear({ event: 'completed', job_id: jobId, data: parsed(returnvalue) }),
      failed: ({ jobId, failedReason }: { jobId: string; failedReason: string }) =>
        hear({ event: 'failed', job_id: jobId, data: failedReason }),
    }
    events.on('progress', on.progress).on('completed', on.completed).on('failed', on.failed)
    return () => {
      events.off('progress', on.progress).off('completed', on.completed).off('failed', on.failed)
    }
  }

  /** The next question connects again. */
  async close(): Promise<void> {
    const [store, ...others] = [this.#store, this.#queue, this.#events, this.#relay]
    this.#store = this.#queue = this.#events = this.#relay = undefined
    const opened = await Promise.allSettled(others)
    await Promise.allSettled(
      opened.map((one) => (one.status === 'fulfilled' ? one.value?.close() : undefined)),
    )
    await (await store)?.close()
  }

  queue(): Promise<Queue<Payload>> {
    return (this.#queue ??= again(
      async () => {
        const queue = (await this.#open()).queue()
        await queue.waitUntilReady()
        return queue
      },
      () => (this.#queue = undefined),
    ))
  }

  #open(): Promise<Store> {
    return (this.#store ??= again(
      async () => await openStore(await this.#environment(), 'client'),
      () => (this.#store = undefined),
    ))
  }

  #openEvents(): Promise<QueueEvents> {
    return (this.#events ??= again(
      async () => {
        const events = (await this.#open()).events()
        // each request that watches a job listens
        events.setMaxListeners(0)
        await events.waitUntilReady()
        return events
      },
      () => (this.#events = undefined),
    ))
  }

  #openRelay(): Promise<Relay> {
    return (this.#relay ??= again(
      async () => (await this.#open()).relay(),
      () => (this.#relay = undefined),
    ))
  }

  /** The state first: of a job that has ended, all that is read afterwards is final. */
  async #look(id: string): Promise<{ job: Job<Payload>; state: string } | undefined> {
    const queue = await this.queue()
    const state = await queue.getJobState(id)
    const job = (await queue.getJob(id)) as Job<Payload> | undefined
    return job && { job, state }
  }
}

/** What fails is tried anew by the next who asks. */
async function again<T>(open: () => Promise<T>, forget: () => void): Promise<T> {
  try {
    return await open()
  } catch (error) {
    forget()
    throw error
  }
}

/** False if it has begun meanwhile. */
async function removed(job: Job<Payload>): Promise<boolean> {
  try {
    await job.remove()
    return true
  } catch (error) {
    // it is locked: a worker was quicker
    if (isAway(error)) throw error
    return false
  }
}

/** An id that is safe in a URL and in the store stays as it is; others, and numbers, become a UUID that is always the same. */
export function idOf(given: string | undefined): string {
  if (!given) return randomUUID()
  if (/^[\w.-]{1,128}$/.test(given) && !/^\d+$/.test(given) && !/^\.+$/.test(given)) return given
  const hex = createHash('sha256').update(given).digest('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5')
}

/** Redis says it as text, Postgres as it is. */
function parsed(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value) as unknown
  } catch (error) {
    if (error instanceof SyntaxError) return value // a text, already parsed
    throw error
  }
}
