// Handlers that go on after their client got a 504: counted until they say that they have finished, and too many of them
// are a reason to replace the worker. Runs in every worker.

import { HEAD, type Scoreboard } from '../scoreboard.ts'
import type { Channel } from './channel.ts'
import { swallow } from './refuse.ts'
import type { Res } from './requests.ts'

export class Orphans {
  readonly #channel: Channel
  readonly #board: Scoreboard
  readonly #max: number
  #living = 0
  #told = false
  /** Careful handlers see that the response is over, and never call end(). When nothing holds on to it any more, they have finished. */
  readonly #forgotten = new FinalizationRegistry<() => void>((end) => end())

  /** `max`: so many at once retire the worker; 0: never. */
  constructor(channel: Channel, board: Scoreboard, max: number) {
    this.#channel = channel
    this.#board = board
    this.#max = max
  }

  /** The response is answered; from now on its handler talks to nobody. That it calls end() is how we learn of its end. */
  add(res: Res): void {
    this.#count(1)
    const end = this.#once()
    swallow(res, end)
    this.#forgotten.register(res, end)
    if (this.#max === 0 || this.#living < this.#max || this.#told) return
    this.#told = true
    this.#channel.tell({ type: 'recycle', reason: 'orphans', handlers: this.#living })
  }

  #once(): () => void {
    let ended = false
    return () => {
      if (!ended) this.#count(-1)
      ended = true
    }
  }

  #count(by: number): void {
    this.#living += by
    this.#board.setHead(HEAD.orphans, this.#living)
  }
}
