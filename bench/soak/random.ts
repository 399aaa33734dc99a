// Numbers that are random and the same again for the same seed. Every step of every client has its own source, so that
// what one of them does never depends on how fast another one is.

/** Mulberry32. */
export class Random {
  #state: number

  constructor(...seed: readonly number[]) {
    this.#state = seed.reduce(
      (hash, n) => Math.imul(hash ^ n, 0x9e3779b1) ^ (hash >>> 15),
      0x85ebca6b,
    )
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let n = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    n = (n + Math.imul(n ^ (n >>> 7), 61 | n)) ^ n
    return ((n ^ (n >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  /** One of the names, by their weights. */
  pick<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][]
    let rest = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    return (entries.find(([, weight]) => (rest -= weight) < 0) ?? entries[0]!)[0]
  }
}
