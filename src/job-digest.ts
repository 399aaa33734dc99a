// What the processes of the jobs tell the master of them: what has ended since the last time, what runs, how the queue is. A leaf:
// the job processes write it, the master adds it up.
import { addDurations, noDurations, type Durations } from './durations.ts'

/** The label of all that is in it; there is one. */
export const QUEUE = 'jobs'

/** Upper bounds of the histograms of jobs in seconds; +Inf follows. */
export const JOB_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600] as const

/** What becomes of an attempt. `returned`: to the queue, because its process had to end. */
export const ATTEMPT_ENDS = ['completed', 'failed', 'retried', 'cancelled', 'returned'] as const
export type AttemptEnd = (typeof ATTEMPT_ENDS)[number]

/** Names of jobs that are counted apart; all others are one, as those are that nobody has defined. */
const MOST_NAMES = 100
const OTHER = '_OTHER'

/** Of the jobs of one name. */
export interface JobCounts {
  readonly ends: Record<AttemptEnd, number>
  timeouts: number
  /** Of attempts. */
  readonly durations: Durations
  /** From when a job could have begun to when it did. */
  readonly waits: Durations
}

export interface RunningJob {
  readonly id: string
  readonly name: string
  readonly attempt: number
  /** Seconds. */
  readonly age: number
}

export interface FailedJob {
  readonly id: string
  readonly name: string
  /** Its beginning. */
  readonly reason: string
  readonly attempts: number
  /** ISO 8601. */
  readonly at: string
}

/** Of one job process, since its last one. */
export interface JobDigest {
  /** Names that nothing has happened to are there once, in the first one. */
  readonly counts: ReadonlyMap<string, JobCounts>
  readonly stalled: number
  /** All that run now. */
  readonly running: readonly RunningJob[]
}

/** Of the whole queue, on whatever machines its jobs run. */
export interface QueueDigest {
  readonly waiting: number
  readonly active: number
  readonly delayed: number
  /** Until they are removed (`keep`). */
  readonly completed: number
  readonly failed: number
  /** How long the oldest one that could begin has waited, seconds; null if none does. */
  readonly oldestWaiting: number | null
  /** The newest first. */
  readonly failures: readonly FailedJob[]
  /** Seconds that it took to find out. */
  readonly took: number
}

/** Counts by name, of a bounded number of names. */
export class Tally {
  readonly byName = new Map<string, JobCounts>()

  /** Of that name, or of all that are not counted apart. */
  of(name: string): JobCounts {
    const isKnown = this.byName.has(name) || this.byName.size < MOST_NAMES
    const key = isKnown ? name : OTHER
    const counts = this.byName.get(key) ?? noCounts()
    this.byName.set(key, counts)
    return counts
  }

  add(more: JobDigest['counts']): void {
    for (const [name, counts] of more) {
      const own = this.of(name)
      for (const end of ATTEMPT_ENDS) own.ends[end] += counts.ends[end]
      own.timeouts += counts.timeouts
      addDurations(own.durations, counts.durations)
      addDurations(own.waits, counts.waits)
    }
  }
}

/** Of a name that nobody has defined. */
export const nameOf = (name: string, defined: { has(name: string): boolean }): string =>
  defined.has(name) ? name : OTHER

const noCounts = (): JobCounts => ({
  ends: { completed: 0, failed: 0, retried: 0, cancelled: 0, returned: 0 },
  timeouts: 0,
  durations: noDurations(JOB_BUCKETS),
  waits: noDurations(JOB_BUCKETS),
})
