// When a worker is too large or too old: by the clock that is given, over processes that are real.
import { totalmem } from 'node:os'
import { describe, expect, test } from 'vitest'
import { grantedBy } from '../../src/cgroup.ts'
import type { Log } from '../../src/log.ts'
import { Recycling, type RecycleSettings } from '../../src/master/recycling.ts'
import type { WorkerHandle } from '../../src/master/worker-handle.ts'
import { limitInBytes } from '../../src/memory-limit.ts'

const GB = 1024 ** 3
const off: RecycleSettings = { maxMemory: 0, maxLifetime: 0, maxLifetimeJitter: 0, stableAfter: 0 }

/** Of this very process as the only worker: what it says at each second, beginning with 0. */
function follow(seconds: readonly Partial<RecycleSettings>[], workers = 1): unknown[] {
  const said: object[] = []
  const log = { event: (_name: string, facts: object) => said.push(facts) } as unknown as Log
  const facts = { worker: process.pid, slot: 0 }
  const worker = { pid: process.pid, facts, reason: undefined } as unknown as WorkerHandle
  const recycling = new Recycling(log)
  return seconds.map((settings, second) => {
    recycling.watch([worker], second * 1000, workers, { ...off, ...settings })
    return said.splice(0)[0]
  })
}

const none = undefined
const [low, high] = [{ maxMemory: 1 }, { maxMemory: 1024 * GB }]

describe('a worker above maxMemory', () => {
  test('is recycled at the third look in a row, once', () => {
    const third = { reason: 'max-memory', limit: 1, worker: process.pid }
    expect(follow([low, low, low, low])).toEqual([none, none, expect.objectContaining(third), none])
  })

  test('stays if it was below in between', () => {
    expect(follow([low, low, high, low, low])).toEqual([none, none, none, none, none])
  })

  test('stays until it is stableAfter old', () => {
    const early = { ...low, stableAfter: 4 }
    const reasons = follow([early, early, early, early, early])
    expect(reasons.map((one) => one !== none)).toEqual([false, false, false, false, true])
  })

  test('is looked at once a second only', () => {
    const log = { event: () => undefined } as unknown as Log
    const worker = { pid: process.pid, facts: {}, reason: undefined } as unknown as WorkerHandle
    const recycling = new Recycling(log)
    for (let ms = 0; ms < 2_000; ms += 100) recycling.watch([worker], ms, 1, { ...off, ...low })
    expect(worker.reason).toBe(undefined)
  })

  test('as a share has its part of what the container or the machine grants', () => {
    const granted = Math.min(grantedBy().memory, totalmem())
    const share = { maxMemory: '1%' } as const
    const [, , third] = follow([share, share, share], 100_000)
    expect(third).toMatchObject({ limit: granted / 100_000 / 100 })
  })
})

test('limits in bytes are sizes, shares of a part, or none', () => {
  expect(limitInBytes(5, GB, 2)).toBe(5)
  expect(limitInBytes('80%', GB, 2)).toBeCloseTo(0.4 * GB, 0)
  expect(limitInBytes('100%', GB, 1)).toBe(GB)
  expect(limitInBytes(0, GB, 2)).toBe(Infinity)
})

test('a worker is as old as maxLifetime says, and at most the jitter older', () => {
  const ages = Array.from({ length: 50 }, () => {
    const turns = follow(Array(9).fill({ maxLifetime: 2, maxLifetimeJitter: 4 }))
    return turns.findIndex((one) => one !== none)
  })
  expect(Math.min(...ages)).toBeGreaterThanOrEqual(2)
  expect(Math.max(...ages)).toBeLessThanOrEqual(6)
  expect(new Set(ages).size, 'not all the same').toBeGreaterThan(1)
})
