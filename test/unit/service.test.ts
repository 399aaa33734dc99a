// What systemd is told, and when: pure, with a clock of its own.
import { expect, test } from 'vitest'
import { Report, type Scene } from '../../src/master/service.ts'
import { heirsEnvironment, watchdogMs } from '../../src/master/systemd.ts'

const scene = (some: Partial<Scene> = {}): Scene => ({
  ...{ step: 'running', isReloading: false, ready: 2, workers: 2, perSecond: 0, endsAt: 0 },
  ...some,
})
const reloading = scene({ isReloading: true, ready: 1 })

test('READY is said once, when the workers are; before, only how far it is', () => {
  const report = new Report(undefined)
  const starting = scene({ step: 'starting', ready: 0 })
  expect(report.next(starting, 0, false)).toEqual(['STATUS=Starting: 0 of 2 workers ready'])
  expect(report.next(scene(), 5, false)).toEqual([
    'READY=1',
    'STATUS=2 of 2 workers ready, 0 requests/s',
  ])
  expect(report.next(scene(), 60_000, false)).toEqual([])
})

test('the status follows what changes, every 10 s at most', () => {
  const report = new Report(undefined)
  report.next(scene(), 0, false)
  const busy = (perSecond: number): Scene => scene({ perSecond })
  expect(report.next(busy(3.14), 9_999, false)).toEqual([])
  expect(report.next(busy(3.14), 10_000, false)).toEqual([
    'STATUS=2 of 2 workers ready, 3.1 requests/s',
  ])
  expect(report.next(busy(1234.5), 15_000, false)).toEqual([])
  expect(report.next(busy(1234.5), 20_000, false)).toEqual([
    'STATUS=2 of 2 workers ready, 1235 requests/s',
  ])
})

test('RELOADING has the time of the clock that systemd looks at, and asks for more time while it lasts', () => {
  const report = new Report(undefined)
  report.next(scene(), 0, false)
  expect(report.next(reloading, 1_000.5, false)).toEqual([
    'RELOADING=1',
    'MONOTONIC_USEC=1000500',
    'STATUS=Reloading: 1 of 2 workers ready',
  ])
  expect(report.next(reloading, 9_000, false)).toEqual([])
  expect(report.next(reloading, 11_001, false)).toEqual(['EXTEND_TIMEOUT_USEC=60000000'])
  expect(report.next(reloading, 12_000, true), 'another HUP').toEqual([
    'RELOADING=1',
    'MONOTONIC_USEC=12000000',
  ])
  expect(report.next(scene(), 13_000, false)[0]).toBe('READY=1')
})

test('a HUP that comes to nothing is answered all the same', () => {
  const report = new Report(undefined)
  report.next(scene(), 0, false)
  expect(report.next(scene(), 50, true)).toEqual(['RELOADING=1', 'MONOTONIC_USEC=50000'])
  expect(report.next(scene(), 50, false)).toEqual(['READY=1'])
})

test('STOPPING asks for the time that the workers have, and again if they get more', () => {
  const report = new Report(undefined)
  report.next(scene(), 0, false)
  const stopping = (endsAt: number): Scene => scene({ step: 'stopping', ready: 0, endsAt })
  expect(report.next(stopping(31_000), 1_000, false)).toEqual([
    'STOPPING=1',
    'EXTEND_TIMEOUT_USEC=35000000',
    'STATUS=Stopping: the workers finish their requests',
  ])
  expect(report.next(stopping(31_500), 20_000, false)).toEqual([])
  expect(report.next(stopping(90_000), 20_000, true)).toEqual(['EXTEND_TIMEOUT_USEC=75000000'])
})

test('WATCHDOG is said from READY on, with every other message, and at least twice in its time', () => {
  const report = new Report(4_000)
  expect(report.next(scene({ step: 'starting' }), 0, false)).not.toContain('WATCHDOG=1')
  expect(report.next(scene(), 1, false)).toContain('WATCHDOG=1')
  expect(report.next(scene(), 900, false)).toEqual([])
  expect(report.next(scene(), 2_000, false)).toEqual(['WATCHDOG=1'])
  expect(report.next(scene(), 4_000, false)).toEqual(['WATCHDOG=1'])
})

test.each([
  [{}, undefined],
  [{ WATCHDOG_USEC: '30000000' }, 30_000],
  [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '12' }, 30_000],
  [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '13' }, undefined],
  [{ WATCHDOG_USEC: 'soon', WATCHDOG_PID: '12' }, undefined],
  [{ WATCHDOG_USEC: '0' }, undefined],
])(
  '%o: the watchdog of process 12 wants to hear every %s ms, and so does that of its heir',
  (env, ms) => {
    expect(watchdogMs(env, 12)).toBe(ms)
    expect(watchdogMs(heirsEnvironment(env, 12), 99)).toBe(ms)
  },
)
