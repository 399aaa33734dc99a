// What a benchmark starts and how all of it ends: at the end of its part, on an error and on Ctrl-C.

import type { Teardown } from '../test/helpers/temp.ts'

type End = () => void | Promise<void>

/** Ends what was started in reverse order. It is what the helpers of the tests want as their `t`. */
export class Site implements Teardown {
  readonly #ends = new Set<End>()
  #state: 'open' | 'closed' = 'open'

  /** After clear() the end comes at once. */
  onTestFinished(end: End): void {
    if (this.#state === 'open') this.#ends.add(end)
    else void Promise.resolve(end()).catch(() => undefined) // the benchmark is over; nobody would read it
  }

  /** Runs a part; what it started is ended with it. Throws what the part or an end threw. */
  async part<T>(work: (site: Site) => Promise<T>): Promise<T> {
    const inner = new Site()
    const end = (): Promise<void> => inner.clear()
    this.onTestFinished(end)
    try {
      return await work(inner)
    } finally {
      await inner.clear()
      this.#ends.delete(end)
    }
  }

  /** Throws the first error of an end, when all have been tried. */
  async clear(): Promise<void> {
    this.#state = 'closed'
    const errors: unknown[] = []
    for (const end of [...this.#ends].reverse()) {
      this.#ends.delete(end)
      try {
        await end()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}

const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const

/** The main function of a benchmark: `work` answers its exit status. */
export async function run(work: (site: Site) => Promise<number>): Promise<void> {
  const site = new Site()
  const interrupted = new Promise<number>((resolve) => {
    for (const [signal, number] of Object.entries(SIGNALS))
      process.once(signal, () => resolve(128 + number))
  })
  let status = 1
  try {
    status = await Promise.race([work(site), interrupted])
  } catch (error) {
    console.error(error)
  } finally {
    await site.clear().catch((error: unknown) => console.error(error))
  }
  // Not process.exitCode: after a signal the work would go on.
  process.exit(status)
}
