// The server's metrics, made of what the master knows anyway: the picture of the server, the ledger's counters, the requests that
// workers have counted. Pure. Runs in the master.

import type { AppMetric } from '../app-metric.ts'
import type { QueueStatus, ServerStatus, WorkerStatus } from '../control-protocol.ts'
import type { Durations } from '../durations.ts'
import { JOB_BUCKETS, QUEUE, type JobCounts } from '../job-digest.ts'
import { metricNames, metricRow, type MetricName } from '../metric-table.ts'
import { BUCKETS } from '../statistics.ts'
import { DURATIONS, type EventMeter } from './event-meter.ts'
import { processEndsIn, restartsIn } from './ledger.ts'
import type { JobTotals } from './job-board.ts'
import type { SeriesTotal } from './traffic.ts'

type Value = AppMetric['values'][number]
type Labels = Value['labels']

/** All that the metrics are made of. */
export interface MetricsPicture {
  readonly status: ServerStatus
  readonly series: readonly SeriesTotal[]
  readonly jobs: JobTotals
  /** Of the ledger. */
  readonly counters: ReadonlyMap<string, number>
  readonly meter: Pick<EventMeter, 'boots' | 'drains' | 'levels' | 'handedOver'>
  /** Connections so far that a watchdog did not see. */
  readonly untracked: number
  /** Of the master, bytes. */
  readonly resident: number
  /** Seconds since 1970. */
  readonly startedAt: number
}

const STATES: readonly WorkerStatus['state'][] = [
  'booting',
  'warming',
  'standby',
  'ready',
  'blocked',
  'draining',
  'killed',
]
/** There from the start, so that the first restart is a rise and not a new series. */
const REASONS = [
  'crash',
  'timeout',
  'stall',
  'silent',
  'killed',
  'boot-failed',
  'uncaught',
  'interrupted',
  'max-requests',
  'max-memory',
  'max-lifetime',
  'orphans',
  'asked',
  'reload',
  'scale',
  'signal',
]

/** What was known of the queue longer ago than this, seconds, says nothing of how it is now. */
const MOST_AGE = 60

const one = (value: number): Value[] => [{ labels: {}, value }]

const by = <K extends string>(label: string, values: Readonly<Record<K, number>>): Value[] =>
  Object.entries<number>(values).map(([key, value]) => ({ labels: { [label]: key }, value }))

const count =
  (event: string) =>
  ({ counters }: MetricsPicture): Value[] =>
    one(counters.get(event) ?? 0)

const sum = (one: number, other: number): number => one + other

/** A slot has two workers while one replaces the other: they are taken together. What is not known is left out. */
const bySlot =
  (of: (worker: WorkerStatus) => number | null, together: typeof sum) =>
  ({ status }: MetricsPicture): Value[] => {
    const slots = new Map<number, number>()
    for (const worker of status.workers) {
      const value = of(worker)
      const before = slots.get(worker.slot)
      if (value !== null)
        slots.set(worker.slot, before === undefined ? value : together(before, value))
    }
    return [...slots].map(([slot, value]) => ({ labels: { slot: String(slot) }, value }))
  }

/** Of each queue, with its label. */
const queues =
  (of: (queue: QueueStatus) => Value[]) =>
  ({ status: { jobs } }: MetricsPicture): Value[] =>
    (jobs?.queues ?? [])
      .filter(({ age }) => age < MOST_AGE)
      .flatMap((one) => of(one).map((value) => withLabels(value, { queue: one.queue })))

const withLabels = (value: Value, labels: Labels): Value => ({
  ...value,
  labels: { ...labels, ...value.labels },
})

/** Of each defined job. */
const jobs =
  (of: (counts: JobCounts, labels: Labels) => Value[]) =>
  ({ jobs: { byName } }: MetricsPicture): Value[] =>
    [...byName].flatMap(([job, counts]) => of(counts, { queue: QUEUE, job }))

/** Prometheus has buckets that include the smaller ones. */
function histogram(
  name: MetricName,
  labels: Labels,
  bounds: readonly number[],
  { sum, buckets }: Durations,
): Value[] {
  let total = 0
  const steps = [...bounds.map(String), '+Inf'].map((le, n) => ({
    metricName: `${name}_bucket`,
    labels: { ...labels, le },
    value: (total += buckets[n] ?? 0),
  }))
  return [
    ...steps,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: total },
  ]
}

function restarts({ counters }: MetricsPicture): Value[] {
  const none = REASONS.map((reason): [string, number] => [reason, 0])
  return by('reason', Object.fromEntries([...none, ...restartsIn(counters)]))
}

const processesOf = ({ status: { processes } }: MetricsPicture): Value[] => {
  const groups = [...new Set(processes.map(({ group }) => group))]
  const running = (group: string): number =>
    processes.filter((one) => one.group === group && one.state === 'running').length
  return by('group', Object.fromEntries(groups.map((group) => [group, running(group)])))
}

/** Groups that nothing has happened to are there as well: the first end is a rise and not a new series. */
function processEnds({ status, counters }: MetricsPicture): Value[] {
  const none = status.processes.map(({ group }): [string, number] => [group, 0])
  return by('group', Object.fromEntries([...none, ...processEndsIn(counters)]))
}

const timeouts = ({ counters }: MetricsPicture): Value[] =>
  by('kind', {
    waiting: counters.get('requestTimeout') ?? 0,
    blocked: counters.get('workerTimeout') ?? 0,
    interrupted: counters.get('workerInterrupted') ?? 0,
    silent: counters.get('workerSilent') ?? 0,
  })

const makers: Record<MetricName, (picture: MetricsPicture) => Value[]> = {
  http_server_request_duration_seconds: ({ series }) =>
    series.flatMap(({ labels, ...durations }) =>
      histogram('http_server_request_duration_seconds', labels, BUCKETS, durations),
    ),
  http_server_active_requests: bySlot(({ inFlight }) => inFlight, sum),
  nodicorn_request_timeouts_total: timeouts,
  nodicorn_slow_requests_total: count('requestSlow'),
  nodicorn_orphans: bySlot(({ orphans }) => orphans, sum),
  nodicorn_uncaught_errors_total: count('uncaught'),
  nodicorn_hook_failures_total: count('hookFailed'),
  nodicorn_workers: ({ status }) =>
    STATES.map((state) => ({
      labels: { state },
      value: status.workers.filter((worker) => worker.state === state).length,
    })),
  nodicorn_workers_target: ({ status }) => one(status.target),
  nodicorn_processes: processesOf,
  nodicorn_process_restarts_total: processEnds,
  jobs_queue_size: queues(({ waiting, active, delayed, completed, failed }) =>
    by('state', { waiting, active, delayed, completed, failed }),
  ),
  jobs_oldest_waiting_seconds: queues(({ oldestWaiting }) => one(oldestWaiting ?? 0)),
  jobs_attempts_total: jobs(({ ends }, labels) =>
    by('result', ends).map((value) => withLabels(value, labels)),
  ),
  jobs_timeouts_total: jobs(({ timeouts }, labels) => [{ labels, value: timeouts }]),
  jobs_stalled_total: ({ jobs: { stalled, byName } }) =>
    byName.size === 0 ? [] : [{ labels: { queue: QUEUE }, value: stalled }],
  jobs_duration_seconds: jobs(({ durations }, labels) =>
    histogram('jobs_duration_seconds', labels, JOB_BUCKETS, durations),
  ),
  jobs_wait_duration_seconds: jobs(({ waits }, labels) =>
    histogram('jobs_wait_duration_seconds', labels, JOB_BUCKETS, waits),
  ),
  nodicorn_worker_restarts_total: restarts,
  nodicorn_worker_boot_duration_seconds: ({ meter }) =>
    histogram('nodicorn_worker_boot_duration_seconds', {}, DURATIONS, meter.boots),
  nodicorn_worker_drain_duration_seconds: ({ meter }) =>
    histogram('nodicorn_worker_drain_duration_seconds', {}, DURATIONS, meter.drains),
  nodicorn_reloads_total: ({ counters }) =>
    by('result', {
      done: counters.get('reloaded') ?? 0,
      failed: counters.get('reloadFailed') ?? 0,
    }),
  nodicorn_generation: ({ status }) => one(status.generation),
  nodicorn_event_loop_delay_seconds: bySlot(({ loopDelay }) => loopDelay, Math.max),
  nodicorn_event_loop_utilization: bySlot(({ utilization }) => utilization, Math.max),
  nodicorn_worker_resident_memory_bytes: bySlot(({ rss }) => rss, sum),
  nodicorn_worker_heap_used_bytes: bySlot(({ heapUsed }) => heapUsed, sum),
  nodicorn_worker_heap_limit_bytes: bySlot(({ heapLimit }) => heapLimit, sum),
  nodicorn_master_resident_memory_bytes: ({ resident }) => one(resident),
  nodicorn_connections: bySlot(({ connections }) => connections, sum),
  nodicorn_accept_queue_connections: ({ status }) => one(status.queued),
  nodicorn_connections_handed_over_total: ({ meter }) => one(meter.handedOver),
  nodicorn_untracked_connections_total: ({ untracked }) => one(untracked),
  nodicorn_log_events_total: ({ meter }) => by('level', meter.levels),
  nodicorn_start_time_seconds: ({ startedAt }) => one(startedAt),
  nodicorn_build_info: ({ status: { name, version, node } }) => [
    { labels: { name, version, node_version: node }, value: 1 },
  ],
}

/** Every family of the table, in its order, as prom-client has them in JSON. */
export const serverMetrics = (picture: MetricsPicture): AppMetric[] =>
  metricNames.map((name) => {
    const { type, help } = metricRow(name)
    return { name, type, help, aggregator: 'sum', values: makers[name](picture) }
  })
