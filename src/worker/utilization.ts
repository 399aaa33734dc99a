// How busy the event loop is, how late, and how full its heap, written to the scoreboard for the watchdog's digest. Runs in every worker.

import { HEAD, type Scoreboard } from '../scoreboard.ts'

/** Less than the pace of an idle loop's beat, so that each of its beats measures, ms. */
const LEAST_MS = 450

export class Utilization {
  readonly #board: Scoreboard
  #since = performance.eventLoopUtilization()
  #measuredAt = performance.now()

  constructor(board: Scoreboard) {
    this.#board = board
  }

  /** A timer was so late, ms. */
  late(ms: number): void {
    const tenths = Math.round(ms * 10)
    if (tenths > this.#board.head(HEAD.loopDelay)) this.#board.setHead(HEAD.loopDelay, tenths)
  }

  /** The share of the time since the last measurement in which the loop did not wait, at most twice a second. `now` in ms. */
  measure(now: number): void {
    if (now - this.#measuredAt < LEAST_MS) return
    this.#measuredAt = now
    const until = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(until, this.#since)
    this.#since = until
    this.#board.setHead(HEAD.utilization, Math.round(utilization * 1_000))
    const heap = process.getBuiltinModule('node:v8').getHeapStatistics()
    this.#board.setHead(HEAD.heapUsed, heap.used_heap_size / 1024)
    this.#board.setHead(HEAD.heapLimit, heap.heap_size_limit / 1024)
  }
}
