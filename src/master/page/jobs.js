// The jobs: each queue in numbers, the processes that work on it with what they run, and what has failed last.

import { byId, element, keyed, setText } from './draw.js'
import { ago, clock, count, duration, plural, restartText, size } from './format.js'
import { ask, token } from './live.js'
import { drawRow, headOf, rowOf } from './table.js'

/** Of the processes, those of the jobs. */
const GROUPS = ['jobs-store', 'jobs', 'jobs-dashboard']
/** What is known is older than it should be, seconds. */
const OLD = 10

const numbers = [
  { title: 'Waiting', text: (q) => count(q.waiting) },
  { title: 'Active', text: (q) => count(q.active) },
  { title: 'Delayed', text: (q) => count(q.delayed) },
  { title: 'Failed', text: (q) => count(q.failed) },
  { title: 'Completed', text: (q) => count(q.completed) },
  {
    title: 'Oldest waiting',
    text: (q) => (q.oldestWaiting === null ? 'none' : duration(q.oldestWaiting)),
  },
]

const runningText = ({ id, name, attempt, age }) =>
  `${name} for ${duration(age)}, ${attempt > 1 ? `attempt ${attempt} of ` : ''}${id}`

const columns = [
  { title: 'Process', text: (p) => p.group },
  { title: 'Slot', text: (p) => String(p.slot), number: true },
  { title: 'PID', text: (p) => (p.pid ? String(p.pid) : '–'), number: true },
  { title: 'State', text: (p) => p.state, state: true },
  { title: 'Age', text: (p) => duration(p.age), number: true },
  { title: 'RSS', text: (p) => size(p.rss), number: true },
  { title: 'Restarts', text: (p) => count(p.restarts), number: true },
  { title: 'Last restart', text: (p) => restartText(p.lastRestart), wide: true },
  {
    title: 'Runs',
    text: (p) => p.running.map(runningText).join('; ') || 'nothing',
    wide: true,
    hint: (p) => p.running.map(runningText).join('\n'),
  },
]
byId('job-columns').append(...columns.map(headOf))

const makeQueue = () =>
  element(
    'dl',
    { class: 'numbers' },
    ...numbers.map(({ title }) =>
      element('div', {}, element('dt', {}, title), element('dd', {}, '–')),
    ),
  )

function drawQueue(list, queue) {
  numbers.forEach(({ text }, n) => setText(list.children[n].lastElementChild, text(queue)))
}

function makeFailure({ id, name, reason, attempts, at }) {
  const what = `${name} ${id}, after ${plural(attempts, 'attempt')}: ${reason}`
  const time = element('time', { datetime: at, title: ago(at) }, clock(at))
  return element('li', { class: 'error' }, time, element('span', {}, what))
}

function ageText(queues) {
  if (queues.length === 0) return 'No job process has looked at the queue yet'
  const age = Math.max(...queues.map((one) => one.age))
  return age < OLD ? '' : `As it was ${duration(age)} ago`
}

/** The browser's pass is good for longer, ms. */
const RENEW_MS = 3600_000
let enteredAt = -Infinity

/** Gets the pass for the dashboard, whose pages can't send the token; its path, or undefined where there is none. */
export async function enterDashboard(secret) {
  const answer = await ask('/api/dashboard', { method: 'POST', secret, credentials: 'same-origin' })
  return answer.ok ? (await answer.json()).path : undefined
}

/** Where there is no pass, there may be no dashboard. */
export async function leaveDashboard() {
  if (enteredAt === -Infinity) return
  enteredAt = -Infinity
  byId('dashboard').hidden = true
  await ask('/api/dashboard/leave', { method: 'POST', credentials: 'same-origin' })
}

async function drawDashboard(path) {
  const mayEnter = path !== null && token.get() !== null
  if (!mayEnter) byId('dashboard').hidden = true
  if (!mayEnter || performance.now() - enteredAt < RENEW_MS) return
  enteredAt = performance.now()
  const entry = await enterDashboard(token.get())
  byId('dashboard').hidden = entry === undefined
  byId('dashboard').href = entry ?? ''
}

/** Nothing is shown where no jobs are configured. */
export function drawJobs({ jobs, processes }) {
  byId('jobs').hidden = jobs === null
  if (jobs === null) return
  const { queues, dashboard } = jobs
  void drawDashboard(dashboard)
  keyed(byId('queues'), queues, ({ queue }) => queue, makeQueue, drawQueue)
  setText(byId('jobs-age'), ageText(queues))
  const own = processes.filter(({ group }) => GROUPS.includes(group))
  const keyOf = ({ group, slot, pid }) => `${group} ${slot} ${pid}`
  keyed(
    byId('job-processes'),
    own,
    keyOf,
    () => rowOf(columns),
    (row, one) => drawRow(columns, row, one),
  )
  byId('job-table').hidden = own.length === 0
  const failures = queues.flatMap((one) => one.failures)
  keyed(byId('failures'), failures, ({ id, at }) => `${id} ${at}`, makeFailure)
  byId('no-failures').hidden = failures.length > 0
}
