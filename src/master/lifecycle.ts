// A worker's life as the master sees it: state x event -> next state and what to do. Pure: no node, no clock.

/**
 * booting, ready, draining: in the pool, or on the way there or out. warming, standby: outside of it, to be promoted, which makes
 * them boot into it; dropped: told to go from there, without anything to finish.
 */
export type State =
  'booting' | 'warming' | 'standby' | 'ready' | 'draining' | 'dropped' | 'killed' | 'gone'
/** `stand`: it has booted, and waits outside the pool. */
export type Event = 'ready' | 'stand' | 'promote' | 'retire' | 'overdue' | 'exit'
export type Action = 'none' | 'announce' | 'promote' | 'drain' | 'drop' | 'kill' | 'reap'

type Row = Record<Event, readonly [State, Action]>

/** Whatever else happens to it, it can be killed and it can end. */
const row = (state: State, own: Partial<Row>): Row => ({
  ready: [state, 'none'],
  stand: [state, 'none'],
  promote: [state, 'none'],
  retire: [state, 'none'],
  overdue: ['killed', 'kill'],
  exit: ['gone', 'reap'],
  ...own,
})

const steps: Record<State, Row> = {
  booting: row('booting', { ready: ['ready', 'announce'], retire: ['draining', 'drain'] }),
  warming: row('warming', {
    stand: ['standby', 'announce'],
    promote: ['booting', 'promote'],
    retire: ['dropped', 'drop'],
  }),
  standby: row('standby', { promote: ['booting', 'promote'], retire: ['dropped', 'drop'] }),
  ready: row('ready', { retire: ['draining', 'drain'] }),
  draining: row('draining', {}),
  dropped: row('dropped', {}),
  killed: row('killed', {}),
  gone: row('gone', { overdue: ['gone', 'none'], exit: ['gone', 'none'] }),
}

export const step = (state: State, event: Event): readonly [State, Action] => steps[state][event]

/** Takes new connections, or soon will. */
export const isServing = (state: State): boolean => state === 'booting' || state === 'ready'

/** Has booted, or does, to be promoted when it is needed. */
export const standsBy = (state: State): boolean => state === 'warming' || state === 'standby'

/** Has not finished its boot. */
export const isBooting = (state: State): boolean => state === 'booting' || state === 'warming'

/** Has booted and stays: its watchdog says when its event loop stands still. */
export const isWatched = (state: State): boolean => state === 'ready' || state === 'standby'
