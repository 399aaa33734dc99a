// Everything that can happen, its level and its one log sentence. A leaf. The sentences keep Gunicorn's words where
// they fit, so that the greps people have go on working.

import type { Digest, Interruption, Named, PostMortem, UncaughtFacts } from './protocol.ts'
import type { Thrown } from './hook-runner.ts'

export type Level = 'debug' | 'info' | 'warning' | 'error' | 'critical'

interface EventRow<F> {
  readonly level: Level
  readonly say: (facts: F) => string
}

const row = <F>(level: Level, say: (facts: F) => string): EventRow<F> => ({ level, say })

interface Of {
  worker: number
  slot: number
}

/** A process of a group beside the workers. */
interface Side extends Of {
  group: string
}

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`
const seconds = (n: number): string => `${n < 10 ? Math.round(n * 10) / 10 : Math.round(n)} s`

const ofRoute = (f: Named): string => (f.route ? ` [${f.route}]` : '')

const blocker = ({ culprit, certain }: Pick<PostMortem, 'culprit' | 'certain'>): string =>
  culprit
    ? `${culprit.method} ${culprit.url}${certain ? '' : ' (or code outside of it)'}`
    : 'code outside of any request'

/** `, at spin (/srv/app.js:12:3)`: the first line that is not node's own. */
function where(stack: readonly string[] | null): string {
  if (stack === null) return ', in native code (no JavaScript stack)'
  const line = stack.find((one) => !/\(node:|^at node:|<anonymous>\)$/.test(one)) ?? stack[0]
  return line ? `, ${line}` : ''
}

/** Bytes, seconds, requests, handlers: what was measured, and what was allowed. */
export type Recycling =
  | { reason: 'max-memory'; bytes: number; limit: number }
  | { reason: 'max-lifetime'; seconds: number; limit: number }
  | { reason: 'max-requests'; requests: number }
  | { reason: 'orphans'; handlers: number }
  | { reason: 'asked' }

function whyRecycled(why: Recycling): string {
  switch (why.reason) {
    case 'max-memory':
      return `it has had more than ${megabytes(why.limit)} in memory for a while, now ${megabytes(why.bytes)} (--max-memory)`
    case 'max-lifetime':
      return `it has served for ${seconds(why.seconds)} (--max-lifetime)`
    case 'max-requests':
      return `it has served ${plural(why.requests, 'request')} (--max-requests)`
    case 'orphans':
      return `${plural(why.handlers, 'handler')} went on after their 504 (--max-orphans)`
    case 'asked':
      return 'asked for (supervisor recycle)'
  }
}

/** Why the number of workers follows the load: the mean of their event loops' utilization, 0 to 1, or connections that wait. */
export type Scaling = { seconds: number } & (
  { reason: 'busy' | 'calm'; utilization: number } | { reason: 'queue'; queued: number }
)

function whyScaled(why: Scaling): string {
  if (why.reason === 'queue')
    return `connections have waited to be accepted for ${seconds(why.seconds)}, now ${why.queued} (--scale-up-after)`
  const now = `the event loops are at ${Math.round(why.utilization * 100)} % now`
  return why.reason === 'busy'
    ? `busy for ${seconds(why.seconds)}, ${now} (--scale-up-at)`
    : `one fewer would have done for ${seconds(why.seconds)}, ${now} (--scale-down-after)`
}

/** `days`: whole ones; negative when they are over. */
const validity = (days: number): string =>
  days < 0 ? `has expired ${plural(-days, 'day')} ago` : `expires in ${plural(days, 'day')}`

const argument = ([name, value]: [string, unknown]): string =>
  value === true ? name : `${name} ${String(value)}`

const outcomes: Record<UncaughtFacts['outcome'], string> = {
  500: 'was answered 500',
  cut: 'was cut, its response had begun',
  none: 'was over',
}

const megabytes = (n: number): string => `${Math.round(n / 1024 ** 2)} MB`

interface BootFailure {
  code: number | null
  signal: string | null
  error: string
  stderr: string[]
}
const FATES = {
  '504': 'answered 504',
  reset: 'its response had begun, the connection was closed',
  complete: 'its response was complete',
} as Readonly<Record<string, string>>

const ended = (f: { code: number | null; signal: string | null }): string =>
  f.signal ? `was ended by ${f.signal}` : `exited with code ${f.code}`

export const events = {
  starting: row<{ version: string; node: string }>(
    'info',
    (f) => `Starting supervisor ${f.version} (Node ${f.node})`,
  ),
  note: row<{ text: string }>('info', (f) => f.text),
  certificateTaken: row<{ file: string; days: number }>(
    'info',
    (f) => `New certificate: ${f.file}, ${validity(f.days)}; connections go on`,
  ),
  certificateRefused: row<{ error: string }>(
    'error',
    (f) => `The new certificate is not used, the old one stays: ${f.error}`,
  ),
  certificateExpires: row<{ file: string; days: number }>(
    'warning',
    (f) => `The certificate ${f.file} ${validity(f.days)} (--certfile)`,
  ),
  proxyRefused: row<Of & { peer: string; why: string; omitted: number }>(
    'warning',
    (f) =>
      `Connection from ${f.peer} closed (pid:${f.worker}): ${f.why}` +
      (f.omitted ? ` (and ${f.omitted} more were not logged)` : ''),
  ),
  warning: row<{ text: string }>('warning', (f) => f.text),
  listening: row<{ url: string }>('info', (f) => `Listening at: ${f.url} (${process.pid})`),
  serverReady: row<{ workers: number[]; urls: string[]; seconds: number }>(
    'info',
    (f) =>
      `Server is ready: ${plural(f.workers.length, 'worker')} (pid ${f.workers.join(', ')}) after ${seconds(f.seconds)}`,
  ),
  /** `status`: the command that looks at the server; missing if none reaches it. */
  tryThis: row<{ url: string; status?: string }>(
    'info',
    (f) =>
      `Try: curl ${f.url.startsWith('unix:') ? `--unix-socket ${f.url.slice(5)} http://localhost/` : f.url}` +
      `${f.status ? `   Look: ${f.status}` : ''}   Stop with Ctrl-C`,
  ),
  booting: row<Of & { standby?: true }>(
    'info',
    (f) => `Booting worker with pid: ${f.worker}${f.standby ? ' (standby)' : ''}`,
  ),
  workerReady: row<Of & { seconds: number }>(
    'info',
    (f) => `Worker ready (pid: ${f.worker}) after ${seconds(f.seconds)}`,
  ),
  standbyReady: row<Of & { seconds: number }>(
    'info',
    (f) => `Standby worker ready (pid: ${f.worker}) after ${seconds(f.seconds)}`,
  ),
  promoting: row<Of>(
    'info',
    (f) => `Promoting standby worker (pid: ${f.worker}) to slot ${f.slot}`,
  ),
  noStandby: row<object>(
    'warning',
    () =>
      "There are no standby workers (--standby): with node:cluster's own sockets a worker cannot listen without getting clients",
  ),
  noSocketRights: row<object>(
    'warning',
    () =>
      "--socket-mode and --socket-group have no effect: with node:cluster's own sockets the umask alone decides",
  ),
  stillBooting: row<Of & { seconds: number; waitsFor?: string }>('warning', (f) =>
    f.waitsFor
      ? `Worker (pid:${f.worker}) is not ready after ${seconds(f.seconds)}: ${f.waitsFor}; still waiting`
      : `Worker (pid:${f.worker}) has neither called listen() nor exported an application for ${seconds(f.seconds)}; still waiting`,
  ),
  bootTimeout: row<Of & { seconds: number; waitsFor?: string }>(
    'error',
    (f) =>
      `Worker (pid:${f.worker}) was not ready within ${seconds(f.seconds)} (--boot-timeout)${f.waitsFor ? `: ${f.waitsFor}` : ''}: killing it`,
  ),
  bootFailed: row<Of & BootFailure>(
    'error',
    (f) => `Worker (pid:${f.worker}) failed to boot: ${f.error}`,
  ),
  recycling: row<Of & Recycling>(
    'info',
    (f) => `Recycling worker (pid: ${f.worker}): ${whyRecycled(f)}`,
  ),
  workerExiting: row<Of & { requests: number; connections: number }>(
    'info',
    (f) =>
      `Worker exiting (pid: ${f.worker}): ${plural(f.requests, 'request')} and ${plural(f.connections, 'connection')} left to finish`,
  ),
  workerExited: row<Of & { uptime: number; reason: string }>(
    'info',
    (f) => `Worker exited (pid: ${f.worker}) after ${seconds(f.uptime)}: ${f.reason}`,
  ),
  handedOver: row<Of & { connections: number }>(
    'debug',
    (f) => `Worker (pid:${f.worker}) handed ${plural(f.connections, 'connection')} over to others`,
  ),
  handoverFails: row<{ node: string; why: string }>(
    'warning',
    (f) =>
      `Idle connections are not handed over on Node ${f.node}: ${f.why}; workers that leave tell clients to reconnect`,
  ),
  workerCrashed: row<
    Of & {
      code: number | null
      signal: string | null
      uptime: number
      cause: string
      stderr: string[]
    }
  >(
    'error',
    (f) =>
      `Worker (pid:${f.worker}) ${ended(f)} after ${seconds(f.uptime)}${f.cause ? `: ${f.cause}` : ''}`,
  ),
  workerKilled: row<Of & { why: string }>(
    'error',
    (f) => `Worker (pid:${f.worker}) was sent SIGKILL: ${f.why}`,
  ),
  uncaught: row<Of & UncaughtFacts>(
    'error',
    (f) =>
      `UNCAUGHT ERROR (pid:${f.worker}): ${f.error}${where(f.stack)}; ` +
      (f.request
        ? `${f.request.method} ${f.request.url}${ofRoute(f.request)} ${outcomes[f.outcome]}`
        : 'no request was waiting for it'),
  ),
  backingOff: row<{ slot: number; seconds: number; crashes: number; serving?: boolean }>(
    'warning',
    (f) =>
      f.serving
        ? `Worker slot ${f.slot} failed ${f.crashes} times in a row; it goes on, and is replaced in ${seconds(f.seconds)}`
        : `Worker slot ${f.slot} ended ${f.crashes} times in a row; starting it again in ${seconds(f.seconds)}`,
  ),
  processBooting: row<Side>('info', (f) => `Booting ${f.group} with pid: ${f.worker}`),
  processExited: row<Side & { uptime: number; reason: string }>(
    'info',
    (f) => `Exited: ${f.group} (pid: ${f.worker}) after ${seconds(f.uptime)}: ${f.reason}`,
  ),
  processEnded: row<
    Side & {
      code: number | null
      signal: string | null
      uptime: number
      stderr: string[]
      why?: string
    }
  >('error', (f) =>
    f.worker === 0
      ? `Cannot start ${f.group}: ${f.stderr[0] ?? 'the system refused it'}`
      : `Ended by itself: ${f.group} (pid: ${f.worker}) ${ended(f)} after ${seconds(f.uptime)}${f.why === undefined ? '' : `: ${f.why}`}`,
  ),
  processBackingOff: row<{ group: string; slot: number; seconds: number; crashes: number }>(
    'warning',
    (f) =>
      `${f.group} ended ${f.crashes} times in a row; starting it again in ${seconds(f.seconds)}`,
  ),
  processKilled: row<Side & { why: string }>(
    'error',
    (f) => `Killed: ${f.group} (pid: ${f.worker}): ${f.why}`,
  ),
  processUnguarded: row<{ group: string }>(
    'warning',
    (f) =>
      `${f.group} would outlive a master that is killed: there is no setpriv (util-linux) to end it with its parent`,
  ),
  requestSlow: row<Of & Named & { seconds: number; timeout: number }>(
    'warning',
    (f) =>
      `Slow request (pid:${f.worker}): ${f.method} ${f.url}${ofRoute(f)} has taken ${seconds(f.seconds)} of its ${seconds(f.timeout)} (--slow-ratio)`,
  ),
  requestTimeout: row<Of & Named & { seconds: number; answered: boolean }>(
    'error',
    (f) =>
      `REQUEST TIMEOUT (pid:${f.worker}): ${f.method} ${f.url}${ofRoute(f)} took longer than ${seconds(f.seconds)}; ` +
      (f.answered ? 'answered 504' : 'the response had begun, the connection was closed'),
  ),
  workerTimeout: row<Of & Omit<PostMortem, 'type'> & { uptime: number }>(
    'critical',
    (f) =>
      `WORKER TIMEOUT (pid:${f.worker}): ${blocker(f)} blocked the event loop for ${seconds(f.seconds)}${where(f.stack)}; ` +
      `killed, ${plural(f.neighbours, 'other request')} lost`,
  ),
  workerInterrupted: row<Of & Omit<Interruption, 'type'>>(
    'error',
    (f) =>
      `WORKER TIMEOUT (pid:${f.worker}): ${blocker(f)} blocked the event loop for ${seconds(f.seconds)}${where(f.stack)}; ` +
      `interrupted, ${FATES[f.culprit.outcome ?? ''] ?? 'not answered yet'}; ${plural(f.neighbours, 'other request')} kept, the worker is replaced`,
  ),
  workerSilent: row<Of & { seconds: number; digest?: Digest }>(
    'critical',
    (f) =>
      `WORKER TIMEOUT (pid:${f.worker}): nothing heard from it for ${seconds(f.seconds)}, not even from its watchdog; killed` +
      (f.digest ? `, with ${plural(f.digest.inFlight, 'request')} in flight` : ''),
  ),
  accessLogFails: row<Of & { file: string; why: string }>(
    'warning',
    (f) => `The access log ${f.file} cannot be written (pid:${f.worker}): ${f.why}`,
  ),
  accessLogLost: row<Of & { file: string; lines: number }>(
    'warning',
    (f) =>
      `Access log ${f.file}: ${plural(f.lines, 'line')} could not be written (pid:${f.worker})`,
  ),
  inspected: row<Of & { what: string; file: string; still?: number }>('info', (f) => {
    const still = f.still === undefined ? '' : `, which stood still for ${seconds(f.still)},`
    return `The ${f.what} of worker (pid:${f.worker})${still} is in ${f.file}`
  }),
  digest: row<Of & Omit<Digest, 'type' | 'served'>>(
    'debug',
    (f) =>
      `Worker (pid:${f.worker}): ${plural(f.inFlight, 'request')} in flight, ${plural(f.connections, 'connection')}`,
  ),
  alert: row<{ timeouts: number; seconds: number }>(
    'critical',
    (f) => `ALERT: ${plural(f.timeouts, 'timeout')} in ${seconds(f.seconds)} (--alert-timeouts)`,
  ),
  webhookFailed: row<{ error: string }>('error', (f) => `The alert webhook failed: ${f.error}`),
  hookFailed: row<
    Thrown & { hook: string; omitted?: number } & ({ worker: number; slot: number } | object)
  >(
    'error',
    (f) =>
      `The hook ${f.hook} failed${'worker' in f ? ` (pid:${f.worker})` : ''}: ${f.error}${where(f.stack)}` +
      (f.omitted ? ` (and ${f.omitted} more were not logged)` : ''),
  ),
  noRequestContext: row<object>(
    'info',
    () =>
      'Without --request-context, requestSignal(), deadline(), extendTimeout() and requestId() of nodicorn/app, --abort-fetch ' +
      'and --blocked interrupt do nothing, and the log cannot tell the request that blocked an event loop from one that is merely late',
  ),
  command: row<{ command: string; args: object; by: string }>(
    'info',
    (f) =>
      `Handling command: ${[f.command, ...Object.entries(f.args).map(argument)].join(' ')} (${f.by})`,
  ),
  noControl: row<{ path: string; why: string }>(
    'debug',
    (f) => `There is no control socket at ${f.path}: ${f.why}`,
  ),
  controlFailed: row<{ path: string; why: string }>(
    'warning',
    (f) => `There is no control socket at ${f.path} (--control-socket): ${f.why}`,
  ),
  adminListening: row<{ url: string }>('info', (f) => `Admin address: ${f.url}`),
  adminFailed: row<{ url: string; why: string }>(
    'error',
    (f) => `There is no admin address ${f.url} (--admin): ${f.why}`,
  ),
  wrongToken: row<{ from: string; path: string; times: number }>(
    'warning',
    (f) =>
      `Wrong admin token from ${f.from} for ${f.path}${f.times > 1 ? `, with ${f.times - 1} more since the last such line` : ''}`,
  ),
  controlling: row<{ path: string }>('debug', (f) => `Control socket at ${f.path}`),
  metricClash: row<{ name: string }>(
    'warning',
    (f) => `The application's metric ${f.name} is not shown: the server has one of that name`,
  ),
  statsdFailed: row<{ host: string; why: string }>(
    'warning',
    (f) => `Metrics do not reach ${f.host} (--statsd-host): ${f.why}`,
  ),
  otlpFailed: row<{ endpoint: string; why: string }>(
    'warning',
    (f) => `Metrics do not reach ${f.endpoint} (--otlp-endpoint): ${f.why}`,
  ),
  handlingSignal: row<{ signal: string }>('info', (f) => `Handling signal: ${f.signal}`),
  workersChanged: row<{ from: number; to: number } & (Scaling | { reason?: undefined })>(
    'info',
    (f) => `Workers: ${f.from} -> ${f.to}${f.reason === undefined ? '' : `: ${whyScaled(f)}`}`,
  ),
  workersBound: row<{ workers: number; bound: 'most' | 'fewest' }>(
    'info',
    (f) => `Workers: still ${f.workers}, the ${f.bound} there may be (--workers)`,
  ),
  noMemoryToScale: row<{ workers: number; bytes: number; granted: number }>(
    'warning',
    (f) =>
      `${plural(f.workers, 'worker')} and no more, though busy: all processes together have ${megabytes(f.bytes)} of the ` +
      `${megabytes(f.granted)} granted, and another worker would pass 90 %`,
  ),
  reloading: row<{ generation: number }>(
    'info',
    () => `Hang up: Master; starting new workers before the old ones leave`,
  ),
  reloaded: row<{ generation: number; seconds: number }>(
    'info',
    (f) => `Reload finished after ${seconds(f.seconds)}`,
  ),
  /** With more about the worker, if it was one that failed. */
  reloadFailed: row<{ error: string } | (Of & BootFailure)>(
    'error',
    (f) => `Reload failed, the old workers go on: ${f.error}`,
  ),
  upgrading: row<{ node: string; script: string; sockets: number }>(
    'info',
    (f) => `Upgrading: starting a new master, ${f.node} ${f.script}`,
  ),
  upgraded: row<{ master: number; version: string; node: string; seconds: number }>(
    'info',
    (f) =>
      `Upgraded: master ${f.master} (supervisor ${f.version}, Node ${f.node}) is in charge after ${seconds(f.seconds)}; the workers of this one finish`,
  ),
  upgradeFailed: row<{ error: string }>(
    'error',
    (f) => `Upgrade failed, this master goes on: ${f.error}`,
  ),
  upgradeRefused: row<{ why: string }>('warning', (f) => `No upgrade: ${f.why}`),
  notWhileUpgrading: row<{ order: string; isSucceeded: boolean }>('warning', (f) =>
    f.isSucceeded
      ? `Ignored ${f.order}: a new master is in charge`
      : `Ignored ${f.order}: an upgrade is under way`,
  ),
  tookOver: row<{ predecessor: number }>(
    'info',
    (f) => `In charge, in the place of master ${f.predecessor}`,
  ),
  promoted: row<{ predecessor: number }>(
    'warning',
    (f) => `In charge: master ${f.predecessor} ended before it handed over`,
  ),
  systemdNotTold: row<{ master: number; why: string }>(
    'warning',
    (f) => `systemd was not told that master ${f.master} is in charge: ${f.why}`,
  ),
  systemdDeaf: row<{ why: string }>(
    'warning',
    (f) =>
      `systemd cannot be told how the server is: ${f.why}; a unit with Type=notify needs systemd-notify and NotifyAccess=all`,
  ),
  zombies: row<{ count: number }>(
    'warning',
    (f) =>
      `${f.count === 1 ? '1 process' : `${f.count} processes`} that the application left behind cannot be buried: give the container an init as its first process (docker run --init, in compose init: true)`,
  ),
  socketUnused: row<{ name: string; url: string }>(
    'warning',
    (f) =>
      `Nobody listens on ${f.url}, which systemd has opened (${f.name}): the application must listen on PORT, or export its handler`,
  ),
  watching: row<object>('info', () => 'Watching the files that the application loads (--reload)'),
  fileChanged: row<{ file: string; more: number }>(
    'info',
    (f) =>
      `Worker reloading: ${f.file} modified` +
      (f.more > 0 ? `, and ${plural(f.more, 'other file')}` : ''),
  ),
  waitingForChange: row<{ error: string }>(
    'error',
    (f) => `Start failed, waiting for a file to change (--reload): ${f.error}`,
  ),
  jobStoreOpen: row<{ dataDir: string; isNew: boolean; seconds: number }>(
    'info',
    (f) =>
      `Job store ${f.isNew ? 'made' : 'opened'} in ${f.dataDir} after ${seconds(f.seconds)}: it survives any crash of a process, ` +
      'not a power failure, and serves this machine only; set REDIS_URL where that is not enough',
  ),
  jobStoreLocal: row<{ dataDir: string; program: string; seconds: number }>(
    'info',
    (f) =>
      `Job store opened in ${f.dataDir} after ${seconds(f.seconds)}: ${f.program}, which writes each job to the disk before it is accepted; it serves this machine only`,
  ),
  jobStoreShared: row<{ dataDir: string; owner: number }>(
    'info',
    (f) => `Using the job store in ${f.dataDir}, which process ${f.owner} has opened`,
  ),
  jobStoreUnreadable: row<{ dataDir: string; movedTo: string }>(
    'critical',
    (f) =>
      `The job store in ${f.dataDir} could not be read: it was moved to ${f.movedTo}, with the reason in the file WHY, and an empty one was made. The jobs in it are lost`,
  ),
  jobStoreSmall: row<{ bytes: number }>(
    'warning',
    (f) =>
      `The embedded job store needs about 300 MB, and this machine has ${megabytes(f.bytes)}: a Redis needs less (REDIS_URL)`,
  ),
  jobsRemote: row<{ store: string }>('info', (f) => `Job store: ${f.store}`),
  jobsForgetful: row<object>(
    'warning',
    () =>
      'Redis keeps jobs in memory only, and a crash of Redis loses them: redis-cli CONFIG SET appendonly yes',
  ),
  jobsReady: row<{ group: string; worker: number; jobs: string[] }>(
    'info',
    (f) => `Job worker ready (pid: ${f.worker}): ${f.jobs.join(', ') || 'no jobs are defined'}`,
  ),
  jobsDashboard: row<{ path: string }>(
    'info',
    (f) => `Jobs dashboard at ${f.path} of the admin address`,
  ),
  jobsDashboardOff: row<{ why: string }>(
    'error',
    (f) => `The jobs dashboard can't be shown: ${f.why}`,
  ),
  jobFailed: row<{
    job: string
    id: string
    attempt: number
    attempts: number
    error: string
    isRetried: boolean
  }>(
    'warning',
    (f) =>
      `Job ${f.job} ${f.id} failed (attempt ${f.attempt} of ${f.attempts}${f.isRetried ? ', to be tried again' : ''}): ${f.error}`,
  ),
  jobsStalled: row<{ id: string }>(
    'warning',
    (f) => `Job ${f.id} was left by a process that died; it is begun again`,
  ),
  jobReturned: row<{ job: string; id: string }>(
    'info',
    (f) => `Job ${f.job} ${f.id} was not finished in time; it waits for the next process`,
  ),
  jobsServing: row<{ workers: number; seconds: number }>(
    'info',
    (f) => `Jobs are ready: ${plural(f.workers, 'worker')} after ${seconds(f.seconds)}`,
  ),
  jobsDraining: row<{ grace: number }>(
    'info',
    (f) => `Shutting down: running jobs have ${seconds(f.grace)} to finish`,
  ),
  waitingBeforeStop: row<{ seconds: number }>(
    'info',
    (f) =>
      `Serving for another ${seconds(f.seconds)} so that load balancers notice (--pre-stop-delay)`,
  ),
  stopping: row<{ mode: string }>('info', (f) => `Shutting down: Master (${f.mode})`),
  stopped: row<{ killed: number; seconds: number }>(
    'info',
    (f) =>
      `Stopped after ${seconds(f.seconds)}` +
      (f.killed ? `; ${plural(f.killed, 'worker')} had to be killed` : ''),
  ),
  startFailed: row<{ error: string; exit: number }>('critical', (f) => f.error),
} satisfies Record<string, EventRow<never>>

export type EventName = keyof typeof events
export type Facts<E extends EventName> = Parameters<(typeof events)[E]['say']>[0]

/** An event as those who watch the log are told of it. */
export interface LogEvent {
  readonly name: EventName
  readonly level: Level
  /** Ms since 1970. */
  readonly at: number
  readonly facts: Facts<EventName>
  /** Its sentence. */
  readonly text: string
}
