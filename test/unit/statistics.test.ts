// What a worker counts: series with bounded labels, buckets, and quantiles that come near the truth.
import { expect, test } from 'vitest'
import { BUCKETS, Statistics, labelsOf, quantile } from '../../src/statistics.ts'

test('a request is counted once, in its series, bucket and magnitude', () => {
  const statistics = new Statistics(1)
  statistics.count('GET', -1, 200, 7)
  statistics.count('GET', -1, 204, 60_000)
  statistics.count('BREW', 0, 503, 0)
  statistics.count('POST', 0, 0, 12)
  const { requests, series } = statistics.read()
  expect(requests).toBe(4)
  const seen = series.map(([number, sum, ...buckets]) => ({
    ...labelsOf(number!, ['/api/**']),
    sum,
    in: buckets.flatMap((count, n) => (count > 0 ? [[n, count]] : [])),
  }))
  expect(seen).toEqual([
    {
      method: 'GET',
      route: '',
      status: '2xx',
      sum: 60.007,
      in: [
        [1, 1],
        [BUCKETS.length, 1],
      ],
    },
    { method: 'POST', route: '/api/**', status: 'aborted', sum: 0.012, in: [[2, 1]] },
    { method: '_OTHER', route: '/api/**', status: '5xx', sum: 0, in: [[0, 1]] },
  ])
})

test('no client can make more series than there are', () => {
  const statistics = new Statistics(0)
  for (let n = 0; n < 10_000; n++) statistics.count(`M${n}`, -1, n, n)
  expect(statistics.read().series.length).toBeLessThanOrEqual(6)
})

test('another thread sees the same counters', () => {
  const statistics = new Statistics(3)
  statistics.count('PUT', 2, 200, 1)
  expect(new Statistics(0, statistics.buffer).read()).toEqual(statistics.read())
})

test.each([0.01, 0.2, 3, 47, 999, 61_000])('the quantile of %d ms is within 13 %%', (ms) => {
  const statistics = new Statistics(0)
  for (let n = 0; n < 100; n++) statistics.count('GET', -1, 200, ms)
  const { latencies } = statistics.read()
  expect(quantile(latencies, 0.5)! / ms).toBeGreaterThan(0.87)
  expect(quantile(latencies, 0.99)! / ms).toBeLessThan(1.13)
})

test('a quantile lies where the share says', () => {
  const statistics = new Statistics(0)
  for (let n = 0; n < 98; n++) statistics.count('GET', -1, 200, 2)
  for (let n = 0; n < 2; n++) statistics.count('GET', -1, 200, 500)
  const { latencies } = statistics.read()
  expect(quantile(latencies, 0.5)).toBeLessThan(3)
  expect(quantile(latencies, 0.99)).toBeGreaterThan(400)
  expect(quantile([], 0.5)).toBeUndefined()
})
