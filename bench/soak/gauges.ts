// What leaks would show in: descriptors and memory of every process, samples over the whole soak; and the client's own lateness.

import { openFiles } from '../../test/helpers/process.ts'
import { memoryOf } from '../../test/helpers/workers.ts'

export interface Sample {
  /** Ms of Date.now(). */
  readonly at: number
  readonly pid: number
  readonly files: number
  /** Bytes, resident. */
  readonly memory: number
}

/** Undefined: it ended meanwhile. */
export function sample(pid: number): Sample | undefined {
  try {
    return { at: Date.now(), pid, files: openFiles(pid), memory: memoryOf(pid) }
  } catch (error) {
    // ENOENT, ESRCH: gone
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

const BEAT_MS = 50

/** How late this process's own timers are: what a request seems to last is not all the server's. */
export class Lateness {
  readonly #late: { at: number; ms: number }[] = []
  #due = Date.now() + BEAT_MS
  readonly #timer = setInterval(() => this.#beat(), BEAT_MS)

  #beat(): void {
    const now = Date.now()
    const ms = now - this.#due
    if (ms > BEAT_MS) this.#late.push({ at: now, ms })
    this.#due = now + BEAT_MS
  }

  /** All of it that fell between two times, ms. */
  readonly between = (from: number, to: number): number =>
    this.#late
      .filter(({ at, ms }) => at >= from && at - ms <= to + BEAT_MS)
      .reduce((sum, { ms }) => sum + ms, 0)

  stop(): void {
    clearInterval(this.#timer)
  }
}
