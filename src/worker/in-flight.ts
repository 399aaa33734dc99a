// The requests in flight, and what of them is numbers: in typed arrays, because a double in an object is an object of its own,
// and these two are most of what a request would weigh. Runs in every worker; requests.ts alone adds and deletes.

import type { Entry } from './request-entry.ts'

/** The place of what is over: it has no deadline and no slot, and nobody writes there. */
const GONE = 0

const TIMES = 2
const FIRST_CAPACITY = 256
/** Of a number, these bits are a place; what is above them changes with each use of it. 4 million: more than there is memory for. */
const PLACE = (1 << 22) - 1

/**
 * A request knows its place by a number, which is nobody else's while it is in flight, and finds no place once it is over. Grows
 * with the most that were in flight at once: 32 bytes for each.
 */
class Clocks {
  /** For each place: began, deadline. */
  #times = new Float64Array(FIRST_CAPACITY * TIMES)
  #numbers = new Int32Array(FIRST_CAPACITY)
  #slots = new Int32Array(FIRST_CAPACITY)
  #marks = new Int32Array(FIRST_CAPACITY)
  /** Places that are free again: a stack, so that the same few are used over and over. */
  #free = new Int32Array(FIRST_CAPACITY)
  #freed = 0
  #fresh = GONE + 1

  constructor() {
    this.#times[GONE * TIMES + 1] = Infinity
    this.#slots[GONE] = -1
  }

  /** A number, not 0. Times in ms of performance.now(). */
  take(startedAt: number, deadline: number, marks: number): number {
    const at = this.#freed > 0 ? this.#free[--this.#freed]! : this.#fresh++
    if (at === this.#slots.length) this.#grow()
    this.#times[at * TIMES] = startedAt
    this.#times[at * TIMES + 1] = deadline
    this.#slots[at] = -1
    this.#marks[at] = marks
    const last = this.#numbers[at]!
    return (this.#numbers[at] = last === 0 ? at : ~last)
  }

  give(number: number): void {
    const at = number & PLACE
    // until it is taken again no number finds it
    this.#numbers[at] = ~((number + PLACE + 1) & 0x7fffffff)
    this.#free[this.#freed++] = at
  }

  at(number: number): number {
    const at = number & PLACE
    return this.#numbers[at] === number ? at : GONE
  }

  isOver(number: number): boolean {
    return this.at(number) === GONE
  }

  #grow(): void {
    const grown = <T extends Float64Array | Int32Array>(old: T): T => {
      const next = new (old.constructor as new (length: number) => T)(old.length * 2)
      next.set(old)
      return next
    }
    this.#times = grown(this.#times)
    this.#numbers = grown(this.#numbers)
    this.#slots = grown(this.#slots)
    this.#marks = grown(this.#marks)
    this.#free = grown(this.#free)
  }

  startedAt(at: number): number {
    return this.#times[at * TIMES]!
  }

  deadline(at: number): number {
    return this.#times[at * TIMES + 1]!
  }

  setDeadline(at: number, deadline: number): void {
    if (at !== GONE) this.#times[at * TIMES + 1] = deadline
  }

  /** On the scoreboard. */
  slot(at: number): number {
    return this.#slots[at]!
  }

  setSlot(at: number, slot: number): void {
    if (at !== GONE) this.#slots[at] = slot
  }

  marks(at: number): number {
    return this.#marks[at]!
  }

  setMarks(at: number, marks: number): void {
    if (at !== GONE) this.#marks[at] = marks
  }
}

/** Of all requests of this worker. */
export const clocks = new Clocks()

export class InFlight implements Iterable<Entry> {
  size = 0
  /** By their place. */
  readonly #entries: (Entry | undefined)[] = []

  add(entry: Entry): void {
    this.#entries[clocks.at(entry.number)] = entry
    this.size++
  }

  /** False: it is not in it, or no longer. */
  delete(entry: Entry): boolean {
    const at = clocks.at(entry.number)
    if (this.#entries[at] !== entry) return false
    this.#entries[at] = undefined
    this.size--
    return true
  }

  /** In no order, and without a copy: `look` may add and delete. */
  each(look: (entry: Entry) => void): void {
    if (this.size === 0) return
    for (let at = GONE + 1; at < this.#entries.length; at++) {
      const entry = this.#entries[at]
      if (entry !== undefined) look(entry)
    }
  }

  /** The oldest first; of what is in it now, whatever happens meanwhile. */
  [Symbol.iterator](): Iterator<Entry> {
    const all: Entry[] = []
    this.each((entry) => all.push(entry))
    return all.sort((a, b) => a.startedAt - b.startedAt)[Symbol.iterator]()
  }
}
