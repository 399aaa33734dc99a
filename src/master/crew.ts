// The workers that live: starting one, sending one off, killing those whose time is up. Runs in the master, for the loop.

import type { Log } from '../log.ts'
import type { DrainMode } from '../protocol.ts'
import type { Settings } from '../settings.ts'
import { isServing } from './lifecycle.ts'
import type { WorkerView } from './plan.ts'
import {
  WorkerHandle,
  type LeaveReason,
  type SpawnOptions,
  type WorkerEvents,
} from './worker-handle.ts'

/** A worker that has not finished booting has no request to finish: it gets this long to leave, s. */
const LEAVE_BOOT_SECONDS = 2
/** A quick stop: requests in flight get half a second in the worker, the rest is for a busy machine, s. */
const LEAVE_QUICK_SECONDS = 2
/** A process stuck in the kernel dies late: it is sent SIGKILL again after this long, ms. */
const KILL_AGAIN_MS = 1_000

type Times = Pick<Settings, 'bootTimeout' | 'gracefulTimeout' | 'drainIdle'>

export class Crew {
  readonly #workers = new Set<WorkerHandle>()
  readonly #log: Log
  readonly #events: WorkerEvents
  /** How many had to be killed although they had been told to leave, since the stop began. */
  killed = 0

  constructor(log: Log, events: WorkerEvents) {
    this.#log = log
    this.#events = events
  }

  get size(): number {
    return this.#workers.size
  }

  get ready(): WorkerHandle[] {
    return [...this.#workers].filter((w) => w.state === 'ready')
  }

  get serving(): WorkerHandle[] {
    return [...this.#workers].filter((w) => isServing(w.state))
  }

  get oldestGeneration(): number {
    return Math.min(...[...this.#workers].map((w) => w.generation))
  }

  views(): WorkerView[] {
    return [...this.#workers].map((w) => ({ ...w.view, leaving: w.reason !== undefined }))
  }

  byId(id: number): WorkerHandle | undefined {
    return [...this.#workers].find((w) => w.id === id)
  }

  spawn(options: SpawnOptions, times: Times): void {
    const worker = new WorkerHandle(options, this.#events)
    worker.deadline = times.bootTimeout > 0 ? worker.bornAt + times.bootTimeout * 1000 : Infinity
    this.#workers.add(worker)
    this.#log.event('booting', { worker: worker.pid, slot: worker.slot })
  }

  /** It is gone: out of the books. */
  bury(worker: WorkerHandle): void {
    worker.advance('exit')
    worker.lastWords.release()
    this.#workers.delete(worker)
  }

  retire(worker: WorkerHandle, reason: LeaveReason, mode: DrainMode, times: Times): void {
    const booting = worker.state === 'booting'
    if (worker.advance('retire') !== 'drain') return
    const seconds = booting
      ? Math.min(times.gracefulTimeout, LEAVE_BOOT_SECONDS)
      : times.gracefulTimeout
    worker.reason = reason
    worker.deadline = performance.now() + seconds * 1000
    if (mode === 'quick') this.hurry(worker)
    else if (reason !== 'signal') worker.tell({ type: 'drain', mode, idleSeconds: times.drainIdle })
  }

  /** A drain, begun or not, becomes a quick one. */
  hurry(worker: WorkerHandle): void {
    worker.deadline = Math.min(worker.deadline, performance.now() + LEAVE_QUICK_SECONDS * 1000)
    worker.tell({ type: 'drain', mode: 'quick', idleSeconds: 0 })
  }

  hurryAll(): void {
    for (const worker of this.#workers) if (worker.state === 'draining') this.hurry(worker)
  }

  /** Kills whom it is time to kill and asks after silent boots. */
  watch(now: number, times: Times): void {
    for (const worker of this.#workers) {
      if (now >= worker.deadline) this.#expire(worker, times)
      else if (worker.state === 'booting' && now >= worker.warnAt) {
        worker.warnAt = Infinity
        this.#log.event('stillBooting', { ...worker.facts, seconds: (now - worker.bornAt) / 1000 })
      }
    }
  }

  #expire(worker: WorkerHandle, { bootTimeout, gracefulTimeout }: Times): void {
    if (worker.state !== 'booting')
      return this.#kill(
        worker,
        `it had not finished within ${gracefulTimeout} s (--graceful-timeout)`,
      )
    worker.killedFor = `it was not ready within ${bootTimeout} s (--boot-timeout)`
    this.#log.event('bootTimeout', { ...worker.facts, seconds: bootTimeout })
    this.#sendKill(worker)
  }

  killAll(why: string): void {
    for (const worker of this.#workers) if (worker.state !== 'killed') this.#kill(worker, why)
  }

  /** Workers whose boot no longer matters: without a word. */
  dropAll(): void {
    for (const worker of this.#workers) {
      worker.lastWords.discard()
      worker.reason = 'boot-failed'
      this.#sendKill(worker)
    }
  }

  #kill(worker: WorkerHandle, why: string): void {
    if (worker.state !== 'killed') this.killed++
    worker.killedFor = why
    worker.reason ??= 'stop'
    this.#log.event('workerKilled', { ...worker.facts, why })
    this.#sendKill(worker)
  }

  #sendKill(worker: WorkerHandle): void {
    if (worker.advance('overdue') !== 'kill') return
    worker.deadline = performance.now() + KILL_AGAIN_MS
    worker.kill()
  }

  /** The next moment watch() has something to do. */
  get nextDue(): number {
    const due = [...this.#workers].map((w) =>
      Math.min(w.deadline, w.state === 'booting' ? w.warnAt : Infinity),
    )
    return Math.min(Infinity, ...due)
  }
}
