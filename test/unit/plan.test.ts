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
  plan({
    ...{ workers: [], target: 2, oldest: 1, surge: 1, standby: 0, notBefore: new Map(), now: 0 },
    ...input,
  })

const nothing = { spawn: [], warm: [], promote: [], retire: [], wakeAt: undefined }

const slotsOf = (workers: readonly WorkerView[], retire: readonly number[]): number[] =>
  retire.map((id) => workers.find((w) => w.id === id)!.slot)

test('a start fills every slot at once', () => {
  expect(planFor({ target: 3 })).toEqual({ ...nothing, spawn: [0, 1, 2] })
})

test('nothing is done while everything is as it should be', () => {
  const workers = [worker(0, 'ready'), worker(1, 'booting')]
  expect(planFor({ workers })).toEqual(nothing)
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
    expect(planFor({ workers, oldest: 2 })).toEqual({ ...nothing, spawn: [0] })
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
    for (let seed = 1; seed <= 300; seed++) {
      const standby = seed % 3
      const { workers, fewest, most } = simulate(seed, standby)
      const what = `seed ${seed}, ${standby} on standby`
      expect(
        workers.every((w) => w.generation >= 3),
        what,
      ).toBe(true)
      const slotsIn = (state: State): number[] =>
        workers.flatMap((w) => (w.state === state ? [w.slot] : [])).sort()
      expect(slotsIn('ready'), what).toEqual([0, 1, 2])
      expect(slotsIn('standby'), what).toHaveLength(standby)
      expect(workers, what).toHaveLength(3 + standby)
      expect(fewest, what).toBe(3)
      expect(most, what).toBeLessThanOrEqual(3 + standby + 1)
    }
  })
})

const BOOTED: Partial<Record<State, State>> = { booting: 'ready', warming: 'standby' }
const TOLD: Partial<Record<State, State>> = { warming: 'dropped', standby: 'dropped' }

/** Carries plans out, one worker's progress at a time in random order, with reloads coming in at random. */
function simulate(
  seed: number,
  standby: number,
): { workers: WorkerView[]; fewest: number; most: number } {
  let state = seed
  const random = (n: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * n)
  }
  let workers = [0, 1, 2].map((slot) => worker(slot, 'ready'))
  let oldest = 1
  let [fewest, most] = [Infinity, 0]
  const set = (id: number, change: Partial<WorkerView>): void =>
    void (workers = workers.map((w) => (w.id === id ? { ...w, ...change } : w)))
  for (let turn = 0; turn < 160; turn++) {
    if (oldest < 3 && random(4) === 0) oldest++
    const { spawn, warm, promote, retire } = planFor({ workers, target: 3, oldest, standby })
    for (const { id, slot } of promote) set(id, { state: 'booting', slot })
    for (const id of retire)
      set(id, { state: TOLD[workers.find((w) => w.id === id)!.state] ?? 'draining' })
    workers.push(...spawn.map((slot) => worker(slot, 'booting', oldest)))
    workers.push(...warm.map((slot) => worker(slot, 'warming', oldest)))
    most = Math.max(most, workers.length)
    const moving = workers.filter((w) => w.state !== 'ready' && w.state !== 'standby')
    const next = moving[random(moving.length)]
    const booted = next && BOOTED[next.state]
    if (booted) set(next.id, { state: booted })
    else if (next) workers = workers.filter((w) => w !== next)
    fewest = Math.min(fewest, workers.filter((w) => w.state === 'ready').length)
  }
  return { workers, fewest, most }
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

describe('standbys', () => {
  const pool = [worker(0, 'ready'), worker(1, 'ready')]
  const aside = (slot: number, generation = 1): WorkerView => worker(slot, 'standby', generation)
  const ids = (...these: WorkerView[]): number[] => these.map(({ id }) => id)

  test('boot in slots behind those of the workers, once these are ready, and no more than wanted', () => {
    expect(planFor({ standby: 2 })).toMatchObject({ spawn: [0, 1], warm: [] })
    const booting = [worker(0, 'ready'), worker(1, 'booting')]
    expect(planFor({ workers: booting, standby: 2 })).toEqual(nothing)
    expect(planFor({ workers: pool, standby: 2 })).toEqual({ ...nothing, warm: [2, 3] })
    expect(planFor({ workers: [...pool, aside(3)], standby: 2 }).warm).toEqual([2])
    const enough = [...pool, aside(2), worker(3, 'warming')]
    expect(planFor({ workers: enough, standby: 2 })).toEqual(nothing)
  })

  test('that fail to boot wait for their slot, and keep nobody else waiting', () => {
    const notBefore = new Map([[2, 5_000]])
    const input = { workers: pool, standby: 1, notBefore }
    expect(planFor(input)).toEqual({ ...nothing, wakeAt: 5_000 })
    expect(planFor({ ...input, now: 5_000 }).warm).toEqual([2])
    expect(planFor({ ...input, workers: [pool[0]!] }).spawn).toEqual([1])
  })

  test('take the place of one that died at once; the next one boots when that is done', () => {
    const [dead, ready] = [worker(0, 'killed'), worker(1, 'ready')]
    const standby = aside(2)
    const plan = planFor({ workers: [dead, ready, standby], standby: 1 })
    expect(plan).toEqual({ ...nothing, promote: [{ id: standby.id, slot: 0 }] })
    const promoted = worker(0, 'booting')
    expect(planFor({ workers: [promoted, ready], standby: 1 })).toEqual(nothing)
    expect(planFor({ workers: [worker(0, 'ready'), ready], standby: 1 }).warm).toEqual([2])
  })

  test('wait for a slot that backs off, and boot meanwhile', () => {
    const notBefore = new Map([[0, 4_000]])
    const input = { target: 1, standby: 1, notBefore }
    expect(planFor(input)).toEqual({ ...nothing, warm: [1], wakeAt: 4_000 })
    expect(planFor({ ...input, workers: [aside(1)] })).toEqual({ ...nothing, wakeAt: 4_000 })
    expect(planFor({ ...input, workers: [aside(1)], now: 4_000 }).promote).toHaveLength(1)
  })

  const needed: Record<string, readonly [here: WorkerView[], first: number | undefined]> = {
    'one that has booted before one that boots': [[worker(2, 'warming'), aside(3)], 1],
    'one of an older generation before one that boots': [[worker(2, 'warming', 2), aside(3, 1)], 1],
    'one of the new generation before an older one': [[aside(2, 1), aside(3, 2)], 1],
    'one that boots before none': [[worker(2, 'warming', 2)], 0],
    'nobody of an older generation that still boots': [[worker(2, 'warming', 1)], undefined],
  }
  for (const [whom, [here, first]] of Object.entries(needed)) {
    test(`where nobody serves, promotes ${whom}`, () => {
      const workers = [worker(1, 'ready', 2), ...here]
      const { promote, spawn } = planFor({ workers, oldest: 2, standby: 2 })
      expect(promote.map(({ id }) => id)).toEqual(first === undefined ? [] : [here[first]!.id])
      expect(spawn).toEqual(first === undefined ? [0] : [])
    })
  }

  test('are the canary of a reload: one boots, whatever the number, and the old ones stay', () => {
    const workers = [...pool, aside(2), aside(3)]
    expect(planFor({ workers, oldest: 2, standby: 2 })).toEqual({ ...nothing, warm: [4] })
    const warming = [...workers, worker(4, 'warming', 2)]
    expect(planFor({ workers: warming, oldest: 2, standby: 2 })).toEqual(nothing)
    const standby = aside(4, 2)
    const plan = planFor({ workers: [...workers, standby], oldest: 2, standby: 2 })
    expect(plan).toEqual({ ...nothing, promote: [{ id: standby.id, slot: 0 }] })
  })

  test('of the old code are dropped when one with the new serves; then the others are replaced', () => {
    const old = aside(2)
    const workers = [...pool, old, worker(0, 'ready', 2)]
    const plan = planFor({ workers, oldest: 2, standby: 1 })
    expect(plan).toEqual({ ...nothing, retire: ids(pool[0]!, old) })
    const later = [worker(0, 'draining'), pool[1]!, worker(2, 'dropped'), worker(0, 'ready', 2)]
    expect(planFor({ workers: later, oldest: 2, standby: 1 }), 'room for one').toEqual(nothing)
    const alone = [worker(0, 'draining'), pool[1]!, worker(0, 'ready', 2)]
    expect(planFor({ workers: alone, oldest: 2, standby: 1 }).warm).toEqual([2])
    const booted = [...alone, aside(2, 2)]
    expect(planFor({ workers: booted, oldest: 2, standby: 1 }), 'one drains').toEqual(nothing)
    expect(planFor({ workers: booted.slice(1), oldest: 2, standby: 1 }).promote).toHaveLength(1)
  })

  test('replace a recycled worker, which serves until one has booted', () => {
    const workers = [worker(0, 'ready'), worker(1, 'ready', 1, true)]
    expect(planFor({ workers, standby: 1 })).toEqual({ ...nothing, warm: [2] })
    const warming = [...workers, worker(2, 'warming')]
    expect(planFor({ workers: warming, standby: 1 })).toEqual(nothing)
    const booted = [...workers, aside(2)]
    expect(planFor({ workers: booted, standby: 1 }).promote).toMatchObject([{ slot: 1 }])
  })

  test('serve when there are to be more workers, each in its slot if it can', () => {
    const [two, three] = [aside(2), aside(3)]
    const plan = planFor({ workers: [...pool, three, two], target: 3, standby: 2 })
    expect(plan).toEqual({ ...nothing, promote: [{ id: two.id, slot: 2 }] })
    expect(planFor({ workers: [...pool, two], target: 4, standby: 1 })).toMatchObject({
      promote: [{ id: two.id, slot: 2 }],
      spawn: [3],
    })
  })

  test('are dropped when fewer are wanted, those that boot first, and all at a stop', () => {
    const [booted, warming] = [aside(3), worker(2, 'warming')]
    const workers = [...pool, warming, booted]
    expect(planFor({ workers, standby: 1 }).retire).toEqual(ids(warming))
    expect(planFor({ workers, standby: 0 }).retire).toEqual(ids(warming, booted))
    const stop = planFor({ workers, target: 0, standby: 0 })
    expect(stop).toEqual({ ...nothing, retire: ids(...workers) })
  })
})

test('the back-off is 0, 1, 2, 4 ... seconds up to its limit, and stays there', () => {
  const waits = [0, 1, 2, 3, 4, 5, 6, 7, 8, 100, 10_000].map((crashes) => backOff(crashes, 30))
  expect(waits).toEqual([0, 0, 1, 2, 4, 8, 16, 30, 30, 30, 30])
  expect(backOff(9, 0), 'a limit of 0 never waits').toBe(0)
})
