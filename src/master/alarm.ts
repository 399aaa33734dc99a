// Wakes the master's loop when something is due although nothing happens. Runs in the master.

const LONGEST_TIMER_MS = 2 ** 31 - 1

export class Alarm {
  #timer: NodeJS.Timeout | undefined
  readonly #wake: () => void

  constructor(wake: () => void) {
    this.#wake = wake
  }

  /** Instead of the time set before; ms of performance.now(), Infinity for never. */
  set(at: number): void {
    clearTimeout(this.#timer)
    if (at === Infinity) return
    const wait = Math.max(0, Math.ceil(at - performance.now()))
    this.#timer = setTimeout(this.#wake, Math.min(wait, LONGEST_TIMER_MS))
  }
}
