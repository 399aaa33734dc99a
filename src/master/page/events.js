// What has happened: the last events, and of those the grave ones, with their stacks.

import { byId, element, keyed } from './draw.js'
import { clock } from './format.js'

const MOST_EVENTS = 200
const MOST_TIMEOUTS = 50
/** Events that cost a request or a worker. */
const GRAVE = [
  'workerTimeout',
  'workerInterrupted',
  'workerSilent',
  'workerCrashed',
  'requestTimeout',
  'uncaught',
]

let events = []
let numbered = 0

function makeEvent({ at, level, text }) {
  const time = element('time', { datetime: at }, clock(at))
  return element('li', { class: level }, time, element('span', {}, text))
}

function makeTimeout({ at, level, text, facts }) {
  const head = [element('time', { datetime: at }, clock(at)), element('span', {}, text)]
  const lines = facts.stack?.length ? facts.stack : facts.stderr
  if (!lines?.length) return element('li', { class: level }, element('p', {}, ...head))
  const stack = element('pre', { tabindex: '0', 'aria-label': 'Stack' }, lines.join('\n'))
  return element(
    'li',
    { class: level },
    element('details', {}, element('summary', {}, ...head), stack),
  )
}

export function drawEvents() {
  const newest = events.toReversed()
  const keyOf = ({ number }) => number
  keyed(byId('events'), newest, keyOf, makeEvent)
  const grave = newest.filter(({ event }) => GRAVE.includes(event)).slice(0, MOST_TIMEOUTS)
  keyed(byId('timeouts'), grave, keyOf, makeTimeout)
  byId('quiet').hidden = grave.length > 0
}

/** What was grave is kept longer than the rest. */
export function remember(more) {
  for (const one of more) events.push({ ...one, number: ++numbered })
  while (events.length > MOST_EVENTS) {
    const plain = events.findIndex(({ event }) => !GRAVE.includes(event))
    const isTooGrave = events.length - MOST_EVENTS < 1 || plain < 0
    events.splice(isTooGrave ? 0 : plain, 1)
  }
}

/** A new connection tells again what was. */
export function forget() {
  events = []
}
