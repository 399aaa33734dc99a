// What `supervisor top` shows: lines for a screen of a given size, from the last answers and what the keys have chosen. Pure.
// Runs in the CLI.

import type { RequestList, ServerStatus, WorkerStatus } from '../control-protocol.ts'
import { count, duration, percent, rate, size, table, type Column } from './format.ts'
import type { Line, Size } from './screen.ts'
import { reloadLine, requestsView, restartText, serverLines, stateText } from './views.ts'

/** By the key that asks for it; the largest first, but slots in their order. */
export const ORDERS = {
  s: { name: 'slot', of: ({ slot }) => -slot },
  c: { name: 'busy', of: ({ utilization }) => utilization ?? -1 },
  r: { name: 'req/s', of: ({ perSecond }) => perSecond },
  l: { name: 'p99', of: ({ p99 }) => p99 ?? -1 },
  i: { name: 'in flight', of: ({ inFlight }) => inFlight },
  m: { name: 'rss', of: ({ rss }) => rss ?? -1 },
  a: { name: 'age', of: ({ age }) => age },
  e: { name: 'restarts', of: ({ restarts }) => restarts },
} as const satisfies Record<string, { name: string; of: (worker: WorkerStatus) => number }>

export type OrderKey = keyof typeof ORDERS

export interface Choices {
  readonly order: OrderKey
  readonly isReversed: boolean
  /** The pid of the worker that keys are for. */
  readonly selected: number | undefined
  readonly view: 'workers' | 'help'
  /** What the last key has brought. */
  readonly message: string
}

export interface Picture {
  readonly status: ServerStatus
  readonly requests: RequestList
  /** Since when the server has not answered, s; undefined if it does. */
  readonly silence: number | undefined
}

const orders = Object.entries(ORDERS).map(([key, { name }]) => `${key} ${name}`)

/** Lines that fit on a narrow terminal, the most wanted first. */
const HELP = [
  'q         quit',
  'up, down  choose a worker',
  'k         recycle it: the new one comes first',
  'R         reload: replace all workers',
  '+ -       one worker more, one fewer',
  `sort by   ${orders.slice(0, 5).join(', ')}`,
  `          ${orders.slice(5).join(', ')}; again: turned round`,
  '',
  'BUSY      share of the time that the event loop had work',
  'LOOP      how long it kept a timer waiting, or has stood',
  'REQ/S, P50, P99 are those of the last ten seconds.',
]

export const sortedWorkers = (
  workers: readonly WorkerStatus[],
  { order, isReversed }: Pick<Choices, 'order' | 'isReversed'>,
): WorkerStatus[] => {
  const { of } = ORDERS[order]
  const sign = isReversed ? -1 : 1
  return workers.toSorted(
    (one, other) => sign * (of(other) - of(one)) || one.slot - other.slot || one.pid - other.pid,
  )
}

interface TopColumn extends Column {
  readonly text: (worker: WorkerStatus, now: number) => string
  /** Where there is no room, the least important go first. */
  readonly importance: number
}

const right = (
  title: string,
  importance: number,
  text: (worker: WorkerStatus) => string,
): TopColumn => ({ title, align: 'right', importance, text })

const COLUMNS: readonly TopColumn[] = [
  right('SLOT', 12, ({ slot }) => String(slot)),
  right('PID', 11, ({ pid }) => String(pid)),
  { title: 'STATE', importance: 10, text: stateText },
  right('AGE', 4, ({ age }) => duration(age)),
  right('REQ/S', 9, ({ perSecond }) => rate(perSecond)),
  right('FLIGHT', 6, ({ inFlight }) => String(inFlight)),
  right('P50', 3, ({ p50 }) => duration(p50)),
  right('P99', 5, ({ p99 }) => duration(p99)),
  right('LOOP', 2, ({ loopDelay }) => duration(loopDelay)),
  right('BUSY', 8, ({ utilization }) => percent(utilization)),
  right('RSS', 7, ({ rss }) => size(rss)),
  right('RESTARTS', 1, ({ restarts }) => count(restarts)),
  { title: 'WHY', importance: 0, text: restartText },
]

/** The last column is cut rather than left out, as long as so much of it is seen. */
const LEAST_OF_LAST = 12

/** The table of workers at this width, its title first. */
export function topTable(workers: readonly WorkerStatus[], now: number, width: number): string[] {
  let columns = COLUMNS.map((column) => ({
    ...column,
    cells: workers.map((worker) => column.text(worker, now)),
  }))
  const widthOf = ({ title, cells }: { title: string; cells: string[] }, n: number): number => {
    const widest = Math.max(title.length, ...cells.map((cell) => cell.length))
    return n === COLUMNS.length - 1 ? Math.min(widest, LEAST_OF_LAST) : widest
  }
  const total = (): number => columns.reduce((sum, column, n) => sum + widthOf(column, n) + 2, -2)
  while (columns.length > 1 && total() > width) {
    const least = Math.min(...columns.map(({ importance }) => importance))
    columns = columns.filter(({ importance }) => importance > least)
  }
  const rows = workers.map((_, n) => columns.map(({ cells }) => cells[n]!))
  return table(columns, rows, width)
}

/** Lines for all of the screen; those that do not fit are left out, but never the chosen worker. */
export function topLines(
  { status, requests, silence }: Picture,
  choices: Choices,
  { columns, rows }: Size,
  now: number,
): Line[] {
  const cut = (text: string): string =>
    text.length > columns ? `${text.slice(0, columns - 1)}…` : text
  const plain = (text: string): Line => ({ text: cut(text) })
  const head = headLines(status, choices, silence, now).map((line) => ({
    ...line,
    text: cut(line.text),
  }))
  const foot: Line = {
    text: cut(
      choices.view === 'help'
        ? 'any key: back'
        : 'q quit  ? help  R reload  k recycle  + - scale  sort: c r l i m a e s',
    ),
    style: 'dim',
  }
  const room = Math.max(0, rows - head.length - 1)
  const body =
    choices.view === 'help'
      ? HELP.map(plain)
      : bodyLines(status.workers, requests, choices, { columns, rows: room }, now)
  const shown = body.slice(0, room)
  const gap = Array.from({ length: room - shown.length }, () => plain(''))
  return [...head, ...shown, ...gap, foot]
}

function headLines(
  status: ServerStatus,
  { order, isReversed, message }: Choices,
  silence: number | undefined,
  now: number,
): Line[] {
  const [title = '', urls = '', , load = ''] = serverLines(status, now)
  const order_ = `sorted by ${ORDERS[order].name}${isReversed ? ', reversed' : ''}`
  const [reload] = reloadLine(status, now)
  return [
    { text: title, style: 'bold' },
    { text: urls },
    { text: load },
    silence === undefined
      ? { text: reload ?? `  ${status.directory}` }
      : { text: `  NO ANSWER from the server for ${duration(silence)}`, style: 'red' },
    { text: `  ${message || order_}` },
    { text: '' },
  ]
}

function bodyLines(
  workers: readonly WorkerStatus[],
  requests: RequestList,
  choices: Choices,
  { columns, rows }: Size,
  now: number,
): Line[] {
  const sorted = sortedWorkers(workers, choices)
  const [title = '', ...texts] = topTable(sorted, now, columns)
  const lines = texts.map((text, n): Line => {
    const { pid, state } = sorted[n]!
    if (pid === choices.selected) return { text, style: 'reverse' }
    return state === 'blocked' ? { text, style: 'red' } : { text }
  })
  const inFlight = requestsView(requests, columns)
  // a title and an empty line for the requests, and the first of them
  const most = Math.max(1, rows - 1 - Math.min(inFlight.length + 1, 4))
  const selected = sorted.findIndex(({ pid }) => pid === choices.selected)
  const from = Math.max(0, Math.min(selected - most + 1, lines.length - most))
  return [
    { text: title, style: 'bold' },
    ...lines.slice(from, from + most),
    { text: '' },
    ...inFlight.map((text, n): Line => (n === 0 ? { text, style: 'bold' } : { text })),
  ]
}
