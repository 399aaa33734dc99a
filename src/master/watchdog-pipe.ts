// The line to a worker's watchdog thread, which says: a digest every second, whose code it stopped, a post-mortem just before it
// ends the process; and answers questions. Runs in the master.

import type { Duplex } from 'node:stream'
import type { Answer, Inspected, Question, ToWatchdog } from '../inspection.ts'
import type { Digest, FromWatchdog, Interruption, LastCount, PostMortem } from '../protocol.ts'

/** A digest has at most 20 requests of 224 bytes, an answer 40 frames more; anything longer is not from us. */
const MAX_LINE = 65_536

/** The watchdog says why it can't; it has cleaned up. Other errors mean that nothing was heard of it. */
export class Refused extends Error {}

interface Asked {
  resolve(answer: Answer): void
  reject(error: Error): void
}

export class WatchdogPipe {
  /** The last one, and when it came: ms of performance.now(). */
  digest: Digest | undefined
  heardAt: number | undefined
  postMortem: PostMortem | undefined
  #rest = ''
  #seq = 0
  readonly #asked = new Map<number, Asked>()
  readonly #pipe: Duplex
  readonly #hears: (said: Digest | LastCount | Interruption) => void

  constructor(pipe: Duplex, hears: (said: Digest | LastCount | Interruption) => void) {
    this.#pipe = pipe
    this.#hears = hears
    pipe.setEncoding('utf8')
    pipe.on('data', (text: string) => this.#hear(text))
    // ECONNRESET, EPIPE: the worker is dead, which its exit event tells
    pipe.on('error', () => undefined)
    pipe.on('close', () => {
      for (const { reject } of this.#asked.values())
        reject(new Error('it ended before it answered'))
    })
  }

  /** Rejects with why there is no answer, a clause about the worker. `ms`: how long one is waited for. */
  ask(question: Question, ms: number): Promise<Answer> {
    const seq = ++this.#seq
    return new Promise<Answer>((resolve, reject) => {
      if (this.#pipe.destroyed) return reject(new Error('it has ended'))
      const late = setTimeout(
        () => reject(new Error(`its watchdog did not answer within ${ms / 1000} s`)),
        ms,
      )
      const settled = (): void => {
        clearTimeout(late)
        this.#asked.delete(seq)
      }
      this.#asked.set(seq, {
        resolve: (answer) => (settled(), resolve(answer)),
        reject: (error) => (settled(), reject(error)),
      })
      const message: ToWatchdog = { ...question, seq, before: Date.now() + ms }
      this.#pipe.write(`${JSON.stringify(message)}\n`)
    })
  }

  #hear(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()!.slice(-MAX_LINE)
    this.heardAt = performance.now()
    for (const line of lines) this.#take(line)
  }

  #take(line: string): void {
    try {
      const message = JSON.parse(line) as FromWatchdog
      if (message.type === 'digest') this.#hears((this.digest = message))
      else if (message.type === 'interrupted' || message.type === 'served') this.#hears(message)
      else if (message.type === 'post-mortem') this.postMortem = message
      else if (message.type === 'answer' || message.type === 'refusal') this.#answered(message)
    } catch (error) {
      // the application wrote to a descriptor that is not its own
      if (!(error instanceof SyntaxError)) throw error
    }
  }

  /** Nobody may wait for it any more. */
  #answered(said: Inspected): void {
    const asked = this.#asked.get(said.seq)
    if (said.type === 'answer') asked?.resolve(said.answer)
    else asked?.reject(new Refused(said.why))
  }
}

/** A loop that has not turned for so long is blocked, s; an idle one turns twice a second. */
const BLOCKED_SECONDS = 1
/** So is one of whose watchdog nothing is heard, ms. */
const SILENT_MS = 3_000

/** The event loop of a worker that has been heard of stands still, as far as is known. `now`: ms of performance.now(). */
export const isBlocked = (
  { digest, heardAt }: Pick<WatchdogPipe, 'digest' | 'heardAt'>,
  now: number,
): boolean =>
  digest !== undefined &&
  heardAt !== undefined &&
  (digest.stale > BLOCKED_SECONDS || now - heardAt > SILENT_MS)
