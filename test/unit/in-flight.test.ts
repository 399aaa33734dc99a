import { expect, test } from 'vitest'
import { InFlight, clocks } from '../../src/worker/in-flight.ts'
import { Entry, Limits } from '../../src/worker/request-entry.ts'

const route = { pattern: '/r', index: 0 }
const limits = new Limits(route, 30)
/** As far as an entry asks. */
const response = (writableFinished: boolean): never => ({ writableFinished }) as never
const entryOf = (writableFinished = true): Entry =>
  new Entry({ headers: {} } as never, response(writableFinished), limits)

const finish = (entry: Entry): void => {
  entry.end()
  entry.release()
}

test('more requests than there were places each keep their own numbers', () => {
  const inFlight = new InFlight()
  const all = Array.from({ length: 3_000 }, () => entryOf())
  for (const [n, entry] of all.entries()) {
    inFlight.add(entry)
    entry.dueAt = n
    entry.slot = n
    if (n % 2) entry.warn()
    if (n % 3 === 0) entry.enter()
  }
  for (const [n, entry] of all.entries())
    expect([entry.dueAt, entry.slot, entry.warned, entry.entered, entry.state]).toEqual([
      n,
      n,
      n % 2 === 1,
      n % 3 === 0,
      'running',
    ])
  expect(new Set(all.map((entry) => entry.route))).toEqual(new Set([route]))
  expect(new Set(all.map(({ number }) => number)).size).toBe(3_000)
  expect([...inFlight]).toEqual(all)
  for (const entry of all) {
    expect(inFlight.delete(entry)).toBe(true)
    expect(inFlight.delete(entry)).toBe(false)
    finish(entry)
  }
  expect([inFlight.size, ...inFlight]).toEqual([0])
})

test('a number that is over finds nothing, whoever has its place now, and is long not given again', () => {
  const first = entryOf()
  finish(first)
  const numbers = new Set([first.number])
  for (let n = 0; n < 500; n++) {
    const entry = entryOf()
    expect(numbers.has(entry.number)).toBe(false)
    expect(entry.number).toBeGreaterThan(0)
    numbers.add(entry.number)
    expect(clocks.isOver(first.number)).toBe(true)
    first.dueAt = 1
    first.slot = 1
    first.warn()
    expect([entry.dueAt > 1, entry.slot, entry.warned]).toEqual([true, -1, false])
    expect([first.dueAt, first.slot, first.warned]).toEqual([Infinity, -1, false])
    finish(entry)
    finish(entry) // twice does no harm
  }
})

test.for([
  ['that was answered, to one who had asked before', true, true, undefined, 'over', false],
  ['whose client left', false, false, undefined, 'over', true],
  ['that timed out', true, false, 'timeOut', 'timed-out', true],
  ['that failed', true, false, 'fail', 'failed', true],
] as const)(
  'a request %s says its deadline and its end when it is over',
  ([, isFinished, asks, ending, state, isAborted]) => {
    const entry = entryOf(isFinished)
    const { dueAt } = entry
    if (asks) expect(entry.deadline).toBe(dueAt)
    if (ending) entry[ending]()
    finish(entry)
    new Entry({} as never, response(true), new Limits(undefined, 1)) // has its place
    expect([entry.deadline, entry.state, entry.signal.aborted]).toEqual([dueAt, state, isAborted])
    expect([entry.timeout, entry.route]).toEqual([30, route])
  },
)
