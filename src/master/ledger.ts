// What has happened, as far as the log's events tell: the last of them, why each slot's worker was replaced, how the last reload
// went, and counters that only grow. Pure. Runs in the master.

import type { EventName, Facts, LogEvent } from '../events.ts'

const REMEMBERED = 1_000

/** Of a slot. */
export interface SlotHistory {
  readonly restarts: number
  /** Why its last worker ended: `crash`, `timeout`, `reload`, `max-requests`, ...; undefined for the first one. */
  readonly reason: string | undefined
  /** Ms since 1970. */
  readonly at: number | undefined
  /** In the words of the log. */
  readonly story: string | undefined
}

const FIRST: SlotHistory = { restarts: 0, reason: undefined, at: undefined, story: undefined }

export type ReloadState =
  | { readonly state: 'none' | 'running' }
  /** `seconds`: how long it took. */
  | { readonly state: 'done'; readonly at: number; readonly seconds: number }
  | { readonly state: 'failed'; readonly at: number; readonly error: string }

/** Ends of workers, and by which reason they are known. */
const ENDS: { readonly [E in EventName]?: (facts: Facts<E>) => string } = {
  workerExited: ({ reason }) => reason,
  workerCrashed: () => 'crash',
  workerTimeout: ({ reason }) => reason,
  workerSilent: () => 'silent',
  workerKilled: () => 'killed',
  bootFailed: () => 'boot-failed',
}
/** What is followed by the exit that it brought about, if the worker was to leave anyway. */
const BEFORE_EXIT: readonly EventName[] = ['workerTimeout', 'workerSilent', 'workerKilled']

const RESTART = 'restart '

/** Of a process beside the workers. */
const PROCESS_END = 'process-end '

const counted = (counters: ReadonlyMap<string, number>, kind: string): Map<string, number> =>
  new Map(
    [...counters].flatMap(([name, count]) =>
      name.startsWith(kind) ? [[name.slice(kind.length), count]] : [],
    ),
  )

/** Of the ledger's counters: how often a worker was replaced, by reason. */
export const restartsIn = (counters: ReadonlyMap<string, number>): Map<string, number> =>
  counted(counters, RESTART)

/** Of the ledger's counters: how often a process beside the workers ended, by group. */
export const processEndsIn = (counters: ReadonlyMap<string, number>): Map<string, number> =>
  counted(counters, PROCESS_END)

type Listener = (event: LogEvent) => void

export class Ledger {
  readonly #recent: LogEvent[] = []
  readonly #slots = new Map<number, SlotHistory>()
  readonly #counters = new Map<string, number>()
  readonly #listeners = new Set<Listener>()
  /** Ends that are told twice: by what ended a worker, and by its exit. */
  readonly #ended = new Set<number>()
  reload: ReloadState = { state: 'none' }

  hear(event: LogEvent): void {
    if (event.name === 'digest') return // it comes every second from every worker, and is the present, not history
    if (this.#recent.push(event) > REMEMBERED) this.#recent.shift()
    this.#add(event.name)
    this.#end(event)
    this.#reloads(event)
    for (const listener of this.#listeners) listener(event)
  }

  /** The last events, oldest first. */
  recent(most = REMEMBERED): readonly LogEvent[] {
    return this.#recent.slice(-most)
  }

  /** Calls `listener` for every event from now on; the result takes it off again. */
  follow(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  slot(slot: number): SlotHistory {
    return this.#slots.get(slot) ?? FIRST
  }

  /** How often each event happened, and `restart <reason>`, `process-end <group>`. */
  get counters(): ReadonlyMap<string, number> {
    return this.#counters
  }

  #add(counter: string): void {
    this.#counters.set(counter, (this.#counters.get(counter) ?? 0) + 1)
  }

  #end({ name, facts, text, at }: LogEvent): void {
    if (name === 'processExited' || name === 'processEnded')
      return this.#add(PROCESS_END + (facts as Facts<'processEnded'>).group)
    if (name === 'booting') this.#ended.delete((facts as Facts<'booting'>).worker) // its pid was somebody else's before
    const reasonOf = ENDS[name] as ((facts: object) => string) | undefined
    if (!reasonOf) return
    const { worker, slot } = facts as { worker: number; slot: number }
    if (this.#ended.delete(worker)) return
    if (BEFORE_EXIT.includes(name)) this.#ended.add(worker)
    const reason = reasonOf(facts)
    this.#add(RESTART + reason)
    const restarts = this.slot(slot).restarts + 1
    this.#slots.set(slot, { restarts, reason, at, story: text })
  }

  #reloads({ name, facts, at }: LogEvent): void {
    if (name === 'reloading') this.reload = { state: 'running' }
    else if (name === 'reloaded')
      this.reload = { state: 'done', at, seconds: (facts as Facts<'reloaded'>).seconds }
    else if (name === 'reloadFailed')
      this.reload = { state: 'failed', at, error: (facts as Facts<'reloadFailed'>).error }
  }
}
