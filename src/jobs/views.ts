// A job as clients see it: words and shapes of the HTTP answers. Pure: BullMQ's job in, plain objects out.
import type { Job } from 'bullmq'

export type Status = 'queued' | 'processing' | 'completed' | 'failed'

export const STATUSES: readonly Status[] = ['queued', 'processing', 'completed', 'failed']

/** What BullMQ calls them. */
export const statesOf = {
  queued: ['waiting', 'delayed', 'prioritized', 'waiting-children'],
  processing: ['active'],
  completed: ['completed'],
  failed: ['failed'],
} as const satisfies Record<Status, readonly string[]>

export const statusOf = (state: string): Status =>
  STATUSES.find((status) => statesOf[status].some((one) => one === state)) ?? 'queued'

/** What is in the store: the data, and what the status shows beside it. */
export interface Payload {
  readonly data: unknown
  readonly meta?: Readonly<Record<string, unknown>>
}

export interface JobStatus {
  readonly job_id: string
  readonly name: string
  readonly status: Status
  readonly progress: unknown
  /** ISO dates. */
  readonly created_at: string
  readonly started_at: string | null
  readonly finished_at: string | null
  /** How often it was begun. */
  readonly attempts: number
  /** Why it has failed. */
  readonly error?: string
  /** What `meta` had at the enqueuing. */
  readonly [meta: string]: unknown
}

export interface Urls {
  readonly status_url: string
  readonly result_url: string
}

/** `base`: `/v1/jobs`. */
export const urlsOf = (id: string, base: string): Urls => ({
  status_url: `${base}/${encodeURIComponent(id)}/status`,
  result_url: `${base}/${encodeURIComponent(id)}/result`,
})

type Stored = Pick<
  Job<Payload>,
  | 'id'
  | 'name'
  | 'data'
  | 'progress'
  | 'timestamp'
  | 'processedOn'
  | 'finishedOn'
  | 'attemptsStarted'
  | 'failedReason'
>

export const jobStatus = (job: Stored, state: string): JobStatus => {
  const status = statusOf(state)
  return {
    ...job.data.meta,
    job_id: job.id ?? '',
    name: job.name,
    status,
    // BullMQ's 0 is a job that has not said anything
    progress: job.progress === 0 ? null : job.progress,
    created_at: dateOf(job.timestamp)!,
    started_at: dateOf(job.processedOn),
    finished_at: status === 'completed' || status === 'failed' ? dateOf(job.finishedOn) : null,
    attempts: job.attemptsStarted,
    ...(status === 'failed' && { error: job.failedReason }),
  }
}

const dateOf = (ms: number | undefined): string | null => (ms ? new Date(ms).toISOString() : null)

/** The reason of a job that somebody has cancelled. */
export const CANCELLED = 'cancelled'
