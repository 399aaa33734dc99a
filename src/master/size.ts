// How many workers there should be: as the settings say, as signals change it, and with a range as the load asks for.
// Runs in the master, for the loop; scaler.ts decides.

import { totalmem } from 'node:os'
import { grantedBy, type Bounds } from '../cgroup.ts'
import type { Config } from '../config.ts'
import { UserError } from '../errors.ts'
import type { Scaling } from '../events.ts'
import type { Settings } from '../settings.ts'
import { queuedConnections } from './accept-queue.ts'
import type { Crew } from './crew.ts'
import type { MasterOptions, Scaled } from './inputs.ts'
import { ResidentMemory } from './memory.ts'
import { NO_TREND, decide, inUse, mean, type Load, type Memory, type Trend } from './scaler.ts'
import type { Sockets } from './sockets.ts'
import { isBlocked } from './watchdog-pipe.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** How often the load is looked at, ms: as often as the watchdogs tell of it. */
const LOOK_MS = 1_000

/** More of them on one machine is a typing error. */
const MOST = 1_024

type ScaleSettings = Pick<Settings, 'scaleUpAt' | 'scaleUpAfter' | 'scaleDownAfter'>

/** 0 to 1; undefined: it has not said yet. */
function utilizationOf({ watchdog }: WorkerHandle, now: number): number | undefined {
  const { digest } = watchdog
  return digest && (isBlocked(watchdog, now) ? 1 : digest.utilization)
}

export class Size {
  /** How many workers there should be. */
  target: number
  readonly #o: Pick<MasterOptions, 'log' | 'hooks' | 'bounds'>
  readonly #crew: Pick<Crew, 'ready' | 'standbys'>
  readonly #sockets: Pick<Sockets, 'descriptors'>
  readonly #memory = new ResidentMemory()
  #bounds: Bounds
  /** Somebody got the number they asked for. */
  readonly #onAsked: () => void
  #trend: Trend = NO_TREND
  #lookedAt = -Infinity
  /** What the log has been told of the memory that is missing for one more. */
  #lack: 'none' | 'told' = 'none'

  constructor(
    options: Pick<MasterOptions, 'log' | 'hooks' | 'bounds' | 'config' | 'workers' | 'sockets'>,
    crew: Pick<Crew, 'ready' | 'standbys'>,
    onAsked: () => void = () => undefined,
  ) {
    this.#o = options
    this.#onAsked = onAsked
    this.#crew = crew
    this.#sockets = options.sockets
    this.#bounds = options.bounds(options.config)
    const { min, max } = this.#bounds
    const before = options.workers ?? min
    this.target = this.#isRange ? Math.min(max, Math.max(min, before)) : before
  }

  get #isRange(): boolean {
    return this.#bounds.min < this.#bounds.max
  }

  /** For those who share something out: how many there may be. */
  get most(): number {
    return this.#isRange ? this.#bounds.max : this.target
  }

  /** Other settings: the number stays if they allow it. */
  use(config: Config): void {
    const { min, max } = (this.#bounds = this.#o.bounds(config))
    this.#set(Math.min(max, Math.max(min, this.target)))
  }

  /** Somebody asks for more or fewer: within the range, or without one from 1 up. Answers a UserError if that is refused. */
  ask(change: { to: number } | { by: number }): Scaled | UserError {
    const { min, max } = this.#isRange ? this.#bounds : { min: 1, max: MOST }
    const from = this.target
    const to = 'to' in change ? change.to : from + change.by
    if (to >= min && to <= max) {
      this.#set(to)
      this.#onAsked()
      return { from, to }
    }
    const bound = to > max ? 'most' : 'fewest'
    this.#o.log.event('workersBound', { workers: from, bound })
    const range = this.#isRange ? `${min} to ${max} (--workers)` : `1 to ${MOST}`
    return new UserError('BAD_COMMAND', `${to} workers are not possible: it must be ${range}`)
  }

  #set(target: number, why?: Scaling): void {
    this.#trend = NO_TREND
    if (target === this.target) return
    const change = { from: this.target, to: target }
    this.#lack = 'none'
    this.target = target
    this.#o.log.event('workersChanged', { ...change, ...why })
    this.#o.hooks.run('nworkersChanged', change)
  }

  /** Looks at the load, once a second. Not while workers are missing: they may be what is needed. */
  watch(now: number, settings: ScaleSettings): void {
    if (!this.#isRange || now < this.#lookedAt + LOOK_MS) return
    this.#lookedAt = now
    const { ready } = this.#crew
    if (ready.length < this.target) this.#trend = NO_TREND
    else this.#decide(this.#look(ready, now), settings, now)
  }

  /** The next moment watch() has something to do. */
  get nextDue(): number {
    if (!this.#isRange) return Infinity
    const [due, now] = [this.#lookedAt + LOOK_MS, performance.now()]
    return due > now ? due : now + LOOK_MS // it is not the time for looks, as during a reload
  }

  #look(ready: readonly WorkerHandle[], now: number): Load {
    return {
      utilization: ready.flatMap((worker) => utilizationOf(worker, now) ?? []),
      queued: queuedConnections(this.#sockets.descriptors),
      memory: this.#memoryOf(ready, this.#crew.standbys),
    }
  }

  #memoryOf(ready: readonly WorkerHandle[], standbys: readonly WorkerHandle[]): Memory {
    const pids = [...ready, ...standbys].map(({ pid }) => pid)
    const resident = this.#memory.latest(pids)
    const known = (some: readonly WorkerHandle[]): number[] =>
      some.flatMap(({ pid }) => resident.get(pid) ?? [])
    return {
      workers: known(ready),
      standbys: known(standbys).reduce((sum, bytes) => sum + bytes, 0),
      master: process.memoryUsage.rss(),
      granted: Math.min(grantedBy().memory, totalmem()),
    }
  }

  #decide(load: Load, s: ScaleSettings, now: number): void {
    const rules = {
      ...this.#bounds,
      upAt: s.scaleUpAt,
      upAfter: s.scaleUpAfter * 1000,
      downAfter: s.scaleDownAfter * 1000,
    }
    const { trend, target, held } = decide(this.#trend, load, this.target, rules, now)
    if (target !== this.target) {
      const seconds = (now - this.#trend.since) / 1000
      return this.#set(target, { ...whyOf(load, target > this.target, s), seconds })
    }
    this.#trend = trend
    if (!held || this.#lack === 'told') return
    this.#lack = 'told'
    const { granted } = load.memory
    this.#o.log.event('noMemoryToScale', {
      workers: this.target,
      bytes: inUse(load.memory),
      granted,
    })
  }
}

function whyOf({ utilization, queued }: Load, isMore: boolean, s: ScaleSettings) {
  const busy = mean(utilization)
  if (!isMore) return { reason: 'calm', utilization: busy } as const
  return busy >= s.scaleUpAt
    ? ({ reason: 'busy', utilization: busy } as const)
    : ({ reason: 'queue', queued } as const)
}
