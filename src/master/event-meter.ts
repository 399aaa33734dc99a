// What the log's events measure: how long boots and drains take, what was handed over, how many lines of which level. Pure.
// Runs in the master.

import { countDuration, noDurations } from '../durations.ts'
import type { EventName, Facts, Level, LogEvent } from '../events.ts'

/** Upper bounds in seconds; +Inf follows. */
export const DURATIONS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120] as const

const ENDS: readonly EventName[] = ['workerExited', 'workerCrashed', 'workerTimeout']

export class EventMeter {
  readonly boots = noDurations(DURATIONS)
  readonly drains = noDurations(DURATIONS)
  readonly levels: Record<Level, number> = { debug: 0, info: 0, warning: 0, error: 0, critical: 0 }
  handedOver = 0
  /** Standbys that join the others: their boot was measured before. */
  readonly #promoted = new Set<number>()
  /** When workers began to leave, by pid. */
  readonly #leaving = new Map<number, number>()

  hear({ name, level, facts, at }: LogEvent): void {
    this.levels[level]++
    const { worker = 0, seconds = 0 } = facts as { worker?: number; seconds?: number }
    if (name === 'booting') this.#forget(worker) // its pid may have been somebody else's before
    if (name === 'promoting') this.#promoted.add(worker)
    if (name === 'standbyReady') countDuration(this.boots, DURATIONS, seconds)
    if (name === 'workerReady' && !this.#promoted.delete(worker))
      countDuration(this.boots, DURATIONS, seconds)
    if (name === 'workerExiting') this.#leaving.set(worker, at)
    if (ENDS.includes(name)) this.#left(worker, at)
    if (name === 'handedOver') this.handedOver += (facts as Facts<'handedOver'>).connections
  }

  #forget(worker: number): void {
    this.#promoted.delete(worker)
    this.#leaving.delete(worker)
  }

  #left(worker: number, at: number): void {
    const since = this.#leaving.get(worker)
    if (since !== undefined) countDuration(this.drains, DURATIONS, (at - since) / 1000)
    this.#forget(worker)
  }
}
