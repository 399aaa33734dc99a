// How long things took, by buckets, as a histogram needs them. A leaf: the master counts so, and the job processes do.

/** How many durations fell into each bucket, each on its own, and the last one for what is longer than all. */
export interface Durations {
  /** Seconds. */
  sum: number
  readonly buckets: number[]
}

/** `bounds`: upper ones, in seconds; +Inf follows. */
export const noDurations = (bounds: readonly number[]): Durations => ({
  sum: 0,
  buckets: Array<number>(bounds.length + 1).fill(0),
})

export function countDuration(
  durations: Durations,
  bounds: readonly number[],
  seconds: number,
): void {
  const bucket = bounds.findIndex((bound) => seconds <= bound)
  durations.buckets[bucket < 0 ? bounds.length : bucket]!++
  durations.sum += seconds
}

/** `more` has the same bounds. */
export function addDurations(durations: Durations, more: Durations): void {
  durations.sum += more.sum
  more.buckets.forEach((count, n) => (durations.buckets[n]! += count))
}
