// What the metrics are made of: sums over slots and over workers that come and go, durations from events, StatsD's lines.
import { describe, expect, test } from 'vitest'
import { fromWire, toWire, type WireMetric } from '../../src/app-metric.ts'
import type { WorkerStatus } from '../../src/control-protocol.ts'
import type { EventName, LogEvent } from '../../src/events.ts'
import { AppMetrics } from '../../src/master/app-metrics.ts'
import { DURATIONS, EventMeter } from '../../src/master/event-meter.ts'
import { serverMetrics, type MetricsPicture } from '../../src/master/metrics.ts'
import { otlpRequest } from '../../src/master/otlp-json.ts'
import { NOTHING, packetsOf, statsdLines, totalsOf } from '../../src/master/statsd-lines.ts'
import { metricNames, metricRow } from '../../src/metric-table.ts'
import { BUCKETS } from '../../src/statistics.ts'
import { workerStatus } from '../helpers/worker-status.ts'

/** `durations`: seconds, of requests that were answered 200. */
function picture({
  workers = [workerStatus({})],
  counters = {},
  durations = [],
}: {
  workers?: readonly WorkerStatus[]
  counters?: Readonly<Record<string, number>>
  durations?: readonly number[]
}): MetricsPicture {
  const buckets = Array<number>(BUCKETS.length + 1).fill(0)
  for (const one of durations) {
    const bucket = BUCKETS.findIndex((bound) => one <= bound)
    buckets[bucket < 0 ? BUCKETS.length : bucket]!++
  }
  const labels = { method: 'GET', route: '', status: '2xx' }
  const total = durations.reduce((sum, one) => sum + one, 0)
  return {
    status: {
      name: 'shop',
      pid: 1,
      version: '1.0.0',
      node: 'v20.20.2',
      directory: '/srv',
      state: 'running',
      uptime: 1,
      urls: [],
      generation: 3,
      target: 2,
      ready: workers.length,
      unready: [],
      standby: 0,
      processes: [],
      jobs: null,
      queued: 4,
      requests: 0,
      inFlight: 1,
      perSecond: 0,
      p50: null,
      p99: null,
      reload: { state: 'none' },
      workers,
    },
    series: durations.length > 0 ? [{ labels, sum: total, buckets }] : [],
    jobs: { byName: new Map(), stalled: 0 },
    counters: new Map(Object.entries(counters)),
    meter: new EventMeter(),
    untracked: 0,
    resident: 1,
    startedAt: 1,
  }
}

const valuesOf = (of: MetricsPicture, name: string): Record<string, number> =>
  Object.fromEntries(
    serverMetrics(of)
      .find((family) => family.name === name)!
      .values.map(({ labels, value }) => [Object.values(labels).join(), value]),
  )

describe("the server's metrics", () => {
  test('are those of the table, with its labels and no others', () => {
    const families = serverMetrics(picture({ durations: [0.1] }))
    expect(families.map(({ name }) => name)).toEqual(metricNames)
    for (const name of metricNames) {
      const { labels = [], type } = metricRow(name)
      const { values } = families.find((family) => family.name === name)!
      for (const value of values) {
        const { le: _le, ...others } = value.labels
        expect([name, Object.keys(others)]).toEqual([name, labels])
      }
      expect(/_total$/.test(name), name).toBe(type === 'counter')
    }
  })

  test('take the two workers together that a slot has while one replaces the other', () => {
    const workers = [
      workerStatus({ rss: 10, loopDelay: 3, inFlight: 1, state: 'draining' }),
      workerStatus({ rss: 20, loopDelay: 1, inFlight: 2 }),
      workerStatus({ slot: 1, rss: null }),
    ]
    const of = picture({ workers })
    expect(valuesOf(of, 'nodicorn_worker_resident_memory_bytes')).toEqual({ 0: 30 })
    expect(valuesOf(of, 'nodicorn_event_loop_delay_seconds')).toEqual({ 0: 3 })
    expect(valuesOf(of, 'http_server_active_requests')).toEqual({ 0: 3, 1: 0 })
    expect(valuesOf(of, 'nodicorn_workers')).toMatchObject({ ready: 2, draining: 1, blocked: 0 })
  })

  test('know every reason from the start, and those that nobody knew', () => {
    const before = valuesOf(picture({}), 'nodicorn_worker_restarts_total')
    expect(before).toMatchObject({ crash: 0, reload: 0, timeout: 0 })
    const counters = { 'restart crash': 2, 'restart new': 1, requestTimeout: 5, reloaded: 1 }
    const of = picture({ counters })
    expect(valuesOf(of, 'nodicorn_worker_restarts_total')).toEqual({ ...before, crash: 2, new: 1 })
    expect(valuesOf(of, 'nodicorn_request_timeouts_total')).toMatchObject({ waiting: 5, silent: 0 })
  })

  test('have buckets that include the smaller ones', () => {
    const [family] = serverMetrics(picture({ durations: [0.001, 0.02, 0.02, 60] }))
    const buckets = family!.values.filter(({ labels }) => 'le' in labels)
    expect(buckets.map(({ value }) => value).slice(0, 4)).toEqual([1, 1, 3, 3])
    expect(buckets.at(-1)).toMatchObject({ labels: { le: '+Inf' }, value: 4 })
    expect(buckets.at(-2)).toMatchObject({ labels: { le: '10' }, value: 3 })
  })
})

test('boots and drains are measured by the events of a worker, once each', () => {
  const meter = new EventMeter()
  const hear = (name: EventName, facts: object, at = 0): void =>
    meter.hear({ name, level: 'info', at, facts, text: '' } as LogEvent)
  hear('workerReady', { worker: 1, seconds: 0.25 })
  hear('standbyReady', { worker: 2, seconds: 0.5 })
  hear('promoting', { worker: 2 })
  hear('workerReady', { worker: 2, seconds: 0.01 })
  expect(meter.boots).toMatchObject({ sum: 0.75 })
  hear('workerExiting', { worker: 1 }, 1_000)
  hear('workerExited', { worker: 1 }, 4_000)
  hear('workerCrashed', { worker: 2 }, 5_000)
  expect(meter.drains).toMatchObject({ sum: 3 })
  expect(meter.drains.buckets[DURATIONS.indexOf(5)]).toBe(1)
  hear('handedOver', { worker: 1, connections: 12 })
  expect(meter.handedOver).toBe(12)
  expect(meter.levels.info).toBe(8)
})

describe("the application's metrics", () => {
  const metric = (type: string, value: number, more: object = {}): WireMetric =>
    toWire({ name: 'm', help: 'h', type, values: [{ labels: {}, value }], ...more })!
  const histogram = (bound: string, count: number): WireMetric =>
    metric('histogram', 0, {
      values: [
        { labels: { le: bound }, value: count, metricName: 'm_bucket' },
        { labels: { le: '+Inf' }, value: count, metricName: 'm_bucket' },
        { labels: {}, value: count, metricName: 'm_count' },
      ],
    })
  const numbers = (of: AppMetrics): number[] =>
    of.all().flatMap((list) => list.flatMap(({ values }) => values.map(({ value }) => value)))

  test('of workers that are gone still count, but for gauges', () => {
    for (const [type, more, left] of [
      ['counter', {}, [5]],
      ['gauge', {}, []],
      ['counter', { aggregator: 'max' }, []],
    ] as const) {
      const all = new AppMetrics()
      all.hear({ id: 1, generation: 1 }, [metric(type, 2, more)])
      all.hear({ id: 2, generation: 1 }, [metric(type, 9, more)])
      all.hear({ id: 2, generation: 1 }, [metric(type, 3, more)])
      expect(numbers(all)).toEqual([2, 3])
      all.gone(1)
      all.gone(2)
      all.gone(2)
      expect(numbers(all), type).toEqual(left)
    }
  })

  test('of older code are left out where they do not fit to those of the newest', () => {
    const all = new AppMetrics()
    all.hear({ id: 1, generation: 1 }, [histogram('1', 4)])
    all.hear({ id: 2, generation: 1 }, [histogram('1', 5)])
    all.gone(1)
    expect(numbers(all)).toEqual([5, 5, 5, 4, 4, 4])
    all.hear({ id: 3, generation: 2 }, [histogram('7', 1)])
    expect(numbers(all)).toEqual([1, 1, 1])
    all.hear({ id: 4, generation: 3 }, [metric('gauge', 8)])
    expect(numbers(all)).toEqual([8])
  })

  test('of a worker that is heard after its end replace what it had told before, once', () => {
    const all = new AppMetrics()
    all.hear({ id: 1, generation: 1 }, [metric('counter', 2)])
    all.gone(1)
    all.hear({ id: 1, generation: 1 }, [metric('counter', 5), metric('gauge', 1, { name: 'g' })])
    expect(numbers(all)).toEqual([5])
    all.gone(1)
    all.hear({ id: 2, generation: 1 }, [metric('counter', 4)])
    expect(numbers(all)).toEqual([4, 5])
  })

  test('with labels of each process do not fill the memory', () => {
    const all = new AppMetrics()
    for (let id = 1; id <= 10_500; id++) {
      const values = [{ labels: { pid: String(id) }, value: 1 }]
      all.hear({ id, generation: 1 }, [metric('counter', 0, { values })])
      all.gone(id)
    }
    expect(numbers(all).length).toBe(10_000)
  })

  test('survive the wire whatever they are', () => {
    const sent = metric('gauge', 0, {
      help: undefined,
      aggregator: 'nonsense',
      values: [
        { labels: { a: 1, 'b-c': 2, d: undefined }, value: Infinity },
        { labels: {}, value: 'x' },
        { labels: {}, value: 1, metricName: 'no name' },
        { value: NaN },
        null,
      ],
    })
    const received = fromWire(JSON.parse(JSON.stringify(sent)) as WireMetric)
    expect(received).toEqual({
      name: 'm',
      help: '',
      type: 'gauge',
      aggregator: 'sum',
      values: [
        { labels: { a: '1' }, value: Infinity },
        { labels: {}, value: NaN },
      ],
    })
    for (const broken of [null, 7, {}, { name: 'm', type: 'x', values: [] }, { name: 'a b' }])
      expect(toWire(broken)).toBeUndefined()
  })
})

test('OTLP has buckets of their own, and every label as an attribute', () => {
  const source = { name: 'shop', version: '1.0.0', pid: 7, startedAt: 1_500, now: 2_500.4 }
  const app = [
    { name: 'nan', help: '', type: 'gauge', values: [{ labels: {}, value: NaN }] },
    {
      name: 'latency',
      help: 'L',
      type: 'summary',
      values: [
        { labels: { quantile: 0.5 }, value: 3 },
        { labels: {}, value: 9, metricName: 'latency_sum' },
        { labels: {}, value: 2, metricName: 'latency_count' },
      ],
    },
  ].map((raw) => fromWire(toWire(raw)!))
  const all = [...serverMetrics(picture({ durations: [0.001, 0.02, 60] })), ...app]
  const { resourceMetrics } = otlpRequest(all, source) as {
    resourceMetrics: [
      { resource: object; scopeMetrics: [{ metrics: Record<string, { dataPoints: object[] }>[] }] },
    ]
  }
  const [{ resource, scopeMetrics }] = resourceMetrics
  expect(JSON.stringify(resource)).toContain(
    '{"key":"service.name","value":{"stringValue":"shop"}}',
  )
  const of = (name: string) => scopeMetrics[0].metrics.find((one) => String(one['name']) === name)!
  const times = { startTimeUnixNano: '1500000000', timeUnixNano: '2500000000' }
  expect(of('http_server_request_duration_seconds')['histogram']?.dataPoints).toEqual([
    {
      attributes: [
        { key: 'method', value: { stringValue: 'GET' } },
        { key: 'route', value: { stringValue: '' } },
        { key: 'status', value: { stringValue: '2xx' } },
      ],
      ...times,
      count: '3',
      sum: 60.021,
      explicitBounds: [...BUCKETS],
      bucketCounts: ['1', '0', '1', ...Array<string>(11).fill('0'), '1'],
    },
  ])
  expect(of('nodicorn_slow_requests_total')['sum']).toEqual({
    aggregationTemporality: 2,
    isMonotonic: true,
    dataPoints: [{ attributes: [], ...times, asDouble: 0 }],
  })
  expect(of('nan')['gauge']?.dataPoints).toEqual([])
  const quantileValues = [{ quantile: 0.5, value: 3 }]
  expect(of('latency')['summary']?.dataPoints).toMatchObject([
    { count: '2', sum: 9, quantileValues },
  ])
})

describe('StatsD', () => {
  const style = { prefix: 'gunicorn', tags: '' }

  test('is told what was added and how things stand', () => {
    const first = picture({ durations: [0.001, 0.001, 20], counters: { requestTimeout: 1 } })
    const before = totalsOf(first)
    expect(statsdLines(NOTHING, before, first, style)).toEqual([
      'gunicorn.requests:3|c',
      'gunicorn.request.status.2xx:3|c',
      'gunicorn.timeouts:1|c',
      'gunicorn.request.duration:2.5|ms|@0.5',
      'gunicorn.request.duration:10000|ms',
      'gunicorn.workers:1|g',
      'gunicorn.backlog:4|g',
      'gunicorn.in_flight:1|g',
    ])
    const next = picture({ durations: [0.001, 0.001, 20, 0.06], counters: { requestTimeout: 1 } })
    const lines = statsdLines(before, totalsOf(next), next, { prefix: '', tags: 'env:prod' })
    expect(lines.slice(0, 3)).toEqual([
      'requests:1|c|#env:prod',
      'request.status.2xx:1|c|#env:prod',
      'request.duration:62.5|ms|#env:prod',
    ])
  })

  test('is told how things stand by the master that goes on, not by one that stops', () => {
    const of = picture({})
    const stops = { status: { ...of.status, state: 'stopping' as const } }
    expect(statsdLines(NOTHING, NOTHING, of, style)).toHaveLength(3)
    expect(statsdLines(NOTHING, NOTHING, stops, style)).toEqual([])
  })

  test('gets as many whole lines in a datagram as fit', () => {
    expect(packetsOf(['aaaa', 'bbbb', 'cccc'], 9)).toEqual(['aaaa\nbbbb', 'cccc'])
    expect(packetsOf(['longer than that'], 3)).toEqual(['longer than that'])
    expect(packetsOf([], 9)).toEqual([])
  })
})
