// One attempt at a job: its thread, its clock, its end by three ways, each a step further than the one before: the signal, the
// thread, the process. Runs in a job process, where none of the job's code is.
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { Limits } from './define.ts'
import type { FromThread, Outcome, Task, ToThread } from './execute.ts'

/** Why a job is ended from outside. */
export type Reason = 'timeout' | 'cancelled' | 'stopping'

/** A thread that has not answered for so long runs code that does not wait for anything, ms. */
const HEARD_MS = 250
/** A job that goes back to the queue has had its time, ms. */
const STOPPING_MS = 500
/** Progress is written so often, ms: most of it is seen by nobody. */
const PROGRESS_MS = 250
/** Loading the application's file in a new thread may take so long, ms. */
const LOAD_MS = 60_000
/** A thread that is still there so long after it was ended is in native code, ms. */
const STUCK_MS = 5_000

export interface Hooks {
  /** As of a Runner. */
  readonly run: (task: Task, signal: AbortSignal) => Promise<Outcome>
  readonly progress: (value: unknown) => Promise<void>
  readonly log: (text: string) => void
  /** The thread can't be ended: only the process can. */
  readonly stuck: () => void
}

export interface JobEnd {
  readonly outcome: Outcome
  /** If it was ended from outside. */
  readonly reason?: Reason
}

export class JobRun {
  readonly #limits: Limits
  readonly #hooks: Hooks
  readonly #kill = new AbortController()
  readonly #port: MessagePort
  readonly #timers = new Set<NodeJS.Timeout>()
  #reason: Reason | undefined
  #thread: 'there' | 'gone' = 'there'
  /** Progress that waits to be written, and the writing of the one before. */
  #progress: { value: unknown } | undefined
  #writing: Promise<void> = Promise.resolve()
  #due: NodeJS.Timeout | undefined
  readonly end: Promise<JobEnd>

  constructor(task: Omit<Task, 'port'>, limits: Limits, hooks: Hooks) {
    this.#limits = limits
    this.#hooks = hooks
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    port1.on('message', (message: FromThread) => this.#hear(message))
    port1.once('close', () => (this.#thread = 'gone'))
    this.#after(LOAD_MS, () => this.#kill.abort())
    this.end = this.#run({ ...task, port: port2 })
  }

  /** The first reason counts. */
  stop(reason: Reason): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    const abort: ToThread = { type: 'abort', reason: this.#sentence(reason) }
    this.#port.postMessage(abort)
    this.#after(HEARD_MS, () => this.#kill.abort())
  }

  async #run(task: Task): Promise<JobEnd> {
    let outcome: Outcome
    try {
      outcome = await this.#hooks.run(task, this.#kill.signal)
      this.#port.close()
    } catch (error) {
      outcome = { error: { message: (error as Error).message, isFinal: false } }
      this.#watchThread()
    }
    this.#clearTimers()
    await this.#flush()
    const reason = this.#reason
    // a job that has finished after all need not be begun again
    if (reason === undefined || (reason === 'stopping' && 'value' in outcome)) return { outcome }
    return { outcome: { error: { message: this.#sentence(reason), isFinal: false } }, reason }
  }

  #sentence(reason: Reason): string {
    return reason === 'timeout' ? `it took longer than ${this.#limits.timeout} s` : reason
  }

  #hear(message: FromThread): void {
    switch (message.type) {
      case 'begun':
        return this.#begin()
      case 'progress':
        this.#progress = { value: message.value }
        this.#due ??= setTimeout(() => this.#write(), PROGRESS_MS)
        return
      case 'log':
        return this.#hooks.log(message.text)
      case 'heard':
        return this.#grantTime()
      case 'end':
        return this.#port.postMessage({ type: 'ended' } satisfies ToThread)
    }
  }

  /** The job's own clock does not run while its file is loaded. */
  #begin(): void {
    if (this.#reason !== undefined) return
    this.#clearTimers()
    const { timeout } = this.#limits
    if (timeout > 0) this.#after(timeout * 1000, () => this.stop('timeout'))
  }

  #grantTime(): void {
    this.#clearTimers()
    const own = this.#limits.killAfter * 1000
    const ms = this.#reason === 'stopping' ? Math.min(own, STOPPING_MS) : own
    this.#after(ms, () => this.#kill.abort())
  }

  #write(): void {
    this.#due = undefined
    const waiting = this.#progress
    this.#progress = undefined
    if (waiting)
      this.#writing = this.#writing.then(() => this.#hooks.progress(waiting.value).catch(lost))
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#due)
    this.#write()
    await this.#writing
  }

  /** The port is closed with the thread that had its other end. */
  #watchThread(): void {
    if (this.#thread === 'gone') return
    const timer = setTimeout(() => this.#hooks.stuck(), STUCK_MS)
    this.#port.once('close', () => clearTimeout(timer))
  }

  #clearTimers(): void {
    this.#timers.forEach((timer) => clearTimeout(timer))
    this.#timers.clear()
  }

  #after(ms: number, act: () => void): void {
    this.#timers.add(setTimeout(act, Math.min(ms, 2 ** 31 - 1)))
  }
}

/** ECONNREFUSED, or a job that was removed meanwhile: the job itself must not fail for it. */
function lost(error: NodeJS.ErrnoException): void {
  if (!(error instanceof Error)) throw error
}
