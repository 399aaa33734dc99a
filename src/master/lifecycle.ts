// A worker's life as the master sees it: state x event -> next state and what to do. Pure: no node, no clock.

export type State = 'booting' | 'ready' | 'draining' | 'killed' | 'gone'
export type Event = 'ready' | 'retire' | 'overdue' | 'exit'
export type Action = 'none' | 'announce' | 'drain' | 'kill' | 'reap'

type Row = Record<Event, readonly [State, Action]>

const steps: Record<State, Row> = {
  booting: {
    ready: ['ready', 'announce'],
    retire: ['draining', 'drain'],
    overdue: ['killed', 'kill'],
    exit: ['gone', 'reap'],
  },
  ready: {
    ready: ['ready', 'none'],
    retire: ['draining', 'drain'],
    overdue: ['killed', 'kill'],
    exit: ['gone', 'reap'],
  },
  draining: {
    ready: ['draining', 'none'],
    retire: ['draining', 'none'],
    overdue: ['killed', 'kill'],
    exit: ['gone', 'reap'],
  },
  killed: {
    ready: ['killed', 'none'],
    retire: ['killed', 'none'],
    overdue: ['killed', 'kill'],
    exit: ['gone', 'reap'],
  },
  gone: {
    ready: ['gone', 'none'],
    retire: ['gone', 'none'],
    overdue: ['gone', 'none'],
    exit: ['gone', 'none'],
  },
}

export const step = (state: State, event: Event): readonly [State, Action] => steps[state][event]

/** Takes new connections, or soon will. */
export const isServing = (state: State): boolean => state === 'booting' || state === 'ready'
