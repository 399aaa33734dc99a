// Lets so many requests of a route in at a time; the others wait, and those that wait too long get a 503. Runs in every worker.

import { answer } from './refuse.ts'
import type { Entry } from './request-entry.ts'

interface Waiting {
  readonly entry: Entry
  readonly go: () => void
  readonly timer: NodeJS.Timeout
}

interface Gate {
  inside: number
  readonly waiting: Set<Waiting>
}

/** When a route does not say, s. */
const QUEUE_SECONDS = 10
/** A guess at when there will be room, s. */
const RETRY_AFTER = '5'

export class Turnstile {
  readonly #gates = new Map<string, Gate>()
  readonly #timed: (entry: Entry) => void

  /** `timed`: the request's deadline is another one now. */
  constructor(timed: (entry: Entry) => void) {
    this.#timed = timed
  }

  admit(entry: Entry, go: () => void): void {
    const gate = this.#gateOf(entry)
    if (gate.inside < entry.route!.concurrency!) return this.#enter(gate, entry, go)
    entry.wait()
    this.#timed(entry)
    const waiting: Waiting = {
      entry,
      go,
      timer: setTimeout(() => this.#giveUp(gate, waiting), queueMs(entry)),
    }
    gate.waiting.add(waiting)
  }

  /** Its response is over; if it had been let in, the next one may come. */
  left(entry: Entry): void {
    if (entry.route?.concurrency === undefined) return
    const gate = this.#gateOf(entry)
    const waited = [...gate.waiting].find((one) => one.entry === entry)
    if (waited) return this.#forget(gate, waited)
    if (entry.entered) gate.inside--
    const { concurrency } = entry.route
    // that calls the application: not while node is amid ending this one's response
    if (gate.waiting.size > 0) process.nextTick(() => this.#letIn(gate, concurrency))
  }

  #letIn(gate: Gate, concurrency: number): void {
    const [next] = gate.waiting
    if (!next || gate.inside >= concurrency) return
    this.#forget(gate, next)
    this.#enter(gate, next.entry, next.go)
  }

  #enter(gate: Gate, entry: Entry, go: () => void): void {
    gate.inside++
    entry.enter()
    if (entry.state === 'queued') {
      entry.start()
      this.#timed(entry)
    }
    go()
  }

  #giveUp(gate: Gate, waiting: Waiting): void {
    this.#forget(gate, waiting)
    const { req, res } = waiting.entry
    const body = 'Service Unavailable: too many requests of this kind at the moment\n'
    answer(req, res, 503, body, { 'retry-after': RETRY_AFTER })
  }

  #forget(gate: Gate, waiting: Waiting): void {
    clearTimeout(waiting.timer)
    gate.waiting.delete(waiting)
  }

  #gateOf(entry: Entry): Gate {
    const { pattern } = entry.route!
    const gate = this.#gates.get(pattern) ?? { inside: 0, waiting: new Set() }
    this.#gates.set(pattern, gate)
    return gate
  }
}

const queueMs = ({ route }: Entry): number => (route?.queueTimeout ?? QUEUE_SECONDS) * 1000
