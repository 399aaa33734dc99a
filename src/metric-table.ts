// Every metric of the server, once: name, type, labels and help. A leaf. The master's text, docs/metrics.md and the check of what is
// in deploy/ come from it. Names and units are those that Prometheus and OpenTelemetry recommend.

export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** One sentence without its full stop. */
  readonly help: string
  /** None of them has a value that clients could choose. */
  readonly labels?: readonly string[]
}

export const metricTable = {
  http_server_request_duration_seconds: {
    type: 'histogram',
    labels: ['method', 'route', 'status'],
    help: 'Time from the beginning of a request to the end of its response. method: a usual one, or _OTHER; route: the pattern of the setting routes, if one matched; status: 2xx, or aborted if the client left before the response began',
  },
  http_server_active_requests: {
    type: 'gauge',
    labels: ['slot'],
    help: 'Requests in flight',
  },
  nodicorn_request_timeouts_total: {
    type: 'counter',
    labels: ['kind'],
    help: 'Timeouts. waiting: a handler waited longer than timeout; blocked: an event loop stood still and its worker was killed; interrupted: the same, but the code was stopped and the worker lived on; silent: a worker stood still with its watchdog',
  },
  nodicorn_slow_requests_total: {
    type: 'counter',
    help: 'Requests that used more of their timeout than slowRatio allows',
  },
  nodicorn_orphans: {
    type: 'gauge',
    labels: ['slot'],
    help: 'Handlers that go on although their client has had its 504',
  },
  nodicorn_uncaught_errors_total: { type: 'counter', help: 'Errors that nobody caught' },
  nodicorn_hook_failures_total: {
    type: 'counter',
    help: 'Hooks that threw, rejected or took too long',
  },
  nodicorn_workers: { type: 'gauge', labels: ['state'], help: 'Workers there are' },
  nodicorn_workers_target: { type: 'gauge', help: 'Workers there should be' },
  nodicorn_processes: {
    type: 'gauge',
    labels: ['group'],
    help: 'Processes beside the workers (processes) that run',
  },
  nodicorn_process_restarts_total: {
    type: 'counter',
    labels: ['group'],
    help: 'Processes beside the workers that have ended, whatever for',
  },
  jobs_queue_size: {
    type: 'gauge',
    labels: ['queue', 'state'],
    help: 'Jobs in the store, on whatever machines they run. state: waiting, active, delayed, and until they are removed (keep) completed and failed',
  },
  jobs_oldest_waiting_seconds: {
    type: 'gauge',
    labels: ['queue'],
    help: 'How long the job has waited that waits longest, its delay apart; 0 if none waits',
  },
  jobs_attempts_total: {
    type: 'counter',
    labels: ['queue', 'job', 'result'],
    help: 'Attempts at jobs that have ended here. job: the name of a defined one, or _OTHER; result: completed, failed (for good), retried (failed, and there will be another), cancelled, or returned to the queue, because the process had to end',
  },
  jobs_timeouts_total: {
    type: 'counter',
    labels: ['queue', 'job'],
    help: 'Attempts that were ended at the timeout of their job',
  },
  jobs_stalled_total: {
    type: 'counter',
    labels: ['queue'],
    help: 'Jobs whose process has died, found by a process of this server',
  },
  jobs_duration_seconds: {
    type: 'histogram',
    labels: ['queue', 'job'],
    help: 'Time that attempts have taken, however they ended',
  },
  jobs_wait_duration_seconds: {
    type: 'histogram',
    labels: ['queue', 'job'],
    help: 'Time that jobs have waited for their first attempt, their delay apart',
  },
  nodicorn_worker_restarts_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Workers that have ended, by why they did; none is counted twice',
  },
  nodicorn_worker_boot_duration_seconds: {
    type: 'histogram',
    help: 'Time from the start of a worker to its being ready, or on standby',
  },
  nodicorn_worker_drain_duration_seconds: {
    type: 'histogram',
    help: 'Time from when a worker began to leave to its end',
  },
  nodicorn_reloads_total: {
    type: 'counter',
    labels: ['result'],
    help: 'Reloads: done, or failed, which leaves the old workers in service',
  },
  nodicorn_generation: {
    type: 'gauge',
    help: 'Of the settings: the first is 1, each reload adds 1',
  },
  nodicorn_event_loop_delay_seconds: {
    type: 'gauge',
    labels: ['slot'],
    help: 'The longest that the event loop kept a timer waiting in the last second, or since when it has stood still',
  },
  nodicorn_event_loop_utilization: {
    type: 'gauge',
    labels: ['slot'],
    help: 'Share of the time that the event loop is busy, from 0 to 1',
  },
  nodicorn_worker_resident_memory_bytes: {
    type: 'gauge',
    labels: ['slot'],
    help: 'Memory of the worker in RAM',
  },
  nodicorn_worker_heap_used_bytes: {
    type: 'gauge',
    labels: ['slot'],
    help: "V8's heap in use",
  },
  nodicorn_worker_heap_limit_bytes: {
    type: 'gauge',
    labels: ['slot'],
    help: "The most that V8's heap may become",
  },
  nodicorn_master_resident_memory_bytes: { type: 'gauge', help: 'Memory of the master in RAM' },
  nodicorn_connections: { type: 'gauge', labels: ['slot'], help: 'Connections that are open' },
  nodicorn_accept_queue_connections: {
    type: 'gauge',
    help: 'Connections that wait in the kernel until a worker accepts them (TCP on Linux; elsewhere 0)',
  },
  nodicorn_connections_handed_over_total: {
    type: 'counter',
    help: 'Idle connections that workers gave to others before they ended',
  },
  nodicorn_untracked_connections_total: {
    type: 'counter',
    help: "Connections beyond a worker's first 4096 at once, which its watchdog does not see",
  },
  nodicorn_log_events_total: {
    type: 'counter',
    labels: ['level'],
    help: 'Events for the log, written or not',
  },
  nodicorn_start_time_seconds: {
    type: 'gauge',
    help: 'When the master started, in seconds since 1970; counters begin then',
  },
  nodicorn_build_info: {
    type: 'gauge',
    labels: ['name', 'version', 'node_version'],
    help: 'Always 1; the labels tell what runs',
  },
} satisfies Record<string, MetricRow>

export type MetricName = keyof typeof metricTable

export const metricNames = Object.keys(metricTable) as MetricName[]

/** The row of a name, without its exact type. */
export const metricRow = (name: MetricName): MetricRow => metricTable[name]

/** Names of the series that a family has in the text. */
export const seriesNames = (name: string, type: string): string[] =>
  type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name]
