// What this worker is: the slot it has, and whether it stands by. Both change once, when it is promoted. Runs in every worker.

import type { WorkerInit } from '../protocol.ts'

export class Standing {
  #slot: number
  #state: 'standby' | 'active'
  readonly #waiting: (() => unknown)[] = []

  constructor({ slot, mode }: Pick<WorkerInit, 'slot' | 'mode'>) {
    this.#slot = slot
    this.#state = mode === 'standby' ? 'standby' : 'active'
  }

  get slot(): number {
    return this.#slot
  }

  get isStandby(): boolean {
    return this.#state === 'standby'
  }

  /** In a microtask, so that what throws there is an uncaught error of the application. */
  onActivate(activate: () => unknown): void {
    if (this.isStandby) this.#waiting.push(activate)
    else queueMicrotask(activate)
  }

  /** What waits for it is called before the first client is let in. */
  promote(slot: number): void {
    this.#slot = slot
    this.#state = 'active'
    for (const activate of this.#waiting.splice(0)) queueMicrotask(activate)
  }
}
