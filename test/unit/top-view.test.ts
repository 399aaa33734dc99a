// What `supervisor top`, the progress of a reload and `supervisor stack` draw, for given facts and sizes.
import { describe, expect, test } from 'vitest'
import { fileName, stackView } from '../../src/client/look.ts'
import { progressLine } from '../../src/client/progress.ts'
import { keysIn } from '../../src/client/screen.ts'
import {
  ORDERS,
  sortedWorkers,
  topLines,
  topTable,
  type Choices,
} from '../../src/client/top-view.ts'
import type { ServerStatus, StackLook, WorkerStatus } from '../../src/control-protocol.ts'
import { workerStatus } from '../helpers/worker-status.ts'

const worker = (slot: number, facts: Partial<WorkerStatus> = {}): WorkerStatus =>
  workerStatus({ slot, pid: 5000 + slot, age: 100, silence: 0, ...facts })

const slots = (workers: readonly WorkerStatus[]): number[] => workers.map(({ slot }) => slot)

describe('the order of workers', () => {
  const workers = [
    worker(0, { utilization: 0.1, rss: 3, age: 2 }),
    worker(1, { utilization: 0.9, rss: 1, age: 1 }),
    worker(2, { rss: 2, age: 2 }),
  ]
  test.each([
    ['s', false, [0, 1, 2]],
    ['s', true, [2, 1, 0]],
    ['c', false, [1, 0, 2]],
    ['m', false, [0, 2, 1]],
    ['a', false, [0, 2, 1]],
    ['r', false, [0, 1, 2]],
  ] as [keyof typeof ORDERS, boolean, number[]][])(
    '%s, reversed: %s',
    (order, isReversed, expected) => {
      expect(slots(sortedWorkers(workers, { order, isReversed }))).toEqual(expected)
    },
  )
})

const status = (workers: WorkerStatus[]): ServerStatus => ({
  name: 'shop',
  pid: 4299,
  version: '0.1.0',
  node: 'v24.0.0',
  directory: '/srv/shop',
  state: 'running',
  uptime: 60,
  urls: ['http://127.0.0.1:8000'],
  generation: 1,
  target: workers.length,
  ready: workers.length,
  unready: [],
  standby: 0,
  processes: [],
  jobs: null,
  queued: 0,
  requests: 0,
  inFlight: 0,
  perSecond: 0,
  p50: null,
  p99: null,
  reload: { state: 'none' },
  workers,
})

const choices: Choices = {
  order: 's',
  isReversed: false,
  selected: undefined,
  view: 'workers',
  message: '',
}

describe('the screen', () => {
  const many = Array.from({ length: 40 }, (_, slot) =>
    worker(slot, {
      lastRestart: { reason: 'crash', at: '2026-11-23T00:00:00Z', story: '' },
      state: slot === 3 ? 'blocked' : 'ready',
      loopDelay: 3.8,
    }),
  )
  const request = {
    method: 'GET',
    url: `/${'x'.repeat(300)}\x1b[2J`,
    age: 3,
    slot: 0,
    pid: 5000,
    share: 0.5,
  }
  const picture = {
    status: status(many),
    requests: { requests: [request], more: 0 },
    silence: undefined,
  }

  test.each([
    [100, 30],
    [60, 20],
    [20, 8],
    [10, 3],
    [300, 100],
  ])('of %d columns and %d rows is filled and not passed', (columns, rows) => {
    const lines = topLines(picture, choices, { columns, rows }, Date.now())
    expect(lines.filter(({ text }) => text.length > columns)).toEqual([])
    expect(lines.length).toBe(Math.max(rows, 7))
    for (const { text } of lines) expect(text).not.toMatch(/[\x00-\x1f]/)
  })

  test('always has the chosen worker, and the oldest request', () => {
    for (const selected of [5000, 5020, 5039]) {
      const lines = topLines(picture, { ...choices, selected }, { columns: 80, rows: 20 }, 0)
      expect(lines.filter(({ style }) => style === 'reverse').map(({ text }) => text)).toEqual([
        expect.stringContaining(String(selected)),
      ])
      expect(lines.some(({ text }) => text.includes('GET /xxx'))).toBe(true)
    }
  })

  test('says so when the server does not answer', () => {
    const lines = topLines({ ...picture, silence: 4 }, choices, { columns: 80, rows: 20 }, 0)
    expect(lines.map(({ text }) => text)).toContain('  NO ANSWER from the server for 4.0s')
  })

  test('leaves the least important columns out where there is no room', () => {
    const titles = (width: number): string => topTable(many, Date.now(), width)[0]!
    expect(titles(200)).toMatch(/SLOT +PID +STATE +AGE .*RESTARTS +WHY$/)
    expect(titles(60)).toMatch(/^SLOT +PID +STATE .*BUSY/)
    expect(titles(60)).not.toMatch(/WHY|RESTARTS/)
    expect(titles(10)).toMatch(/^SLOT/)
  })
})

test('keys are told apart, however many come at once', () => {
  expect(keysIn('q\x1b[A\x1bOBk\x03\x1a\x1b[5~')).toEqual([
    'q',
    'up',
    'down',
    'k',
    'ctrl-c',
    'ctrl-z',
    '\x1b[5~',
  ])
  expect(keysIn('\x1b')).toEqual(['escape'])
})

test('the progress of a reload is narrower than the terminal', () => {
  expect(progressLine(1, 2, 0.4, 80)).toBe(
    'Reloading [==========          ] 1 of 2 workers replaced, 400ms',
  )
  expect(progressLine(1, 2, 0.4, 40)).toBe('Reloading 1 of 2 workers replaced, 400m')
  expect(progressLine(0, 0, 0, 80)).toBe('Reloading')
})

test.each([
  [
    {
      state: 'running',
      still: 3.8,
      stack: ['at spin (/srv/app.js:12:3)'],
      request: { method: 'GET', url: '/x', age: 4 },
      oldest: [],
    },
    ['worker 0 (pid 1): blocked for 3.8s in GET /x', '    at spin (/srv/app.js:12:3)'],
  ],
  [
    {
      state: 'idle',
      still: 0,
      stack: [],
      oldest: [
        { method: 'GET', url: '/wait', age: 2 },
        { method: 'GET', url: '/', age: 1 },
      ],
    },
    ['worker 0 (pid 1): idle; oldest request: GET /wait, 2.0s (and 1 more)'],
  ],
  [
    { state: 'native', still: 5, stack: [], oldest: [] },
    [
      'worker 0 (pid 1): blocked for 5.0s in native code, or without a processor; no requests in flight',
    ],
  ],
  [
    { error: 'no stack of worker 1: it is booting' },
    ['worker 0 (pid 1): no stack of worker 1: it is booting'],
  ],
] as [Omit<StackLook, 'slot' | 'pid'>, string[]][])(
  'a stack is told as what the worker is at %#',
  (look, expected) => {
    expect(stackView({ slot: 0, pid: 1, ...look } as StackLook)).toEqual(expected)
  },
)

test('a file is named after the application, the slot and the second', () => {
  expect(fileName('my shop', 0, new Date(2026, 10, 3, 4, 5, 6), 'cpuprofile')).toBe(
    'nodicorn-my_shop-0-20261103T040506.cpuprofile',
  )
})
