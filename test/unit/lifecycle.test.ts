// A worker's life, state by state: what each event leads to.
import { describe, expect, test } from 'vitest'
import { isServing, standsBy, step, type Event, type State } from '../../src/master/lifecycle.ts'

const states: State[] = [
  'booting',
  'warming',
  'standby',
  'ready',
  'draining',
  'dropped',
  'killed',
  'gone',
]
const events: Event[] = ['ready', 'stand', 'promote', 'retire', 'overdue', 'exit']

describe('the ways through a life', () => {
  const lives: Record<string, readonly (readonly [Event, State, string])[]> = {
    'booted, retired, gone': [
      ['ready', 'ready', 'announce'],
      ['retire', 'draining', 'drain'],
      ['exit', 'gone', 'reap'],
    ],
    'booted, retired, late, killed': [
      ['ready', 'ready', 'announce'],
      ['retire', 'draining', 'drain'],
      ['overdue', 'killed', 'kill'],
      ['exit', 'gone', 'reap'],
    ],
    'never ready in time': [
      ['overdue', 'killed', 'kill'],
      ['ready', 'killed', 'none'],
      ['exit', 'gone', 'reap'],
    ],
    'retired while it boots, listening all the same': [
      ['retire', 'draining', 'drain'],
      ['ready', 'draining', 'none'],
      ['exit', 'gone', 'reap'],
    ],
    crashed: [
      ['ready', 'ready', 'announce'],
      ['exit', 'gone', 'reap'],
    ],
    'killed again, when the first kill did not help': [
      ['overdue', 'killed', 'kill'],
      ['overdue', 'killed', 'kill'],
      ['exit', 'gone', 'reap'],
    ],
    'booted aside, promoted, ready, retired': [
      ['stand', 'standby', 'announce'],
      ['promote', 'booting', 'promote'],
      ['ready', 'ready', 'announce'],
      ['retire', 'draining', 'drain'],
      ['exit', 'gone', 'reap'],
    ],
    'promoted while it boots aside, which it says meanwhile': [
      ['promote', 'booting', 'promote'],
      ['stand', 'booting', 'none'],
      ['ready', 'ready', 'announce'],
    ],
    'on standby, not needed any more, late': [
      ['stand', 'standby', 'announce'],
      ['retire', 'dropped', 'drop'],
      ['overdue', 'killed', 'kill'],
      ['exit', 'gone', 'reap'],
    ],
    'not needed while it boots aside': [
      ['retire', 'dropped', 'drop'],
      ['stand', 'dropped', 'none'],
      ['promote', 'dropped', 'none'],
      ['exit', 'gone', 'reap'],
    ],
  }
  const isAside = (path: readonly (readonly [Event, State, string])[]): boolean =>
    path.some(([event, state]) => event === 'promote' || event === 'stand' || state === 'dropped')
  for (const [what, path] of Object.entries(lives)) {
    test(what, () => {
      let state: State = isAside(path) ? 'warming' : 'booting'
      for (const [event, next, action] of path) {
        expect(step(state, event), `${event} in ${state}`).toEqual([next, action])
        state = next
      }
    })
  }
})

test('is announced once, and told to drain once', () => {
  expect(step('ready', 'ready')).toEqual(['ready', 'none'])
  expect(step('draining', 'retire')).toEqual(['draining', 'none'])
})

test('an end is an end, from every state, and nothing comes after it', () => {
  for (const state of states) expect(step(state, 'exit')[0]).toBe('gone')
  for (const event of events) expect(step('gone', event)).toEqual(['gone', 'none'])
})

test('nobody comes back to serving, or to standby, who was told to leave', () => {
  for (const state of ['draining', 'dropped', 'killed', 'gone'] as const)
    for (const event of events) {
      const [next] = step(state, event)
      expect(isServing(next) || standsBy(next)).toBe(false)
    }
})

test('a standby begins to serve by a promotion alone', () => {
  for (const state of ['warming', 'standby'] as const)
    for (const event of events)
      expect(isServing(step(state, event)[0]), `${event} in ${state}`).toBe(event === 'promote')
})

test('serving are those that are ready, or will be', () => {
  expect(states.filter(isServing)).toEqual(['booting', 'ready'])
})
