// How often each slot has ended in a row, and when it may start again. Pure: the time is an argument (milliseconds).

import { backOff } from './plan.ts'

/** Uptime in seconds. */
interface Ended {
  readonly slot: number
  readonly uptime: number
}

/** Seconds. */
interface Limits {
  readonly stableAfter: number
  readonly backoffMax: number
}

export class CrashBook {
  readonly #crashes = new Map<number, number>()
  /** For plan(): slots that must wait, and until when. */
  readonly notBefore = new Map<number, number>()

  /** Notes an unwanted end; answers how long the slot waits, in seconds, and the crashes in a row. */
  crashed(worker: Ended, limits: Limits, now: number): { crashes: number; seconds: number } {
    const { slot, uptime } = worker
    const crashes = uptime >= limits.stableAfter ? 1 : (this.#crashes.get(slot) ?? 0) + 1
    const seconds = backOff(crashes, limits.backoffMax)
    this.#crashes.set(slot, crashes)
    this.notBefore.set(slot, now + seconds * 1000)
    return { crashes, seconds }
  }

  /** A reload or a scale starts every slot afresh. */
  forgive(): void {
    this.#crashes.clear()
    this.notBefore.clear()
  }
}
