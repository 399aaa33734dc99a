// The workers that live: starting one, sending one off, killing those whose time is up. Runs in the master, for the loop.

import type { Log } from '../log.ts'
import { payload, type DrainMode } from '../protocol.ts'
import type { Settings } from '../settings.ts'
import { Handover } from './handover.ts'
import type { UserError } from '../errors.ts'
import type { MasterOptions, Recycled } from './inputs.ts'
import { isBooting, isServing, isWatched, standsBy } from './lifecycle.ts'
import type { Passage } from './passage.ts'
import type { WorkerView } from './plan.ts'
import type { Roll } from './roll.ts'
import { Recycling, type RecycleSettings } from './recycling.ts'
import { Traffic } from './traffic.ts'
import {
  WorkerHandle,
  type LeaveReason,
  type RecycleReason,
  type SpawnOptions,
  type WorkerEvents,
} from './worker-handle.ts'

/** A worker that has not finished booting has no request to finish: it gets this long to leave, s. */
const LEAVE_BOOT_SECONDS = 2
/** A quick stop: requests in flight get half a second in the worker, the rest is for a busy machine, s. */
const LEAVE_QUICK_SECONDS = 2
/** A process stuck in the kernel dies late: it is sent SIGKILL again after this long, ms. */
const KILL_AGAIN_MS = 1_000
/** The watchdog's digests come every second; a busy machine may delay a few, s. */
const SILENCE_SECONDS = 2
const CONFIRM_MS = 500
/** Nothing wakes us when the first digest comes, from which on silence counts: so we look, ms. */
const FIRST_DIGEST_MS = 1_000

/** A request past its own deadline is answered by its worker: only after this is that worker at fault, ms. */
const OVERTIME_MS = 2_000

type Options = Pick<MasterOptions, 'log' | 'hooks' | 'passage' | 'onModules'>
type Times = RecycleSettings &
  Pick<
    Settings,
    'bootTimeout' | 'gracefulTimeout' | 'drainIdle' | 'drainUpgraded' | 'timeout' | 'stallTimeout'
  >

const RECYCLED = [
  'max-requests',
  'max-memory',
  'max-lifetime',
  'orphans',
  'asked',
] as const satisfies readonly RecycleReason[]
const isRecycled = ({ reason }: WorkerHandle): boolean => RECYCLED.some((one) => one === reason)

/** Its watchdog speaks every second; silence for so long past the stall timeout has no good cause. */
function silentAt({ state, watchdog, silentSince }: WorkerHandle, times: Times): number {
  const stall = times.stallTimeout === 'timeout' ? times.timeout : times.stallTimeout
  if (stall === 0 || watchdog.heardAt === undefined || state === 'killed') return Infinity
  if (silentSince !== undefined && silentSince > watchdog.heardAt) return silentSince + CONFIRM_MS
  return watchdog.heardAt + (stall + SILENCE_SECONDS) * 1000
}

export class Crew {
  readonly #workers = new Set<WorkerHandle>()
  readonly #log: Log
  readonly #hooks: MasterOptions['hooks']
  readonly #events: WorkerEvents
  readonly #handover: Handover
  readonly #recycling: Recycling
  readonly traffic = new Traffic()
  readonly #passage: Passage
  /** How many had to be killed although they had been told to leave, since the stop began. */
  killed = 0

  constructor(
    { log, hooks, passage, onModules }: Options,
    roll: Pick<Roll, 'oldest'>,
    events: Pick<WorkerEvents, 'message' | 'exit'>,
  ) {
    this.#log = log
    this.#hooks = hooks
    this.#passage = passage
    this.#handover = new Handover(log, roll, () => this.ready, passage)
    this.#recycling = new Recycling(log)
    const digest: WorkerEvents['digest'] = (worker, said) => {
      if (!this.#workers.has(worker)) return // too late: it would be counted as another one
      this.traffic.told(worker, said, performance.now())
      if (said.type !== 'digest') return
      const { served: _served, ...digest } = payload(said)
      log.event('digest', { ...worker.facts, ...digest })
    }
    const handover: WorkerEvents['handover'] = (worker, message, handle) =>
      this.#handover.hear(worker, message, handle)
    this.#events = { ...events, handover, digest, ...(onModules && { modules: onModules }) }
  }

  get size(): number {
    return this.#workers.size
  }

  get all(): WorkerHandle[] {
    return [...this.#workers]
  }

  get ready(): WorkerHandle[] {
    return [...this.#workers].filter((w) => w.state === 'ready')
  }

  /** Booted or not. */
  get standbys(): WorkerHandle[] {
    return [...this.#workers].filter((w) => standsBy(w.state))
  }

  get serving(): WorkerHandle[] {
    return [...this.#workers].filter((w) => isServing(w.state))
  }

  get oldestGeneration(): number {
    return Math.min(...[...this.#workers].map((w) => w.generation))
  }

  views(): WorkerView[] {
    return [...this.#workers].map((w) => ({
      ...w.view,
      leaving: w.reason !== undefined,
      lingering: w.deadline > w.gracefulUntil,
    }))
  }

  byId(id: number): WorkerHandle | undefined {
    return [...this.#workers].find((w) => w.id === id)
  }

  spawn(options: SpawnOptions, times: Times): void {
    const { generation, init } = options
    this.#hooks.run('preFork', { slot: init.slot, generation })
    const worker = new WorkerHandle(options, this.#events)
    worker.deadline = times.bootTimeout > 0 ? worker.bornAt + times.bootTimeout * 1000 : Infinity
    this.#workers.add(worker)
    if (worker.pid === 0) return // the system refused it, which is told as its failed boot
    this.#log.event('booting', {
      ...worker.facts,
      ...(worker.state === 'warming' && { standby: true }),
    })
  }

  /** Somebody wants the worker in `slot`, or all of them, replaced; the plan does it. */
  recycle(slot: number | undefined): Recycled | UserError {
    return this.#recycling.ask(this.ready, slot)
  }

  /** It has booted, and waits outside the pool. */
  stand(worker: WorkerHandle, now: number): void {
    if (worker.advance('stand') !== 'announce') return
    worker.deadline = Infinity
    this.#log.event('standbyReady', { ...worker.facts, seconds: (now - worker.bornAt) / 1000 })
  }

  /** A standby joins the pool: it boots again as it were, but has only to begin to accept, unless it boots still. */
  promote(worker: WorkerHandle, slot: number, title: string, { bootTimeout }: Times): void {
    const hadBooted = worker.state === 'standby'
    if (worker.advance('promote') !== 'promote') return
    worker.slot = slot
    worker.joinedAt = performance.now()
    if (hadBooted && bootTimeout > 0) worker.deadline = worker.joinedAt + bootTimeout * 1000
    worker.tell({ type: 'promote', slot, title })
    this.#log.event('promoting', worker.facts)
  }

  /** It is gone: out of the books. */
  bury(worker: WorkerHandle, code: number | null, signal: string | null): void {
    this.#hooks.exited(worker, code, signal)
    worker.advance('exit')
    worker.lastWords.release()
    this.#workers.delete(worker)
    this.#handover.gone(worker)
    this.traffic.gone(worker.id)
  }

  retire(worker: WorkerHandle, reason: LeaveReason, mode: DrainMode, times: Times): void {
    const booting = worker.state === 'booting'
    const action = worker.advance('retire')
    if (action === 'drop') return this.#drop(worker, reason)
    if (action !== 'drain') return
    const seconds = booting
      ? Math.min(times.gracefulTimeout, LEAVE_BOOT_SECONDS)
      : times.gracefulTimeout
    worker.reason = reason
    worker.gracefulUntil = worker.deadline = performance.now() + seconds * 1000
    if (mode === 'quick') this.hurry(worker)
    else if (reason !== 'signal')
      worker.tell({
        type: 'drain',
        mode,
        idleSeconds: times.drainIdle,
        upgradedSeconds: times.drainUpgraded,
        handover: reason === 'upgrade' ? this.#passage.successor !== undefined : reason !== 'stop',
      })
  }

  /** It has no clients to be patient with; the application may clean up. */
  #drop(worker: WorkerHandle, reason: LeaveReason): void {
    worker.reason = reason
    worker.deadline = performance.now() + LEAVE_QUICK_SECONDS * 1000
    if (reason !== 'signal')
      worker.tell({
        type: 'drain',
        mode: 'graceful',
        idleSeconds: 0,
        upgradedSeconds: 0,
        handover: false,
      })
  }

  /** It says how long its requests may take, s, -1 for ever: a recycled worker gets that time. */
  extend(worker: WorkerHandle, seconds: number): void {
    if (worker.state !== 'draining' || !isRecycled(worker)) return
    const until = seconds < 0 ? Infinity : performance.now() + seconds * 1000
    worker.deadline = until > worker.gracefulUntil ? until + OVERTIME_MS : worker.gracefulUntil
  }

  /** There is something to wait for: whoever drains has gracefulTimeout from now, if not less. */
  hasten(reason: LeaveReason, { gracefulTimeout }: Times): void {
    for (const worker of this.#workers) {
      if (worker.state !== 'draining' || !isRecycled(worker)) continue
      worker.reason = reason
      const until = performance.now() + gracefulTimeout * 1000
      worker.gracefulUntil = worker.deadline = Math.min(worker.deadline, until)
    }
  }

  /** A drain, begun or not, becomes a quick one. */
  hurry(worker: WorkerHandle): void {
    worker.deadline = Math.min(worker.deadline, performance.now() + LEAVE_QUICK_SECONDS * 1000)
    worker.tell({
      type: 'drain',
      mode: 'quick',
      idleSeconds: 0,
      upgradedSeconds: 0,
      handover: false,
    })
  }

  /** The files of the logs were moved away: everybody opens their own anew. */
  reopenLogs(): void {
    this.#log.reopen()
    for (const worker of this.#workers) worker.tell({ type: 'reopen' })
  }

  hurryAll(): void {
    for (const worker of this.#workers) if (worker.state === 'draining') this.hurry(worker)
  }

  /** Kills whom it is time to kill, asks after silent boots, recycles. `most`: how many workers there may be. */
  watch(now: number, times: Times, most: number): void {
    this.#recycling.watch(this.ready, now, most, times)
    for (const worker of this.#workers) {
      if (now >= worker.deadline) this.#expire(worker, times)
      else if (now >= silentAt(worker, times)) this.#suspect(worker, now)
      else if (isBooting(worker.state) && now >= worker.warnAt) {
        worker.warnAt = Infinity
        const { facts, bornAt, waitsFor } = worker
        const seconds = (now - bornAt) / 1000
        this.#log.event('stillBooting', { ...facts, seconds, ...(waitsFor && { waitsFor }) })
      }
    }
  }

  /** Once may be our own sleep, or the machine's: what its pipe holds is read before we look again. */
  #suspect(worker: WorkerHandle, now: number): void {
    const { digest, heardAt = 0 } = worker.watchdog
    if ((worker.silentSince ?? 0) < heardAt) worker.silentSince = now
    if (now < worker.silentSince! + CONFIRM_MS) return
    const seconds = (now - heardAt) / 1000
    worker.reason = 'silent'
    worker.killedFor = 'nothing was heard from it, not even from its watchdog'
    this.#log.event('workerSilent', { ...worker.facts, seconds, ...(digest && { digest }) })
    this.#sendKill(worker)
  }

  #expire(worker: WorkerHandle, { bootTimeout, gracefulTimeout }: Times): void {
    if (worker.state === 'dropped')
      return this.#killDropped(worker, `it had not left within ${LEAVE_QUICK_SECONDS} s`)
    if (!isBooting(worker.state))
      return this.#kill(
        worker,
        `it had not finished within ${gracefulTimeout} s (--graceful-timeout)`,
      )
    const { facts, waitsFor } = worker
    worker.killedFor = `it was not ready within ${bootTimeout} s (--boot-timeout)${waitsFor ? `: ${waitsFor}` : ''}`
    this.#log.event('bootTimeout', {
      ...facts,
      seconds: bootTimeout,
      ...(waitsFor && { waitsFor }),
    })
    this.#sendKill(worker)
  }

  killAll(why: string): void {
    for (const worker of this.#workers)
      if (worker.state === 'dropped') this.#killDropped(worker, why)
      else if (worker.state !== 'killed') this.#kill(worker, why)
  }

  /** Nobody is harmed: no error, and it does not count. Its exit is told. */
  #killDropped(worker: WorkerHandle, why: string): void {
    worker.killedFor = why
    this.#sendKill(worker)
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
  nextDue(times: Times): number {
    const due = [...this.#workers].map((w) =>
      Math.min(
        w.deadline,
        silentAt(w, times),
        isBooting(w.state) ? w.warnAt : Infinity,
        isWatched(w.state) && !w.watchdog.heardAt ? performance.now() + FIRST_DIGEST_MS : Infinity,
      ),
    )
    return Math.min(this.#recycling.nextDue(this.ready, times), ...due)
  }
}
