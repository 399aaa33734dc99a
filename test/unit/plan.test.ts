// The plan: from what runs and what should run to whom to start and whom to retire.
import { describe, expect, test } from 'vitest'
import type { State } from '../../src/master/lifecycle.ts'
import { backOff, plan, type PlanInput, type WorkerView } from '../../src/master/plan.ts'

let ids = 0
const worker = (slot: number, state: State, generation = 1, leaving = false): WorkerView => ({
  id: ++ids,
  slot,
  generation,
  state,
  leaving,
  lingering: false,
})

const planFor = (input: Partial<PlanInput>): ReturnType<typeof plan> =>
  plan({ workers: [], target: 2, oldest: 1, surge: 1, notBefore: new Map(), now: 0, ...input })

const slotsOf = (workers: readonly WorkerView[], retire: readonly number[]): number[] =>
  retire.map((id) => workers.find((w) => w.id === id)!.slot)

test('a start fills every slot at once', () => {
  expect(planFor({ target: 3 })).toEqual({ spawn: [0, 1, 2], retire: [], wakeAt: undefined })
})

test('nothing is done while everything is as it should be', () => {
  const workers = [worker(0, 'ready'), worker(1, 'booting')]
  expect(planFor({ workers })).toEqual({ spawn: [], retire: [], wakeAt: undefined })
})

describe('a crash', () => {
  test('fills the slot that is free', () => {
    expect(planFor({ workers: [worker(0, 'ready')] }).spawn).toEqual([1])
    expect(planFor({ workers: [worker(1, 'ready')] }).spawn).toEqual([0])
  })

  test('waits for the slot that backs off, and wakes when it is over', () => {
    const workers = [worker(0, 'ready')]
    const notBefore = new Map([[1, 5_000]])
    expect(planFor({ workers, notBefore, now: 4_999 })).toMatchObject({ spawn: [], wakeAt: 5_000 })
    expect(planFor({ workers, notBefore, now: 5_000 })).toMatchObject({
      spawn: [1],
      wakeAt: undefined,
    })
  })

  test('wakes for the slot that is due first', () => {
    const notBefore = new Map([
      [0, 9_000],
      [1, 3_000],
    ])
    expect(planFor({ notBefore }).wakeAt).toBe(3_000)
  })

  test('does not wait for workers that drain or die in the same slot', () => {
    const workers = [worker(0, 'ready'), worker(1, 'draining'), worker(1, 'killed')]
    expect(planFor({ workers }).spawn).toEqual([1])
  })
})

describe('a reload', () => {
  test('boots one worker more than there should be, and retires nobody yet', () => {
    const workers = [worker(0, 'ready'), worker(1, 'ready')]
    expect(planFor({ workers, oldest: 2 })).toEqual({ spawn: [0], retire: [], wakeAt: undefined })
  })

  test('waits while the new one boots', () => {
    const workers = [worker(0, 'ready'), worker(1, 'ready'), worker(0, 'booting', 2)]
    expect(planFor({ workers, oldest: 2 })).toMatchObject({ spawn: [], retire: [] })
  })

  test('retires the old one when its successor is ready', () => {
    const workers = [worker(0, 'ready'), worker(1, 'ready'), worker(0, 'ready', 2)]
    const { spawn, retire } = planFor({ workers, oldest: 2 })
    expect(retire).toEqual([workers[0]!.id])
    expect(spawn).toEqual([])
  })

  test('counts those that drain: the next one starts when they are gone', () => {
    const workers = [worker(0, 'draining'), worker(1, 'ready'), worker(0, 'ready', 2)]
    expect(planFor({ workers, oldest: 2 }).spawn).toEqual([])
    expect(planFor({ workers: workers.slice(1), oldest: 2 }).spawn).toEqual([1])
  })

  test('with a larger surge replaces more at once', () => {
    const workers = [0, 1, 2, 3].map((slot) => worker(slot, 'ready'))
    expect(planFor({ workers, target: 4, oldest: 2, surge: 2 }).spawn).toEqual([0, 1])
  })

  test('that overtakes another does not get stuck with two old workers in a slot', () => {
    const workers = [worker(0, 'ready', 1), worker(0, 'ready', 2), worker(1, 'ready', 1)]
    const { spawn, retire } = planFor({ workers, oldest: 3 })
    expect([...spawn, ...retire]).not.toEqual([])
    const left = workers.filter(({ id }) => !retire.includes(id))
    expect(new Set(left.map(({ slot }) => slot)), 'each slot keeps one').toEqual(new Set([0, 1]))
  })

  test('from any state ends with fresh workers only, never fewer ready ones than there were', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const { workers, fewest } = simulate(seed)
      expect(
        workers.every((w) => w.generation >= 3 && w.state === 'ready'),
        `seed ${seed}`,
      ).toBe(true)
      expect(workers.map(({ slot }) => slot).sort(), `seed ${seed}`).toEqual([0, 1, 2])
      expect(fewest, `seed ${seed}`).toBe(3)
    }
  })
})

/** Carries plans out, one worker's progress at a time in random order, with reloads coming in at random. */
function simulate(seed: number): { workers: WorkerView[]; fewest: number } {
  let state = seed
  const random = (n: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * n)
  }
  let workers = [0, 1, 2].map((slot) => worker(slot, 'ready'))
  let oldest = 1
  let fewest = Infinity
  for (let turn = 0; turn < 120; turn++) {
    if (oldest < 3 && random(4) === 0) oldest++
    const { spawn, retire } = planFor({ workers, target: 3, oldest })
    workers = workers.map((w) => (retire.includes(w.id) ? { ...w, state: 'draining' as const } : w))
    workers.push(...spawn.map((slot) => worker(slot, 'booting', oldest)))
    const moving = workers.filter((w) => w.state !== 'ready')
    const next = moving[random(moving.length)]
    if (next?.state === 'booting')
      workers = workers.map((w) => (w === next ? { ...w, state: 'ready' as const } : w))
    else if (next) workers = workers.filter((w) => w !== next)
    fewest = Math.min(fewest, workers.filter((w) => w.state === 'ready').length)
  }
  return { workers, fewest }
}

describe('recycling', () => {
  test('replaces one at a time of those that asked for it', () => {
    const workers = [worker(0, 'ready', 1, true), worker(1, 'ready', 1, true)]
    expect(planFor({ workers })).toMatchObject({ spawn: [0], retire: [] })
  })

  test('retires the one that asked when its successor is ready', () => {
    const workers = [worker(0, 'ready', 1, true), worker(1, 'ready'), worker(0, 'ready')]
    expect(planFor({ workers }).retire).toEqual([workers[0]!.id])
  })
})

describe('a worker that lingers, because its requests have more time than --graceful-timeout,', () => {
  const lingers = (slot: number): WorkerView => ({ ...worker(slot, 'draining'), lingering: true })

  test('keeps nobody else from being replaced', () => {
    const workers = [lingers(0), worker(0, 'ready'), worker(1, 'ready', 1, true)]
    expect(planFor({ workers }).spawn).toEqual([1])
    const waits = workers.map((w) => ({ ...w, lingering: false }))
    expect(planFor({ workers: waits }).spawn, 'one that merely drains does').toEqual([])
  })

  test('is one of at most as many as there should be workers', () => {
    const others = [worker(0, 'ready'), worker(1, 'ready', 1, true)]
    expect(planFor({ workers: [lingers(0), lingers(1), ...others] }).spawn).toEqual([1])
    expect(planFor({ workers: [lingers(0), lingers(1), lingers(1), ...others] }).spawn).toEqual([])
  })
})

describe('scaling', () => {
  test('up starts the new slots at once', () => {
    expect(planFor({ workers: [worker(0, 'ready')], target: 3 }).spawn).toEqual([1, 2])
  })

  test('down retires the highest slots, booting ones too', () => {
    const workers = [worker(0, 'ready'), worker(1, 'ready'), worker(2, 'booting')]
    const { retire, spawn } = planFor({ workers, target: 1 })
    expect(slotsOf(workers, retire)).toEqual([1, 2])
    expect(spawn).toEqual([])
  })

  test('to none, which is a stop, retires everybody and starts nobody', () => {
    const workers = [worker(0, 'ready'), worker(1, 'booting'), worker(1, 'draining')]
    const { retire, spawn } = planFor({ workers, target: 0, notBefore: new Map([[1, 9]]) })
    expect(slotsOf(workers, retire)).toEqual([0, 1])
    expect(spawn).toEqual([])
  })
})

test('the back-off is 0, 1, 2, 4 ... seconds up to its limit, and stays there', () => {
  const waits = [0, 1, 2, 3, 4, 5, 6, 7, 8, 100, 10_000].map((crashes) => backOff(crashes, 30))
  expect(waits).toEqual([0, 0, 1, 2, 4, 8, 16, 30, 30, 30, 30])
  expect(backOff(9, 0), 'a limit of 0 never waits').toBe(0)
})
