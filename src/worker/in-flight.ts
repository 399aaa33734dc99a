// The requests in flight, as a list threaded through them: a Set would cost each request twice the time and half the memory
// of its entry. Runs in every worker; filled and emptied by requests.ts alone.

import type { Entry } from './request-entry.ts'

export class InFlight implements Iterable<Entry> {
  size = 0
  #first: Entry | undefined

  /** Once for each entry. */
  add(entry: Entry): void {
    const next = this.#first
    entry.next = next
    if (next) next.previous = entry
    this.#first = entry
    this.size++
  }

  /** False: it is not in it, or no longer. */
  delete(entry: Entry): boolean {
    const { next, previous } = entry
    if (previous === undefined && this.#first !== entry) return false
    if (previous) previous.next = next
    else this.#first = next
    if (next) next.previous = previous
    entry.next = entry.previous = undefined
    this.size--
    return true
  }

  /** The oldest first; of what is in it now, whatever happens to the list meanwhile. */
  [Symbol.iterator](): Iterator<Entry> {
    const all: Entry[] = []
    for (let entry = this.#first; entry; entry = entry.next) all.push(entry)
    return all.reverse()[Symbol.iterator]()
  }
}
