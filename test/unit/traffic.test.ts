// Sums over workers that come and go, and rates of the last seconds.
import { expect, test } from 'vitest'
import { Traffic } from '../../src/master/traffic.ts'
import { Statistics } from '../../src/statistics.ts'

const served = (requests: number, ms = 5) => {
  const statistics = new Statistics(0)
  for (let n = 0; n < requests; n++) statistics.count('GET', -1, 200, ms)
  return statistics.read()
}

test('counters never go back when a worker goes', () => {
  const traffic = new Traffic()
  traffic.hear(1, [], served(10), 0)
  traffic.hear(2, [], served(5), 0)
  expect(traffic.requests).toBe(15)
  traffic.gone(1)
  expect(traffic.requests).toBe(15)
  traffic.hear(3, [], served(1), 0)
  traffic.gone(2)
  expect(traffic.requests).toBe(16)
  const [total] = traffic.series()
  expect(total!.buckets.reduce((sum, n) => sum + n)).toBe(16)
  expect(traffic.series(), 'to ask changes nothing').toEqual(traffic.series())
})

test('routes keep their name, whatever place they have in the settings of a worker', () => {
  const traffic = new Traffic()
  for (const [worker, routes] of [
    [1, ['/a', '/b']],
    [2, ['/b']],
  ] as const) {
    const statistics = new Statistics(routes.length)
    statistics.count('GET', routes.indexOf('/b' as never), 200, 1)
    traffic.hear(worker, routes, statistics.read(), 0)
  }
  traffic.gone(1)
  const series = traffic.series()
  expect(series.map(({ labels, buckets }) => [labels.route, buckets[0]])).toEqual([['/b', 2]])
})

test('rates are those of the last ten seconds', () => {
  const traffic = new Traffic()
  traffic.hear(1, [], served(1_000, 900), 0)
  for (let second = 1; second <= 30; second++)
    traffic.hear(
      1,
      [],
      { ...served(1_000 + second, 900), latencies: [...served(1_000, 900).latencies] },
      second * 1000,
    )
  expect(traffic.rates(30_000, 1).perSecond).toBeCloseTo(1, 1)
  expect(traffic.rates(30_000).perSecond).toBeCloseTo(1, 1)
  expect(traffic.rates(30_000, 99)).toEqual({ perSecond: 0, p50: undefined, p99: undefined })
})
