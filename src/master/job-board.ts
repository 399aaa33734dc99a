// What is known of the jobs: counters of all that their processes have told, what these run, and how the queue is, which one of
// them is asked every few seconds. The queue itself is never asked from here. Runs in the master.

import { basename, dirname } from 'node:path'
import { fs } from '../builtin.ts'
import type { JobsStatus } from '../control-protocol.ts'
import { QUEUE, Tally, type JobCounts, type QueueDigest, type RunningJob } from '../job-digest.ts'
import { hasDashboard } from '../jobs/groups.ts'
import type { FromJobs, Look } from '../jobs/master-channel.ts'
import type { Settings } from '../settings.ts'

/** How often the queue is looked at, ms; where that takes long, so many times as long. */
const LOOK_MS = 2_000
const LOOK_SHARE = 20

/** What metrics are made of. */
export interface JobTotals {
  readonly byName: ReadonlyMap<string, JobCounts>
  readonly stalled: number
}

/** A process of the jobs. */
export interface Teller {
  readonly pid: number
  ask(question: Look): void
}

/** With when it was heard; ms of performance.now(). */
type Heard<T> = T & { readonly heardAt: number }

export class JobBoard {
  readonly #tellers: () => readonly Teller[]
  readonly #tally = new Tally()
  /** By pid. */
  readonly #running = new Map<number, Heard<{ readonly jobs: readonly RunningJob[] }>>()
  /** Where processes of the dashboard listen, by their pids. */
  readonly #doors = new Map<number, string>()
  #stalled = 0
  #queue: Heard<QueueDigest> | undefined
  #timer: NodeJS.Timeout | undefined
  #turn = 0

  /** `tellers`: who is ready to be asked. */
  constructor(tellers: () => readonly Teller[]) {
    this.#tellers = tellers
  }

  get totals(): JobTotals {
    return { byName: this.#tally.byName, stalled: this.#stalled }
  }

  /** Where the dashboard listens. */
  get dashboard(): string | undefined {
    return [...this.#doors.values()].at(-1)
  }

  /** Null where the settings have no jobs. */
  status(settings: Settings): JobsStatus | null {
    if (!settings.jobs) return null
    const dashboard = hasDashboard(settings) ? settings.jobs.dashboard : null
    if (!this.#queue) return { queues: [], dashboard }
    const { heardAt, took: _, oldestWaiting, ...rest } = this.#queue
    const age = since(heardAt)
    const oldest = oldestWaiting === null ? null : oldestWaiting + age
    return { queues: [{ queue: QUEUE, ...rest, oldestWaiting: oldest, age }], dashboard }
  }

  running(pid: number): RunningJob[] {
    const told = this.#running.get(pid)
    if (!told) return []
    return told.jobs.map((job) => ({ ...job, age: job.age + since(told.heardAt) }))
  }

  hear(pid: number, message: FromJobs): void {
    const heardAt = performance.now()
    if (message.type === 'queue') {
      this.#queue = { ...message.queue, heardAt }
      this.#askIn(Math.max(LOOK_MS, message.queue.took * 1000 * LOOK_SHARE))
    } else if (message.type === 'listening') {
      this.#doors.set(pid, message.path)
    } else if (message.type === 'digest') {
      const { counts, stalled, running: jobs } = message.digest
      this.#tally.add(counts)
      this.#stalled += stalled
      this.#running.set(pid, { jobs, heardAt })
    }
  }

  /** A process is ready. */
  begin(): void {
    if (this.#timer === undefined) this.#ask()
  }

  gone(pid: number): void {
    this.#running.delete(pid)
    const door = this.#doors.get(pid)
    this.#doors.delete(pid)
    if (door !== undefined) removeDirectory(door)
  }

  /** There are no jobs any more; what was counted stays. */
  end(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#queue = undefined
  }

  /** One after the other: where one of them does not answer, the next one may. */
  #ask(): void {
    const tellers = this.#tellers()
    if (tellers.length === 0) return void (this.#timer = undefined)
    tellers[this.#turn++ % tellers.length]!.ask({ type: 'look' })
    this.#askIn(LOOK_MS)
  }

  #askIn(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#ask(), ms).unref()
  }
}

/** Of a process that was killed: it had made it for its socket alone. */
function removeDirectory(socket: string): void {
  const directory = dirname(socket)
  if (!basename(directory).startsWith('nodicorn-jobs-')) return
  fs.rm(directory, { recursive: true, force: true }, () => undefined) // EACCES: not ours any more
}

/** Seconds. */
const since = (at: number): number => (performance.now() - at) / 1000
