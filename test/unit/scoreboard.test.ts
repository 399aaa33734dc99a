// The scoreboard as its two threads use it: one writes, the other reads the same memory.
import { expect, test } from 'vitest'
import { HEAD, KIND, msBetween, Scoreboard, SLOT, SLOTS, STATE } from '../../src/scoreboard.ts'

const busy = (board: Scoreboard, url: string): number => {
  const slot = board.take()
  board.set(slot, SLOT.fd, 7)
  board.set(slot, SLOT.kind, KIND.plain)
  board.set(slot, SLOT.startedAt, 1_000)
  board.set(slot, SLOT.deadline, 31_000)
  board.set(slot, SLOT.id, 42)
  board.setText(slot, 'GET', url)
  board.setState(slot, STATE.inFlight)
  return slot
}

test('the other thread sees what one has written', () => {
  const ours = new Scoreboard()
  const theirs = new Scoreboard(ours.buffer)
  const slot = busy(ours, '/orders?id=1')
  ours.setHead(HEAD.now, 5_000)
  ours.add(HEAD.timeouts, 2)
  expect([...theirs.slots()]).toEqual([
    {
      at: slot,
      state: STATE.inFlight,
      fd: 7,
      startedAt: 1_000,
      deadline: 31_000,
      id: 42,
      kind: KIND.plain,
      text: 'GET /orders?id=1',
    },
  ])
  expect(theirs.head(HEAD.now)).toBe(5_000)
  expect(theirs.head(HEAD.timeouts)).toBe(2)
  expect(theirs.head(HEAD.used)).toBe(1)
})

test('a slot that was given back is free, and the next one gets it', () => {
  const board = new Scoreboard()
  const [first, second] = [busy(board, '/1'), busy(board, '/2')]
  board.give(first)
  expect([...board.slots()].map(({ text }) => text)).toEqual(['GET /2'])
  expect(board.head(HEAD.used)).toBe(1)
  expect(busy(board, '/3')).toBe(first)
  board.give(second)
  expect([...board.slots()].map(({ text }) => text)).toEqual(['GET /3'])
})

test('a text that is too long is cut, and a shorter one after it leaves nothing behind', () => {
  const board = new Scoreboard()
  const slot = busy(board, `/${'x'.repeat(1_000)}`)
  const { text } = board.view(slot)
  expect(text).toMatch(/^GET \/x+$/)
  expect(text.length).toBeGreaterThan(200)
  expect(text.length).toBeLessThan(230)
  board.setText(slot, 'PUT', '/y')
  expect(board.view(slot).text).toBe('PUT /y')
  const next = busy(board, '/next')
  board.setText(slot, 'GET', `/${'z'.repeat(1_000)}`)
  expect(board.view(next).text, 'its neighbour is untouched').toBe('GET /next')
})

test('a full board takes no more, counts those it could not take, and bears with them', () => {
  const board = new Scoreboard()
  for (let n = 0; n < SLOTS; n++) expect(board.take()).toBeGreaterThan(0)
  const none = board.take()
  expect(none).toBe(-1)
  board.set(none, SLOT.fd, 7)
  board.setText(none, 'GET', '/')
  board.setState(none, STATE.inFlight)
  board.give(none)
  expect(board.head(HEAD.overflow)).toBe(1)
  expect(board.head(HEAD.used)).toBe(SLOTS)
})

test('times are compared right across the wrap of 24 days', () => {
  const day = 86_400_000
  expect(msBetween(1_000, 3_500.7)).toBe(2_500)
  expect(msBetween(3_500, 1_000)).toBe(-2_500)
  const board = new Scoreboard()
  const slot = busy(board, '/')
  for (const now of [24 * day, 25 * day, 50 * day, 400 * day]) {
    board.set(slot, SLOT.deadline, (now + 30_000) | 0)
    board.setHead(HEAD.now, now)
    const { deadline } = board.view(slot)
    expect(msBetween(deadline, board.head(HEAD.now)), 'not late').toBe(-30_000)
    expect(msBetween(deadline, board.head(HEAD.now) + 30_001)).toBe(1)
  }
})
