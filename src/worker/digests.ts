// What a watchdog tells the master every second: what its worker is doing, and what it has served. Runs in the watchdog's thread.

import type { Digest, RequestFacts } from '../protocol.ts'
import { HEAD, STATE, msBetween, type Scoreboard, type SlotView } from '../scoreboard.ts'
import type { Statistics } from '../statistics.ts'

/** So many requests of a worker are told of one by one. */
export const LISTED = 20
/** A busy loop beats twenty times a second: since so long it has stood still, and makes its timers wait, s. */
const STALE_SECONDS = 0.5

export class Digests {
  readonly #board: Scoreboard
  readonly #statistics: Statistics
  /** How many requests the master knows of. */
  #told = 0

  constructor(board: Scoreboard, statistics: Statistics) {
    this.#board = board
    this.#statistics = statistics
  }

  /** `stale`: since when the loop has not turned, ms; `clock`: the main thread's. */
  make(stale: number, clock: number): Digest {
    const board = this.#board
    const busy = inFlight(board)
    return {
      type: 'digest',
      stale: stale / 1000,
      utilization: board.head(HEAD.utilization) / 1_000,
      inFlight: busy.length,
      connections: board.head(HEAD.used),
      timeouts: board.head(HEAD.timeouts),
      orphans: board.head(HEAD.orphans),
      untracked: board.head(HEAD.overflow),
      loopDelay: this.#loopDelay(stale / 1000),
      heap: { used: board.head(HEAD.heapUsed) * 1024, limit: board.head(HEAD.heapLimit) * 1024 },
      ...this.#served(),
      oldest: oldestOf(busy, clock),
    }
  }

  /** A beat while it is taken is lost: what comes next will be about as late. */
  #loopDelay(stale: number): number {
    const seconds = this.#board.head(HEAD.loopDelay) / 10_000
    this.#board.setHead(HEAD.loopDelay, 0)
    return Math.max(seconds, stale >= STALE_SECONDS ? stale : 0)
  }

  #served(): Pick<Digest, 'served'> {
    const { requests } = this.#statistics
    if (requests === this.#told) return {}
    this.#told = requests
    return { served: this.#statistics.read() }
  }
}

export const inFlight = (board: Scoreboard): SlotView[] =>
  [...board.slots()].filter(({ state }) => state === STATE.inFlight || state === STATE.begun)

/** `clock`: the main thread's. */
export const oldestOf = (slots: SlotView[], clock: number): RequestFacts[] =>
  slots
    .sort((a, b) => msBetween(b.startedAt, a.startedAt))
    .slice(0, LISTED)
    .map((slot) => named(slot, clock))

/** `clock`: the main thread's. */
export function named(slot: SlotView, clock: number): RequestFacts {
  const [method = '', url = ''] = slot.text.split(' ')
  const timeout = slot.deadline !== 0 && msBetween(slot.startedAt, slot.deadline) / 1000
  return {
    method,
    url,
    age: msBetween(slot.startedAt, clock) / 1000,
    ...(timeout && { timeout }),
  }
}
