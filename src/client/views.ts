// The pictures that `supervisor status`, `requests` and `events` print. Pure. Runs in the CLI.

import type {
  EventItem,
  ProcessStatus,
  QueueStatus,
  RequestList,
  ServerStatus,
  WorkerStatus,
} from '../control-protocol.ts'
import { count, duration, harmless, percent, rate, size, table, type Column } from './format.ts'

/** What is known of the jobs is older than it should be. */
const OLD_SECONDS = 10

const right = (title: string): Column => ({ title, align: 'right' })

export function statusView(status: ServerStatus, now: number, width: number): string[] {
  return [
    ...serverLines(status, now),
    '',
    ...workerTable(status.workers, now, width),
    ...processTable(status.processes, now, width),
  ]
}

export function serverLines(s: ServerStatus, now: number): string[] {
  const standby = s.standby > 0 ? ` and ${s.standby} standby` : ''
  return [
    `${s.name}: ${s.state}, ${s.ready} of ${s.target} workers ready${standby}, up ${duration(s.uptime)}`,
    `  ${s.urls.join(' ') || 'listens nowhere yet'}`,
    `  master ${s.pid}, nodicorn ${s.version}, Node ${s.node}, ${s.directory}`,
    `  ${count(s.requests)} requests, ${rate(s.perSecond)}/s, p50 ${duration(s.p50)}, p99 ${duration(s.p99)}, ${s.inFlight} in flight, ${s.queued} queued`,
    ...(s.jobs?.queues ?? []).map(jobsLine),
    ...reloadLine(s, now),
  ]
}

/** As it was when somebody could look: a store that does not answer makes nobody wait. */
function jobsLine({ waiting, active, delayed, failed, completed, ...rest }: QueueStatus): string {
  const oldest = rest.oldestWaiting === null ? '' : ` (for ${duration(rest.oldestWaiting)})`
  const counts = [
    `${count(waiting)} waiting${oldest}`,
    `${count(active)} active`,
    `${count(delayed)} delayed`,
    `${count(failed)} failed`,
    `${count(completed)} completed`,
  ]
  const age = rest.age < OLD_SECONDS ? '' : `, ${duration(rest.age)} ago`
  return `  ${rest.queue}: ${counts.join(', ')}${age}`
}

export function reloadLine({ reload, generation }: ServerStatus, now: number): string[] {
  const ago =
    reload.at === undefined ? '' : ` ${duration((now - Date.parse(reload.at)) / 1000)} ago`
  switch (reload.state) {
    case 'none':
      return []
    case 'running':
      return [`  reloading (generation ${generation})`]
    case 'done':
      return [`  reloaded${ago}, in ${duration(reload.seconds ?? null)} (generation ${generation})`]
    case 'failed':
      return [`  RELOAD FAILED${ago}, the old workers go on: ${harmless(reload.error ?? '')}`]
  }
}

const WORKER_COLUMNS: readonly Column[] = [
  right('SLOT'),
  right('PID'),
  { title: 'STATE' },
  right('AGE'),
  right('REQUESTS'),
  right('IN FLIGHT'),
  right('REQ/S'),
  right('P50'),
  right('P99'),
  right('LOOP'),
  right('RSS'),
  right('RESTARTS'),
  { title: 'WHY' },
]

export const workerTable = (
  workers: readonly WorkerStatus[],
  now: number,
  width: number,
): string[] =>
  table(
    WORKER_COLUMNS,
    workers.map((worker) => workerRow(worker, now)),
    width,
  )

const PROCESS_COLUMNS: readonly Column[] = [
  { title: 'PROCESS' },
  right('SLOT'),
  right('PID'),
  { title: 'STATE' },
  right('AGE'),
  right('RSS'),
  right('RESTARTS'),
  { title: 'WHY' },
]

/** Nothing where no `processes` are set. */
export const processTable = (
  processes: readonly ProcessStatus[],
  now: number,
  width: number,
): string[] => {
  const rows = processes.map((one) => [
    one.group,
    String(one.slot),
    String(one.pid),
    one.state,
    duration(one.age),
    size(one.rss),
    String(one.restarts),
    restartText(one, now),
  ])
  return rows.length === 0 ? [] : ['', ...table(PROCESS_COLUMNS, rows, width)]
}

function workerRow(w: WorkerStatus, now: number): string[] {
  return [
    String(w.slot),
    String(w.pid),
    stateText(w),
    duration(w.age),
    count(w.requests),
    String(w.inFlight),
    rate(w.perSecond),
    duration(w.p50),
    duration(w.p99),
    duration(w.loopDelay),
    size(w.rss),
    String(w.restarts),
    restartText(w, now),
  ]
}

export const stateText = ({ state, loopDelay }: WorkerStatus): string =>
  state === 'blocked' ? `BLOCKED ${duration(loopDelay)}` : state

/** Why the worker before it in its slot ended; nothing for the first one. */
export const restartText = (
  { lastRestart: last }: Pick<WorkerStatus | ProcessStatus, 'lastRestart'>,
  now: number,
): string => (last ? `${last.reason}, ${duration((now - Date.parse(last.at)) / 1000)} ago` : '')

const REQUEST_COLUMNS: readonly Column[] = [
  right('AGE'),
  right('OF DEADLINE'),
  right('SLOT'),
  right('PID'),
  { title: 'REQUEST' },
]

export function requestsView({ requests, more }: RequestList, width: number): string[] {
  if (requests.length === 0) return ['no requests in flight']
  const rows = requests.map(({ age, share, slot, pid, method, url }) => [
    duration(age),
    percent(share),
    String(slot),
    String(pid),
    harmless(`${method} ${url}`),
  ])
  const rest = more > 0 ? [`and ${more} more`] : []
  return [...table(REQUEST_COLUMNS, rows, width), ...rest]
}

/** `14:03:07 ERROR   Worker (pid:4299) exited with code 1` in local time. */
export function eventLine({ at, level, text }: EventItem): string {
  const time = new Date(at)
  const two = (n: number): string => String(n).padStart(2, '0')
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':')
  return `${clock} ${level.toUpperCase().padEnd(8)} ${harmless(text)}`
}
