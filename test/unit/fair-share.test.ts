// Who has too many connections, and how many.
import { expect, test } from 'vitest'
import { surpluses } from '../../src/master/fair-share.ts'

test.each([
  { counts: [], give: [] },
  { counts: [7], give: [0] },
  { counts: [1, 0], give: [0, 0] },
  { counts: [2, 0], give: [1, 0] },
  { counts: [20, 20, 20, 20], give: [0, 0, 0, 0] },
  { counts: [36, 21, 17, 6], give: [16, 1, 0, 0] },
  { counts: [3, 3, 3, 1], give: [0, 0, 1, 0] },
  { counts: [22, 22, 22, 14], give: [2, 2, 2, 0] },
  { counts: [5, 5, 5, 4], give: [0, 0, 0, 0] },
])('of $counts, $give are too many', ({ counts, give }) => {
  expect(surpluses(counts)).toEqual(give)
})

test('a skew of a tenth of the mean is left alone', () => {
  expect(surpluses([110, 90])).toEqual([0, 0])
  expect(surpluses([112, 88])).toEqual([12, 0])
})

test('what is given away fills those below the mean, and no more', () => {
  const counts = [41, 0, 3, 12, 9]
  const given = surpluses(counts)
  expect(counts.map((count, at) => count - given[at]!)).toEqual([13, 0, 3, 12, 9])
  expect(given.every((n) => n >= 0)).toBe(true)
})
