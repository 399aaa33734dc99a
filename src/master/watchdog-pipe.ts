// What a worker's watchdog thread says: a digest every second, whose code it stopped, and a post-mortem just before it ends the
// process. Runs in the master.

import type { Readable } from 'node:stream'
import type { Digest, FromWatchdog, Interruption, LastCount, PostMortem } from '../protocol.ts'

/** A digest has at most 20 requests of 224 bytes; anything longer is not from us. */
const MAX_LINE = 65_536

export class WatchdogPipe {
  /** The last one, and when it came: ms of performance.now(). */
  digest: Digest | undefined
  heardAt: number | undefined
  postMortem: PostMortem | undefined
  #rest = ''
  readonly #hears: (said: Digest | LastCount | Interruption) => void

  constructor(pipe: Readable, hears: (said: Digest | LastCount | Interruption) => void) {
    this.#hears = hears
    pipe.setEncoding('utf8')
    pipe.on('data', (text: string) => this.#hear(text))
    // ECONNRESET: the worker is dead, which its exit event tells
    pipe.on('error', () => undefined)
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
    } catch (error) {
      // the application wrote to a descriptor that is not its own
      if (!(error instanceof SyntaxError)) throw error
    }
  }
}
