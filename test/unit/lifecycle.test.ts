// A worker's life, state by state: what each event leads to.
import { describe, expect, test } from 'vitest'
import { isServing, step, type Event, type State } from '../../src/master/lifecycle.ts'

const states: State[] = ['booting', 'ready', 'draining', 'killed', 'gone']
const events: Event[] = ['ready', 'retire', 'overdue', 'exit']

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
  }
  for (const [what, path] of Object.entries(lives)) {
    test(what, () => {
      let state: State = 'booting'
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

test('nobody comes back to serving who was told to leave', () => {
  for (const state of ['draining', 'killed', 'gone'] as const)
    for (const event of events) expect(isServing(step(state, event)[0])).toBe(false)
})

test('serving are those that are ready, or will be', () => {
  expect(states.filter(isServing)).toEqual(['booting', 'ready'])
})
