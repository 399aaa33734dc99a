// What a job process counts, and tells the master: only what is new, so that nothing is lost or counted twice when the process
// ends. Runs in a job process.
import type { Job } from 'bullmq'
import { countDuration } from '../durations.ts'
import { JOB_BUCKETS, nameOf, Tally, type JobCounts, type JobDigest } from '../job-digest.ts'
import type { Reason } from './run-job.ts'
import { CANCELLED, type Payload } from './views.ts'

/** What happens within this is told together, ms. */
const TOGETHER_MS = 250
/** Jobs that run are listed up to this number. */
const MOST_RUNNING = 50

interface Running {
  readonly name: string
  readonly attempt: number
  /** ms of performance.now(). */
  readonly since: number
}

export class JobMeter {
  readonly #defined: ReadonlySet<string>
  readonly #tell: (digest: JobDigest) => void
  readonly #running = new Map<string, Running>()
  #tally = new Tally()
  #stalled = 0
  #due: NodeJS.Timeout | undefined

  /** `names`: of the jobs that are defined; they are told at once. */
  constructor(names: Iterable<string>, tell: (digest: JobDigest) => void) {
    this.#defined = new Set(names)
    this.#tell = tell
    for (const name of this.#defined) this.#tally.of(name)
    this.flush()
  }

  begin(job: Job<Payload>): void {
    const { id, name, attemptsMade, attemptsStarted, timestamp, opts } = job
    this.#running.set(id!, { name, attempt: attemptsMade + 1, since: performance.now() })
    // later ones wait for their back-off too, or have waited before
    const waited = (Date.now() - timestamp - (opts.delay ?? 0)) / 1000
    const { waits } = this.#of(name)
    if (attemptsStarted <= 1) countDuration(waits, JOB_BUCKETS, Math.max(0, waited))
  }

  /** The job's code has come to its end, or was brought to it. */
  end({ id, name }: Job<Payload>, reason: Reason | undefined): void {
    const seconds = (performance.now() - this.#running.get(id!)!.since) / 1000
    this.#running.delete(id!)
    const counts = this.#of(name)
    countDuration(counts.durations, JOB_BUCKETS, seconds)
    if (reason === 'timeout') counts.timeouts++
    if (reason === 'stopping') counts.ends.returned++
  }

  completed({ name }: Job<Payload>): void {
    this.#of(name).ends.completed++
  }

  /** Of one that is to be tried again, there is no end yet. */
  failed({ name, finishedOn }: Job<Payload>, { message }: Error): void {
    const isOver = finishedOn !== undefined
    this.#of(name).ends[isOver ? (message === CANCELLED ? 'cancelled' : 'failed') : 'retried']++
  }

  stalled(): void {
    this.#stalled++
    this.#soon()
  }

  /** Tells what is new. */
  flush(): void {
    clearTimeout(this.#due)
    this.#due = undefined
    const { byName: counts } = this.#tally
    this.#tell({ counts, stalled: this.#stalled, running: this.#list() })
    this.#tally = new Tally()
    this.#stalled = 0
  }

  #of(name: string): JobCounts {
    this.#soon()
    return this.#tally.of(nameOf(name, this.#defined))
  }

  #soon(): void {
    this.#due ??= setTimeout(() => this.flush(), TOGETHER_MS).unref()
  }

  #list(): JobDigest['running'] {
    const now = performance.now()
    return [...this.#running]
      .slice(0, MOST_RUNNING)
      .map(([id, { name, attempt, since }]) => ({ id, name, attempt, age: (now - since) / 1000 }))
  }
}
