// How many connections each worker should give away for all to have about the same. Pure: no node, no clock.

/** A smaller share of the mean is not worth moving connections for. */
const TOLERANCE = 0.1

/** For the workers' `counts`, how many each has too many; all zero while nobody is far from the mean. */
export function surpluses(counts: readonly number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0)
  const mean = total / counts.length
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  const farthest = Math.max(most - mean, mean - least)
  if (most - least < 2 || farthest <= TOLERANCE * mean) return counts.map(() => 0)
  // what does not divide evenly stays where there is most
  const fullest = counts.map((count, at) => ({ count, at })).sort((a, b) => b.count - a.count)
  const remainder = total % counts.length
  const surplus = counts.map(() => 0)
  for (const [place, { count, at }] of fullest.entries())
    surplus[at] = Math.max(0, count - Math.floor(mean) - (place < remainder ? 1 : 0))
  return surplus
}
