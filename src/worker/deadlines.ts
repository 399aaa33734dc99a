// Where the request timeout is enforced while the event loop turns: one sweep over the requests in flight answers 504
// to those past their deadline. Runs in every worker.

import { answer, swallow } from './refuse.ts'
import { sentHeader } from './sent-headers.ts'
import type { Channel } from './channel.ts'
import type { Entry, Requests, Res } from './requests.ts'

/** How often the sweep looks, ms: a 504 comes at most this much late. */
const SWEEP_MS = 50

export class Deadlines {
  readonly #requests: Requests
  readonly #channel: Channel
  readonly #seconds: number
  #timer: NodeJS.Timeout | undefined

  /** `seconds`: the `timeout` setting; 0 turns the clock off. */
  constructor(requests: Requests, channel: Channel, seconds: number) {
    this.#requests = requests
    this.#channel = channel
    this.#seconds = seconds
  }

  /** The clock runs only while there are requests, so an idle worker never wakes. */
  began(): void {
    if (this.#seconds > 0 && !this.#timer) {
      this.#timer = setInterval(() => this.#sweep(), Math.min(SWEEP_MS, this.#seconds * 250))
      this.#timer.unref()
    }
  }

  #sweep(): void {
    const late = performance.now() - this.#seconds * 1000
    // insertion order is start order: the first that is not late ends the sweep
    for (const entry of this.#requests.inFlight) {
      if (entry.startedAt > late) break
      if (entry.state === 'running' && !isExempt(entry.res)) this.#expire(entry)
    }
    if (this.#requests.inFlight.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  #expire(entry: Entry): void {
    const { req, res } = entry
    entry.state = 'timed-out'
    const answered = !res.headersSent
    if (answered) {
      answer(req, res, 504, `Gateway Timeout: no response within ${this.#seconds} s`)
      swallow(res)
    } else if ('stream' in res) res.stream.close()
    else req.socket.destroy()
    this.#channel.tell({
      type: 'timeout',
      method: req.method ?? '',
      url: (req.url ?? '').slice(0, 2048),
      seconds: this.#seconds,
      answered,
    })
  }
}

/** A stream of server-sent events is meant to stay open. */
export const isExempt = (res: Res): boolean =>
  res.headersSent && sentHeader(res, 'content-type')?.startsWith('text/event-stream') === true
