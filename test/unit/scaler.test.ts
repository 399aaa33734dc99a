// What a range of workers makes of the load: series of looks, a second apart, and how many workers there should be.
import { describe, expect, test } from 'vitest'
import {
  decide,
  NO_TREND,
  type Load,
  type Memory,
  type Rules,
  type Trend,
} from '../../src/master/scaler.ts'

const rules: Rules = { min: 1, max: 4, upAt: 0.8, upAfter: 3_000, downAfter: 6_000 }
const MB = 1024 ** 2
const plenty: Memory = { workers: [50 * MB], standbys: 0, master: 50 * MB, granted: 1024 * MB }

const at = (...utilization: number[]): Load => ({ utilization, queued: 0, memory: plenty })
const queue = (queued: number, ...utilization: number[]): Load => ({
  ...at(...utilization),
  queued,
})
const times = (n: number, load: Load): Load[] => Array<Load>(n).fill(load)

/** The number of workers after each look; each step is carried out at once. */
function follow(looks: readonly Load[], from: number, own: Partial<Rules> = {}): number[] {
  let trend: Trend = NO_TREND
  let target = from
  return looks.map((load, second) => {
    const next = decide(trend, load, target, { ...rules, ...own }, second * 1_000)
    trend = next.trend
    return (target = next.target)
  })
}
const last = (looks: readonly Load[], from: number, own?: Partial<Rules>): number =>
  follow(looks, from, own).at(-1)!

describe('one more', () => {
  test('comes when the workers have been busy for upAfter, and not before', () => {
    expect(follow(times(4, at(0.9)), 1)).toEqual([1, 1, 1, 2])
  })

  test.each([
    ['at the threshold', times(4, at(0.8)), 2],
    ['below it', times(9, at(0.79)), 1],
    ['when the mean is high enough', times(4, at(1, 0.7)), 3],
    ['not for one busy worker among idle ones', times(9, at(1, 0.4)), 2],
    ['when connections wait, however idle the loops are', times(4, queue(1, 0.1)), 2],
    [
      'when busy loops and waiting connections take turns',
      [at(0.9), queue(3, 0.5), at(0.9), queue(1, 0)],
      2,
    ],
    ['not when a look in between was fine', [at(0.9), at(0.9), at(0.5), at(0.9), at(0.9)], 1],
    ['not when nobody has said anything yet', times(9, at()), 1],
  ] as [string, Load[], number][])('%s', (_, looks, expected) => {
    expect(last(looks, looks[0]!.utilization.length || 1)).toBe(expected)
  })

  test('needs upAfter again for the next, one by one up to max', () => {
    expect(follow(times(17, at(1)), 1)).toEqual([1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4])
  })

  test('needs two looks even if it may come at once', () => {
    expect(follow(times(3, at(1)), 1, { upAfter: 0 })).toEqual([1, 2, 2])
  })
})

describe('one fewer', () => {
  test('leaves when the others could have done it for downAfter, and not before', () => {
    expect(follow(times(7, at(0.1, 0.1)), 2)).toEqual([2, 2, 2, 2, 2, 2, 1])
  })

  test.each([
    [
      'not if the others would then be nearly busy: 0.3 of two is 0.6 of one',
      times(9, at(0.3, 0.3)),
      2,
    ],
    ['if they would not: 0.27 of two is 0.54 of one', times(7, at(0.27, 0.27)), 1],
    ['sooner among many: 0.4 of four is 0.53 of three', times(7, at(0.4, 0.4, 0.4, 0.4)), 3],
    ['never below min', times(99, at(0)), 1],
    ['not while connections wait', [...times(6, at(0, 0)), queue(1, 0, 0), at(0, 0)], 2],
    [
      'not if one look was neither calm nor busy',
      [...times(6, at(0, 0)), at(0.5, 0.5), at(0, 0)],
      2,
    ],
  ] as [string, Load[], number][])('%s', (_, looks, expected) => {
    expect(last(looks, looks[0]!.utilization.length)).toBe(expected)
  })

  test('needs downAfter again for the next, one by one down to min', () => {
    const sizes = follow(times(30, at(0, 0)), 4, { min: 2 })
    expect(sizes.indexOf(3)).toBe(6)
    expect(sizes.indexOf(2)).toBe(13)
    expect(sizes.at(-1)).toBe(2)
  })
})

test('whatever the load, a step up is not taken back for the same load', () => {
  for (let percent = 80; percent <= 100; percent++)
    for (let workers = 1; workers < 8; workers++) {
      const share = (percent / 100) * (workers / (workers + 1))
      const looks = times(60, at(...Array<number>(workers + 1).fill(share)))
      expect(last(looks, workers + 1, { max: workers + 1 })).toBe(workers + 1)
    }
})

describe('memory', () => {
  const grants = (granted: number, standbys = 0): Load => ({
    ...at(1),
    memory: { workers: [100 * MB, 300 * MB], standbys, master: 50 * MB, granted: granted * MB },
  })
  // 450 MB and another 200 MB are 90 % of 722.3 MB
  test('one more comes if with a worker like the others 90 % are not passed', () => {
    expect(last(times(4, grants(723)), 2)).toBe(3)
    expect(last(times(9, grants(722)), 2)).toBe(2)
  })

  test('of standbys is in use too', () => {
    expect(last(times(4, grants(723, MB)), 2)).toBe(2)
    expect(last(times(4, grants(725, MB)), 2)).toBe(3)
  })

  test('that is missing is said, and one more comes as soon as there is some', () => {
    const held = times(4, grants(500)).reduce(
      ({ trend }, load, second) => decide(trend, load, 2, rules, second * 1_000),
      { trend: NO_TREND, target: 2, held: false },
    )
    expect(held).toMatchObject({ held: true, target: 2 })
    expect(decide(held.trend, grants(1_000), 2, rules, 4_000)).toMatchObject({ target: 3 })
  })

  test('that is not known yet is no reason', () => {
    const unknown = { ...at(1), memory: { workers: [], standbys: 0, master: 50 * MB, granted: MB } }
    expect(last(times(4, unknown), 1)).toBe(2)
  })
})
