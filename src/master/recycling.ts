// Which workers are to be replaced although nothing is wrong with them yet: too large for too long, or too old.
// Runs in the master, for the crew; that a worker has served enough requests it says itself.

import { totalmem } from 'node:os'
import { grantedBy } from '../cgroup.ts'
import { UserError } from '../errors.ts'
import type { Log } from '../log.ts'
import { limitInBytes } from '../memory-limit.ts'
import type { Settings } from '../settings.ts'
import type { Recycled } from './inputs.ts'
import { ResidentMemory } from './memory.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** How often memory is looked at, ms. */
const SAMPLE_MS = 1_000
/** A peak that is over by the next looks is no reason. */
const SAMPLES = 3

export type RecycleSettings = Pick<
  Settings,
  'maxMemory' | 'maxLifetime' | 'maxLifetimeJitter' | 'stableAfter'
>

interface Life {
  /** Ms of performance.now(). */
  readonly readyAt: number
  /** Of the jitter; from 0 to 1. */
  readonly share: number
  /** How many looks in a row found too much memory. */
  over: number
}

export class Recycling {
  readonly #log: Log
  readonly #lives = new WeakMap<WorkerHandle, Life>()
  readonly #memory = new ResidentMemory()
  #sampledAt = -Infinity

  constructor(log: Log) {
    this.#log = log
  }

  /** Gives those among the `ready` workers whose time has come a reason to leave. `workers`: how many share the memory. */
  watch(ready: readonly WorkerHandle[], now: number, workers: number, s: RecycleSettings): void {
    for (const worker of ready) {
      const seconds = (now - this.#lifeOf(worker, now).readyAt) / 1000
      if (now >= this.#endOf(worker, now, s))
        this.#recycle(worker, { reason: 'max-lifetime', seconds, limit: s.maxLifetime })
    }
    if (s.maxMemory === 0 || now < this.#sampledAt + SAMPLE_MS) return
    this.#sampledAt = now
    // read anew each time: a container may be given more while it runs
    const granted = typeof s.maxMemory === 'string' ? Math.min(grantedBy().memory, totalmem()) : 0
    this.#sample(ready, now, limitInBytes(s.maxMemory, granted, workers), s.stableAfter)
  }

  /** Somebody wants the one in `slot`, or all of them, replaced. */
  ask(ready: readonly WorkerHandle[], slot: number | undefined): Recycled | UserError {
    const meant = ready.filter((worker) => slot === undefined || worker.slot === slot)
    if (slot !== undefined && meant.length === 0) {
      const slots = ready.map((worker) => worker.slot).sort((a, b) => a - b)
      const there = slots.length > 0 ? `there are ${slots.join(', ')}` : 'none is ready'
      return new UserError('BAD_COMMAND', `no worker is ready in slot ${slot}; ${there}`)
    }
    for (const worker of meant) this.#recycle(worker, { reason: 'asked' })
    return { workers: meant.map(({ pid }) => pid) }
  }

  /** The next moment watch() has something to do; ms of performance.now(). */
  nextDue(ready: readonly WorkerHandle[], s: RecycleSettings): number {
    const now = performance.now()
    const waiting = ready.filter(({ reason }) => reason === undefined)
    const sample = s.maxMemory === 0 ? Infinity : this.#sampledAt + SAMPLE_MS
    const ends = waiting.map((worker) => this.#endOf(worker, now, s))
    return Math.min(waiting.length > 0 ? sample : Infinity, ...ends)
  }

  #lifeOf(worker: WorkerHandle, now: number): Life {
    const life = this.#lives.get(worker) ?? { readyAt: now, share: Math.random(), over: 0 }
    this.#lives.set(worker, life)
    return life
  }

  #endOf(worker: WorkerHandle, now: number, s: RecycleSettings): number {
    if (s.maxLifetime === 0) return Infinity
    const { readyAt, share } = this.#lifeOf(worker, now)
    return readyAt + (s.maxLifetime + share * s.maxLifetimeJitter) * 1000
  }

  /** Where the limit is below what the application needs to start, `stableAfter` is what keeps us from recycling all the time. */
  #sample(ready: readonly WorkerHandle[], now: number, limit: number, stableAfter: number): void {
    const byPid = new Map(ready.map((worker) => [worker.pid, worker]))
    this.#memory.read([...byPid.keys()], (pid, bytes) => {
      const worker = byPid.get(pid)!
      const life = this.#lifeOf(worker, now)
      life.over = bytes > limit ? life.over + 1 : 0
      if (life.over >= SAMPLES && now >= life.readyAt + stableAfter * 1000)
        this.#recycle(worker, { reason: 'max-memory', bytes, limit })
    })
  }

  #recycle(
    worker: WorkerHandle,
    why:
      | { reason: 'max-memory'; bytes: number; limit: number }
      | { reason: 'max-lifetime'; seconds: number; limit: number }
      | { reason: 'asked' },
  ): void {
    if (worker.reason !== undefined) return
    worker.reason = why.reason
    this.#log.event('recycling', { ...worker.facts, ...why })
  }
}
