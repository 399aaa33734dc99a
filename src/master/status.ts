// The picture of the server for those who ask: from what the master knows and the watchdogs have told, so that no worker is
// needed to draw it. Runs in the master.

import { queuedConnections } from './accept-queue.ts'
import type {
  EventItem,
  RequestInFlight,
  RequestList,
  ServerState,
  ServerStatus,
  WorkerStatus,
} from '../control-protocol.ts'
import type { LogEvent } from '../events.ts'
import type { Crew } from './crew.ts'
import type { MasterState } from './inputs.ts'
import { unreadiness } from './health.ts'
import type { Ledger } from './ledger.ts'
import type { Master } from './master.ts'
import { ResidentMemory } from './memory.ts'
import type { Sockets } from './sockets.ts'
import { isBlocked } from './watchdog-pipe.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** What does not change while the server runs. */
export interface Identity {
  readonly name: string
  readonly version: string
  readonly directory: string
}

export interface StatusParts {
  readonly identity: Identity
  readonly master: Pick<Master, 'state' | 'urls'>
  readonly sockets: Pick<Sockets, 'descriptors'>
  readonly ledger: Ledger
}

export class Status {
  readonly #parts: StatusParts
  readonly #memory = new ResidentMemory()

  constructor(parts: StatusParts) {
    this.#parts = parts
  }

  server(): ServerStatus {
    const { identity, master, sockets } = this.#parts
    const { crew, workers: target, generation, groups, ...state } = master.state
    const now = performance.now()
    const { p50, p99, perSecond } = crew.traffic.rates(now)
    const beside = groups.status
    const pids = [...crew.all, ...beside].map(({ pid }) => pid).filter((pid) => pid > 0)
    const resident = this.#memory.latest(pids)
    const workers = this.#workers(crew, resident, now)
    return {
      ...identity,
      pid: process.pid,
      node: process.version,
      state: stateOf(state),
      uptime: process.uptime(),
      urls: master.urls,
      generation,
      target,
      ready: crew.ready.length,
      unready: this.unready(),
      standby: workers.filter(({ state }) => state === 'standby').length,
      queued: queuedConnections(sockets.descriptors),
      requests: crew.traffic.requests,
      inFlight: workers.reduce((sum, { inFlight }) => sum + inFlight, 0),
      perSecond,
      p50: p50 === undefined ? null : p50 / 1000,
      p99: p99 === undefined ? null : p99 / 1000,
      reload: this.#reload(),
      workers,
      processes: beside.map((one) => ({ ...one, rss: resident.get(one.pid) ?? null })),
      jobs: groups.board.status(state.config.settings),
    }
  }

  #reload(): ServerStatus['reload'] {
    const { reload } = this.#parts.ledger
    return 'at' in reload ? { ...reload, at: new Date(reload.at).toISOString() } : reload
  }

  #workers(crew: Crew, resident: ReadonlyMap<number, number>, now: number): WorkerStatus[] {
    return crew.all
      .map((worker) => this.#worker(worker, crew, resident, now))
      .sort((one, other) => one.slot - other.slot || one.age - other.age)
  }

  #worker(
    worker: WorkerHandle,
    { traffic }: Crew,
    resident: ReadonlyMap<number, number>,
    now: number,
  ): WorkerStatus {
    const { id, slot, pid, generation, watchdog } = worker
    const { digest, heardAt } = watchdog
    const { p50, p99, perSecond } = traffic.rates(now, id)
    const { restarts, reason, at, story } = this.#parts.ledger.slot(slot)
    return {
      slot,
      pid,
      state: workerState(worker, now),
      generation,
      age: (now - worker.bornAt) / 1000,
      requests: traffic.requestsOf(id),
      inFlight: digest?.inFlight ?? 0,
      connections: digest?.connections ?? 0,
      perSecond,
      p50: p50 === undefined ? null : p50 / 1000,
      p99: p99 === undefined ? null : p99 / 1000,
      loopDelay: digest?.loopDelay ?? null,
      utilization: digest?.utilization ?? null,
      rss: resident.get(pid) ?? null,
      heapUsed: digest?.heap.used ?? null,
      heapLimit: digest?.heap.limit ?? null,
      timeouts: digest?.timeouts ?? 0,
      orphans: digest?.orphans ?? 0,
      silence: heardAt === undefined ? null : (now - heardAt) / 1000,
      restarts,
      lastRestart:
        reason === undefined ? null : { reason, at: new Date(at!).toISOString(), story: story! },
    }
  }

  /** Why the server should not get requests; empty if it should. */
  unready(): string[] {
    const { step, config } = this.#parts.master.state
    return unreadiness({ step, ...this.#serving(), minReady: config.settings.minReady })
  }

  /** Of the workers that are ready: how many there are, and how many of them are blocked. */
  #serving(): { ready: number; blocked: number } {
    const now = performance.now()
    const { ready } = this.#parts.master.state.crew
    const blocked = ready.filter(({ watchdog }) => isBlocked(watchdog, now))
    return { ready: ready.length, blocked: blocked.length }
  }

  requests(): RequestList {
    const { crew } = this.#parts.master.state
    const now = performance.now()
    const listed = crew.all.flatMap((worker) => inFlightOf(worker, now))
    const all = crew.all.reduce((sum, { watchdog }) => sum + (watchdog.digest?.inFlight ?? 0), 0)
    return {
      requests: listed.sort((one, other) => other.age - one.age),
      more: Math.max(0, all - listed.length),
    }
  }
}

const stateOf = ({ step, isReloading }: Pick<MasterState, 'step' | 'isReloading'>): ServerState =>
  step === 'starting'
    ? 'starting'
    : step !== 'running'
      ? 'stopping'
      : isReloading
        ? 'reloading'
        : 'running'

function workerState({ state, watchdog }: WorkerHandle, now: number): WorkerStatus['state'] {
  if (state === 'ready' && isBlocked(watchdog, now)) return 'blocked'
  return state === 'dropped' || state === 'gone' ? 'draining' : state
}

/** As old as they are now, if they still go on. */
function inFlightOf({ slot, pid, watchdog }: WorkerHandle, now: number): RequestInFlight[] {
  const { digest, heardAt } = watchdog
  const since = heardAt === undefined ? 0 : (now - heardAt) / 1000
  return (digest?.oldest ?? []).map((facts) => {
    const age = facts.age + since
    return { slot, pid, ...facts, age, share: facts.timeout ? age / facts.timeout : null }
  })
}

export const eventItem = ({ at, name, level, text, facts }: LogEvent): EventItem => ({
  at: new Date(at).toISOString(),
  event: name,
  level,
  text,
  facts: facts as Readonly<Record<string, unknown>>,
})
