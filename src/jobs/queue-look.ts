// How the queue is: what is in it by state, who waits longest, what has failed. Runs in a process of the jobs, when the master asks.
import type { Job, JobType, Queue } from 'bullmq'
import type { FailedJob, QueueDigest } from '../job-digest.ts'
import type { Payload } from './views.ts'

/** `paused`: what waits in a queue that somebody has stopped; stores know it, BullMQ's types don't. */
const WAITING = ['waiting', 'paused', 'prioritized', 'waiting-children'] as readonly JobType[]
const MOST_FAILURES = 10
const MOST_REASON = 300
/** Failures are read when their number has changed; where as many were removed, after this, ms. */
const AGAIN_MS = 30_000

export class QueueLook {
  readonly #queue: Queue<Payload>
  #failures: readonly FailedJob[] = []
  #failed = 0
  #readAt = -Infinity
  #looking: Promise<QueueDigest> | undefined

  constructor(queue: Queue<Payload>) {
    this.#queue = queue
  }

  /** One at a time. Rejects with ECONNREFUSED while the store is away. */
  look(): Promise<QueueDigest> {
    return (this.#looking ??= this.#look().finally(() => (this.#looking = undefined)))
  }

  async #look(): Promise<QueueDigest> {
    const began = performance.now()
    const others = ['active', 'delayed', 'completed', 'failed'] as const
    const counts = await this.#queue.getJobCounts(...WAITING, ...others)
    const of = (state: JobType): number => counts[state] ?? 0
    const waiting = WAITING.reduce((sum, state) => sum + of(state), 0)
    const oldestWaiting = waiting > 0 ? await this.#oldest() : null
    const failed = of('failed')
    await this.#readFailures(failed)
    return {
      waiting,
      active: of('active'),
      delayed: of('delayed'),
      completed: of('completed'),
      failed,
      oldestWaiting,
      failures: this.#failures,
      took: (performance.now() - began) / 1000,
    }
  }

  /** Those without a priority are in the order of their age; of the others, the first one is taken. */
  async #oldest(): Promise<number | null> {
    const found = await Promise.all(
      (['waiting', 'prioritized'] as const).map((state) =>
        this.#queue.getJobs([state], 0, 0, true),
      ),
    )
    const jobs = found.flat().filter(Boolean) as Job<Payload>[]
    const since = jobs.map(({ timestamp, opts }) => timestamp + (opts.delay ?? 0))
    return since.length === 0 ? null : Math.max(0, (Date.now() - Math.min(...since)) / 1000)
  }

  async #readFailures(failed: number): Promise<void> {
    const now = performance.now()
    if (failed === this.#failed && now - this.#readAt < AGAIN_MS) return
    const jobs = failed > 0 ? await this.#queue.getJobs(['failed'], 0, MOST_FAILURES - 1) : []
    // removed between the two looks that getJobs takes
    this.#failures = (jobs.filter(Boolean) as Job<Payload>[]).map(failureOf)
    this.#failed = failed
    this.#readAt = now
  }
}

const failureOf = (job: Job<Payload>): FailedJob => ({
  id: job.id ?? '',
  name: job.name,
  reason: String(job.failedReason ?? '').slice(0, MOST_REASON),
  attempts: job.attemptsMade,
  at: new Date(job.finishedOn ?? job.timestamp).toISOString(),
})
