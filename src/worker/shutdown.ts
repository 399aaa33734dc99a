// What the application wants to do when its worker begins to leave (onShutdown of `nodicorn/app`), for instance to say goodbye
// over its WebSockets. Runs in every worker; told by drain.ts.

import type { Thrown } from '../hook-runner.ts'

type Listener = () => unknown

/** So long after a stop has become a quick one nobody waits for them any more, ms. */
const QUICK_MS = 500

export class Shutdown {
  #state: 'serving' | 'leaving' | 'abandoned' = 'serving'
  readonly #listeners: Listener[] = []
  readonly #running = new Set<Promise<void>>()
  readonly #onFailure: (thrown: Thrown) => void
  #abandon: () => void = () => undefined

  /** `onFailure`: a listener threw or rejected. */
  constructor(onFailure: (thrown: Thrown) => void) {
    this.#onFailure = onFailure
  }

  /** To be called when the worker begins to leave; at once if it has. */
  add(listener: Listener): void {
    if (this.#state === 'serving') this.#listeners.push(listener)
    else this.#run(listener)
  }

  begin(): void {
    this.#state = 'leaving'
    for (const listener of this.#listeners) this.#run(listener)
  }

  /** Resolves when all of them have ended, or soon after hurry(). */
  async settled(): Promise<void> {
    if (this.#state === 'abandoned') return
    const abandoned = new Promise<void>((resolve) => (this.#abandon = resolve))
    await Promise.race([abandoned, this.#allEnded()])
  }

  hurry(): void {
    setTimeout(() => {
      this.#state = 'abandoned'
      this.#abandon()
    }, QUICK_MS).unref()
  }

  async #allEnded(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  #run(listener: Listener): void {
    const call = async (): Promise<void> => {
      try {
        await listener()
      } catch (error) {
        const { thrownFacts } = await import('../hook-runner.ts')
        this.#onFailure(thrownFacts(error))
      }
    }
    const run = call().finally(() => this.#running.delete(run))
    this.#running.add(run)
  }
}
