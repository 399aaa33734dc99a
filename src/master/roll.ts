// Which generation of workers is wanted: a reload raises it, a failed reload takes it back. Pure. Runs in the master.

import type { Config } from '../config.ts'

type State =
  | { step: 'steady' }
  | { step: 'rolling'; since: number; before: { oldest: number; config: Config } }

export class Roll {
  /** The newest generation: what a worker started now belongs to. */
  generation = 1
  /** Workers of an older generation are replaced. */
  oldest = 1
  config: Config
  #state: State = { step: 'steady' }

  constructor(config: Config) {
    this.config = config
  }

  get isRolling(): boolean {
    return this.#state.step === 'rolling'
  }

  /** Replace everybody. A roll under way is overtaken: what it fell back to stays the fallback. `now` in ms. */
  begin(config: Config, now: number): void {
    const before =
      this.#state.step === 'rolling'
        ? this.#state.before
        : { oldest: this.oldest, config: this.config }
    this.#state = { step: 'rolling', since: now, before }
    this.config = config
    this.oldest = ++this.generation
  }

  /** Everybody is replaced; answers by which generation, and how many seconds it took. */
  finish(now: number): { generation: number; seconds: number } {
    const seconds = this.#state.step === 'rolling' ? (now - this.#state.since) / 1000 : 0
    this.#state = { step: 'steady' }
    return { generation: this.generation, seconds }
  }

  /** The new generation does not boot: the old one is good again. */
  abort(): void {
    if (this.#state.step !== 'rolling') return
    this.oldest = this.#state.before.oldest
    this.config = this.#state.before.config
    this.#state = { step: 'steady' }
  }
}
