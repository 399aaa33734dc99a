// Every setting, once: kind, default, flags, variables and help. A leaf, and the only list: types, flags, environment,
// `--help`, `supervisor config`, the JSON Schema and docs/settings.md all come from it.
import type { InferInput, InferOutput } from 'valibot'
import { adminAddress, secret } from './admin-address.ts'
import { jobs } from './jobs-setting.ts'
import * as kinds from './kinds.ts'
import * as listenKinds from './listen-kinds.ts'
import * as logKinds from './log-kinds.ts'
import { memoryLimit } from './memory-limit.ts'
import { processes } from './processes.ts'
import { workerCount } from './worker-count.ts'
import type { Kind } from './kinds.ts'

export const groups = [
  'Server',
  'TLS',
  'Timeouts',
  'Recycling',
  'Limits',
  'Process',
  'Jobs',
  'Logging',
  'Development',
] as const

/** One row of the table. */
export interface Setting extends Omit<Kind<never, unknown>, 'schema'> {
  readonly schema: Kind<unknown, unknown>['schema']
  /** The program's value when nothing is set. */
  readonly default: unknown
  readonly group: (typeof groups)[number]
  /** One or two sentences: the unit, what 0 means, why one would change it. */
  readonly help: string
  /** Spellings beside --kebab-name: letters as '-w', Gunicorn's names as '--preload-app'. */
  readonly flags?: readonly string[]
  /** The value that --no-NAME stands for, if not that of a flag without one. */
  readonly without?: string
  /** Never shown, neither by `supervisor config` nor in an error; workers do not inherit its variable. */
  readonly secret?: true
  /** Variables beside SUPERVISOR_NAME, the first one set wins. */
  readonly env?: readonly string[]
}

// Outside the table, whose own type would widen their words to string.
const crashModes = kinds.oneOf(['drain', 'exit'])
const socketOwner = kinds.oneOf(['auto', 'owned', 'cluster'])
const blocked = kinds.oneOf(['kill', 'interrupt'])
const reloadEngine = kinds.oneOf(['auto', 'poll', 'inotify'])
const minVersion = kinds.oneOf(['TLSv1.2', 'TLSv1.3'])
const logFormat = kinds.oneOf(['auto', 'text', 'json'])
const logLevel = kinds.oneOf(['debug', 'info', 'warning', 'error', 'critical'], {
  warn: 'warning',
  fatal: 'critical',
})

/** Or nothing. */
const HOST_AND_PORT = /^$|^(\[[\da-fA-F:.]+\]|[^\s:/[\]]+):\d{1,5}$/

export const settings = {
  bind: {
    ...kinds.addresses(),
    default: [],
    group: 'Server',
    flags: ['-b'],
    env: ['BIND', 'GUNICORN_BIND'],
    help: 'Where to listen, for an app that exports its handler; repeat the flag for several addresses. When unset, the variables HOST and PORT decide, else 127.0.0.1:8000.',
  },
  backlog: {
    ...kinds.count({ min: 1 }),
    default: 2048,
    group: 'Server',
    help: 'How many new connections may wait in the kernel until a worker accepts them. The kernel may cap it (net.core.somaxconn on Linux).',
  },
  workers: {
    ...workerCount(),
    default: 1,
    group: 'Server',
    flags: ['-w'],
    env: ['WORKERS', 'GUNICORN_WORKERS', 'WEB_CONCURRENCY'],
    help: 'How many worker processes to keep running. "auto" means one for each CPU that the container or the machine grants, and no more than its memory allows (128 MB each). A range, such as 2-8 or 2-auto, lets the load decide: see scaling.',
  },
  scaleUpAt: {
    ...kinds.ratio(),
    default: 0.8,
    group: 'Server',
    help: 'With a range of workers: one more is started when the event loops of all together have been busy for this share of the time, for as long as --scale-up-after.',
  },
  scaleUpAfter: {
    ...kinds.seconds(),
    default: 5,
    group: 'Server',
    help: 'With a range of workers: how long they must be busy, or connections must wait to be accepted, in seconds, before one more is started.',
  },
  scaleDownAfter: {
    ...kinds.seconds(),
    default: 60,
    group: 'Server',
    help: 'With a range of workers: how long one fewer would have been enough, in seconds, before one leaves.',
  },
  threads: {
    ...kinds.count(),
    default: 0,
    group: 'Server',
    env: ['THREADS', 'GUNICORN_THREADS'],
    help: "Size of each worker's thread pool (UV_THREADPOOL_SIZE), which does file access, DNS look-ups, compression and cryptography. 0 keeps Node's own size, 4.",
  },
  workerConnections: {
    ...kinds.count(),
    default: 0,
    group: 'Server',
    env: ['WORKER_CONNECTIONS'],
    help: 'How many connections one worker may have open. A full worker stops accepting and leaves new ones to the others. 0 means no limit.',
  },
  processes: {
    ...processes(),
    default: {},
    group: 'Server',
    help: 'What runs beside the workers and lives as long as the server, such as a scheduler or a tunnel: groups by name, each with a command or an entry (a file for node), and if need be workers (1), env and grace (gracefulTimeout).',
  },
  standby: {
    ...kinds.count(),
    default: 0,
    group: 'Server',
    help: 'How many booted workers to keep aside, without clients: one of them takes the place of a worker that dies or is replaced, at once. Each costs the memory of a worker, and runs what the app does when it starts. 0 keeps none.',
  },
  nodeArgs: {
    ...kinds.words('flags'),
    default: [],
    group: 'Server',
    help: "Flags for the workers' node, such as --node-args=--max-old-space-size=512. May be repeated.",
  },
  preload: {
    ...kinds.onOff(),
    default: false,
    group: 'Server',
    flags: ['--preload-app'],
    env: ['PRELOAD'],
    help: 'Load the app once in a process of its own before any worker is touched, so that an app that cannot load never replaces one that serves. In a settings file it may be a function, whose result every worker has by preloaded() of nodicorn/app.',
  },
  compileCache: {
    ...kinds.onOff(),
    default: true,
    group: 'Server',
    help: "With preload, on Node 22.8 and newer: keep what V8 makes of the app's code in the user's cache directory, so that workers boot faster. NODE_COMPILE_CACHE, if set, is used as it is.",
  },
  handover: {
    ...kinds.onOff(),
    default: true,
    group: 'Server',
    help: 'Move idle connections (plain HTTP/1.1) from a worker that leaves to one that stays, unseen by their clients. Without it, clients are told to reconnect. Turn it off for an app that remembers something by connection, as NTLM does.',
  },
  rebalance: {
    ...kinds.onOff(),
    default: true,
    group: 'Server',
    help: 'Move idle connections (plain HTTP/1.1) from workers that have many to workers that have few. Needs handover.',
  },
  readyCheck: {
    ...kinds.text('path', 'a path that begins with a slash, such as /healthz', /^(\/|$)/),
    default: '',
    group: 'Server',
    env: ['READY_CHECK'],
    help: 'A path that every new worker is asked for, by itself, before it gets clients: it is ready when the answer is 2xx or 3xx, and is asked again until --boot-timeout. The first HTTP server that listens is asked. When unset, a worker is ready when it listens.',
  },
  waitReady: {
    ...kinds.onOff(),
    default: false,
    group: 'Server',
    env: ['WAIT_READY'],
    help: "A new worker is ready, and gets clients, only when the app calls ready() of nodicorn/app, or process.send('ready') as for PM2's wait_ready.",
  },
  sockets: {
    ...socketOwner,
    default: 'auto',
    group: 'Server',
    help: 'Who owns the listening sockets: "owned" is the master (connections survive the death of a worker), "cluster" is the stock node:cluster, "auto" is owned where Node allows it.',
  },

  socketMode: {
    ...listenKinds.fileMode(),
    default: undefined,
    group: 'Server',
    help: 'The rights of the unix sockets of --bind, as an octal mode such as 660. When unset, --umask decides.',
  },
  socketGroup: {
    ...kinds.account('group'),
    default: '',
    group: 'Server',
    help: 'The group of the unix sockets of --bind, by name or number, such as that of nginx. When unset, they belong to --user and --group, if those are set.',
  },
  proxyProtocol: {
    ...listenKinds.proxyMode(),
    default: 'off',
    without: 'off',
    group: 'Server',
    help: 'Every connection must begin with a header of the PROXY protocol, which says who the client is: v1, v2, or "auto" for either. For a proxy that passes TCP on, such as HAProxy or a cloud load balancer. "on" means "auto".',
  },
  proxyAllowFrom: {
    ...logKinds.networks(),
    default: ['127.0.0.1', '::1'],
    group: 'Server',
    flags: ['--proxy-allow-ips'],
    help: 'Who may connect with --proxy-protocol: addresses and networks of the proxies, such as 10.0.0.0/8, with commas between them; "*" means everybody. Other connections are closed. A proxy that connects by a unix socket always may.',
  },

  certfile: {
    ...kinds.text('file'),
    default: '',
    group: 'TLS',
    help: 'Serve over TLS with the certificate in this PEM file, its chain included. For apps that export a handler. A new certificate is taken when the file changes, without a restart.',
  },
  keyfile: {
    ...kinds.text('file'),
    default: '',
    group: 'TLS',
    help: "The certificate's private key, a PEM file without a passphrase. When unset, it is in --certfile. Only the master reads it.",
  },
  caCerts: {
    ...kinds.text('file'),
    default: '',
    group: 'TLS',
    help: 'The authorities that certificates of clients must come from, a PEM file. Needs --cert-reqs.',
  },
  certReqs: {
    ...listenKinds.certReqs(),
    default: 'none',
    group: 'TLS',
    help: 'Whether clients must show a certificate of --ca-certs: "required" refuses those without, "optional" only those with a bad one. 0, 1 and 2 mean the same as in Gunicorn.',
  },
  ciphers: {
    ...kinds.text('list'),
    default: '',
    group: 'TLS',
    help: "The cipher suites that may be used, as OpenSSL writes them. When unset, Node's own list.",
  },
  tlsMinVersion: {
    ...minVersion,
    default: 'TLSv1.2',
    group: 'TLS',
    help: 'The oldest version of TLS that clients may speak.',
  },
  http2: {
    ...kinds.onOff(),
    default: false,
    group: 'TLS',
    help: 'Offer HTTP/2 over TLS to clients that speak it; the others get HTTP/1.1. Not for Express, which does not work with it, nor for apps that bring a server of their own, such as Fastify.',
  },

  timeout: {
    ...kinds.seconds(),
    default: 30,
    group: 'Timeouts',
    flags: ['-t'],
    env: ['TIMEOUT', 'GUNICORN_TIMEOUT'],
    help: 'How long a request may take, in seconds, before the client gets a 504. 0 turns the limit off. Routes can differ: see routes.',
  },
  stallTimeout: {
    ...kinds.secondsOr('timeout'),
    default: 'timeout',
    group: 'Timeouts',
    help: 'How long the event loop may stand still when no request is past its deadline, in seconds, before the worker is killed and replaced. "timeout" means the same as --timeout; 0 turns the limit off.',
  },
  blocked: {
    ...blocked,
    default: 'kill',
    group: 'Timeouts',
    help: 'What happens to a worker whose event loop a request blocks for too long: "kill" answers its clients and kills it; "interrupt" stops that request\'s code alone, lets the others finish and then replaces the worker. Code that is interrupted does not run its finally blocks.',
  },
  timeoutCeiling: {
    ...kinds.seconds(),
    default: 3600,
    group: 'Timeouts',
    help: 'What a handler may extend its own deadline to, in seconds from the start of its request (extendTimeout of nodicorn/app).',
  },
  routes: {
    ...kinds.routes(),
    default: {},
    group: 'Timeouts',
    help: 'Settings for some requests, by method and path; the first pattern that matches wins, * stands for one segment and ** for any number. Each can have timeout, concurrency (in each worker; more wait), queueTimeout (how long they wait before a 503) and maxBody.',
  },
  timeoutHeader: {
    ...kinds.onOff(),
    default: false,
    group: 'Timeouts',
    help: 'Let every response say which timeout its request has, in seconds, and which of the routes it matched: X-Timeout: 300; route="POST /imports/*". For debugging.',
  },
  slowRatio: {
    ...kinds.ratio(),
    default: 0.5,
    group: 'Timeouts',
    help: 'A request that has used this share of its timeout is logged once as slow. 0 turns it off.',
  },
  alertTimeouts: {
    ...kinds.burst(),
    default: { timeouts: 5, seconds: 60 },
    group: 'Timeouts',
    help: 'So many timeouts in so many seconds are logged as one alert. "0 in 1s" turns it off.',
  },
  alertWebhook: {
    ...kinds.url(),
    default: '',
    group: 'Timeouts',
    help: 'Where alerts are posted to, as JSON.',
  },
  minUploadRate: {
    ...kinds.bytes(),
    default: 240,
    group: 'Timeouts',
    help: 'Bytes a second that a client must send while it uploads, for the time not to count against the request. The first five seconds are free.',
  },
  maxOrphans: {
    ...kinds.count(),
    default: 50,
    group: 'Timeouts',
    help: 'How many handlers may still be running in a worker after their clients got a 504; at so many the worker is replaced. 0 means any number.',
  },
  requestContext: {
    ...kinds.onOff(),
    default: true,
    group: 'Timeouts',
    help: 'Let running code know which request it belongs to. Below Node 24 this makes every await slower (29 to 90 ns); without it, requestSignal(), extendTimeout() and abortFetch do nothing and a blocked loop has no certain culprit.',
  },
  abortFetch: {
    ...kinds.onOff(),
    default: true,
    group: 'Timeouts',
    help: "Let the app's global fetch end with its request: at the deadline, or when the client leaves. An upstream call without a timeout of its own then never outlives its request.",
  },
  gracefulTimeout: {
    ...kinds.seconds(),
    default: 30,
    group: 'Timeouts',
    env: ['GRACEFUL_TIMEOUT', 'GUNICORN_GRACEFUL_TIMEOUT'],
    help: 'How long a worker that is told to stop may take to finish its requests, in seconds; then it is killed. Keep it below the grace period of your platform (10 s in Docker, 30 s in Kubernetes). 0 kills at once.',
  },
  bootTimeout: {
    ...kinds.seconds(),
    default: 60,
    group: 'Timeouts',
    help: 'How long a new worker may take until it is ready, in seconds; then it is killed and counts as failed. 0 turns the limit off.',
  },
  drainIdle: {
    ...kinds.seconds(),
    default: 2,
    group: 'Timeouts',
    help: 'How long an idle keep-alive connection may still send a request to a worker that is stopping, in seconds, before it is closed. 0 closes it at once and can cost a client its request.',
  },
  drainUpgraded: {
    ...kinds.seconds(),
    default: 5,
    group: 'Timeouts',
    help: 'How long WebSockets and other upgraded connections may stay open to a worker that is stopping, in seconds, before they are ended. The app is told at the beginning (onShutdown of nodicorn/app) and can close them itself.',
  },
  preStopDelay: {
    ...kinds.seconds(),
    default: 0,
    group: 'Timeouts',
    help: 'How long to keep serving after the signal to stop, in seconds, so that a load balancer can notice first. 0 means not at all.',
  },
  keepAlive: {
    ...kinds.seconds(),
    default: 75,
    group: 'Timeouts',
    env: ['KEEP_ALIVE', 'GUNICORN_KEEP_ALIVE'],
    help: 'How long an idle connection is kept open for its next request, in seconds. It must be longer than the idle timeout of the load balancer in front (often 60 s). 0 turns keep-alive off, as in Gunicorn: every connection ends with its first response.',
  },
  headersTimeout: {
    ...kinds.seconds(),
    default: 60,
    group: 'Timeouts',
    help: 'How long a client may take to send the headers of a request, in seconds, before it gets a 408. 0 turns the limit off.',
  },

  maxRequests: {
    ...kinds.count(),
    default: 0,
    group: 'Recycling',
    env: ['MAX_REQUESTS', 'GUNICORN_MAX_REQUESTS'],
    help: 'Replace a worker after this many requests, as a remedy for memory leaks. The new one is ready before the old one retires. 0 means never.',
  },
  maxRequestsJitter: {
    ...kinds.count(),
    default: 0,
    group: 'Recycling',
    env: ['MAX_REQUESTS_JITTER', 'GUNICORN_MAX_REQUESTS_JITTER'],
    help: 'Add a random number of requests, up to this one, to --max-requests, so that workers are not all replaced together. 0 adds none.',
  },
  maxMemory: {
    ...memoryLimit(),
    default: 0,
    group: 'Recycling',
    env: ['MAX_MEMORY'],
    help: 'Replace a worker that has had more than this in memory (RSS) at three looks in a row, a second apart. "80%" means that share of what the container or the machine grants, divided by the number of workers (of a range, the largest). Not before a worker is as old as --stable-after. 0 means never.',
  },
  maxLifetime: {
    ...kinds.seconds(),
    default: 0,
    group: 'Recycling',
    env: ['MAX_LIFETIME'],
    help: 'Replace a worker that has been ready for this long, in seconds, such as "6h". 0 means never.',
  },
  maxLifetimeJitter: {
    ...kinds.seconds(),
    default: 0,
    group: 'Recycling',
    env: ['MAX_LIFETIME_JITTER'],
    help: 'Add a random time, up to this one, to --max-lifetime, so that workers are not all replaced together. 0 adds none.',
  },
  crash: {
    ...crashModes,
    default: 'drain',
    group: 'Recycling',
    help: 'What an exception or rejection that nobody caught does: "drain" answers 500 to its request, lets the others finish and replaces the worker; "exit" ends the worker at once, as Node does. An app that listens for uncaughtException or unhandledRejection decides by itself.',
  },
  backoffMax: {
    ...kinds.seconds(),
    default: 30,
    group: 'Recycling',
    help: 'The longest wait before a worker that keeps crashing is started again, in seconds. The waits are 0, 1, 2, 4 and so on up to this. 0 never waits.',
  },
  stableAfter: {
    ...kinds.seconds(),
    default: 10,
    group: 'Recycling',
    help: 'How long a worker must stay up, in seconds, until earlier crashes are forgotten and the waits of --backoff-max begin anew.',
  },

  maxHeaderSize: {
    // Below this, every request would be refused; 0 breaks fetch() in the workers.
    ...kinds.bytes({ min: 1024 }),
    default: 16_384,
    group: 'Limits',
    flags: ['--limit-request-field-size', '--limit-request-field_size'],
    help: "The largest size of a request's headers together, in bytes; more is answered with 431. Raise it for large cookies or tokens.",
  },
  limitRequestFields: {
    ...kinds.count(),
    default: 2000,
    group: 'Limits',
    help: 'The largest number of headers of a request; more is answered with 431. 0 means no limit.',
  },
  limitRequestLine: {
    ...kinds.bytes(),
    default: 0,
    group: 'Limits',
    help: "The longest request line (method, URL and version), in bytes; a longer one is answered with 414. 0 means no limit but --max-header-size's.",
  },
  maxBody: {
    ...kinds.bytes(),
    default: 0,
    group: 'Limits',
    help: 'The largest body of a request, in bytes; more is answered with 413. 0 means no limit.',
  },

  chdir: {
    ...kinds.text('directory', 'an existing directory'),
    default: '',
    group: 'Process',
    help: 'Change to this directory before the app is found and started. The settings file is still looked for where the command was given.',
  },
  env: {
    ...kinds.variables(),
    default: {},
    group: 'Process',
    flags: ['-e'],
    help: "Set a variable in the workers' environment; repeat the flag for several. Values are not shown by `supervisor config`.",
  },
  umask: {
    ...kinds.mask(),
    default: undefined,
    group: 'Process',
    flags: ['-m'],
    help: 'The rights that files made by the workers do not get, as an octal mask such as 0027. When unset, it is inherited.',
  },
  user: {
    ...kinds.account('user'),
    default: '',
    group: 'Process',
    flags: ['-u'],
    help: 'Run the workers as this user, by name or number. The master keeps its rights, so it can bind port 80.',
  },
  group: {
    ...kinds.account('group'),
    default: '',
    group: 'Process',
    flags: ['-g'],
    help: 'Run the workers with this group, by name or number.',
  },
  node: {
    ...kinds.text('program'),
    default: '',
    group: 'Process',
    help: 'The Node that an upgrade (USR2) goes on with: a path, or a name that is looked up in PATH. When unset, the one that the command was started with, looked up again.',
  },
  pidfile: {
    ...kinds.text('file'),
    default: '',
    group: 'Process',
    flags: ['-p', '--pid'],
    help: "Write the master's process id to this file, and remove it at the end. A start is refused while the process in it is alive.",
  },
  controlSocket: {
    ...kinds.text('path'),
    default: 'auto',
    without: 'off',
    group: 'Process',
    help: 'The unix socket by which "supervisor status" and its like reach the server: a path, or "off". "auto" puts it next to the pidfile, or into XDG_RUNTIME_DIR, or else into a directory of its own for temporary files; where that cannot be, there is none.',
  },
  admin: {
    ...adminAddress(),
    default: '',
    without: '',
    group: 'Process',
    help: 'Where the master answers for itself: health checks (/livez, /readyz) and a page about the server, such as 127.0.0.1:9100 or unix:/run/app-admin.sock. Whatever others can reach needs an admin token. Unset, there is none. Read at the start only.',
  },
  adminToken: {
    ...secret(),
    default: '',
    secret: true,
    group: 'Process',
    help: 'What a client of the admin address must know to change something, and beyond loopback to see more than health: Authorization: Bearer TOKEN. Set the variable or the key of the settings file: everybody on the machine can read a command line.',
  },
  minReady: {
    ...kinds.count(),
    default: 1,
    group: 'Process',
    help: 'With fewer workers that are ready and not blocked, /readyz of the admin address answers 503.',
  },
  name: {
    ...kinds.text('name'),
    default: '',
    group: 'Process',
    flags: ['-n', '--proc-name'],
    help: 'The name shown in process titles, as in "supervisor: master [shop]". When unset, it is the name of the file of the app, or of its folder where the file has a common name such as app.js or index.js.',
  },

  jobs: {
    ...jobs(),
    default: undefined,
    group: 'Jobs',
    help: 'Background jobs, an object for the settings file: entry (the file that defines them), workers (processes, 2; the variable NUM_WORKERS wins), concurrency (jobs at a time in each, 2), store ("embedded", redis:// or postgres://; when unset, the variable REDIS_URL, else "embedded"), dataDir (of the embedded store, ./var/jobs), keep (how long finished jobs are kept, "24h"), grace (how long running jobs may take when their process stops, 30 s), dashboard (true or { path }: bull-board at the admin address, /_jobs, for who has the admin token). Without it there are none. They are run by "supervisor jobs".',
  },

  logLevel: {
    ...logLevel,
    default: 'info',
    group: 'Logging',
    env: ['LOG_LEVEL'],
    help: 'The least important lines that are still logged.',
  },
  logFile: {
    ...kinds.text('file'),
    default: '-',
    group: 'Logging',
    flags: ['--error-logfile'],
    help: 'The file that the log is appended to; "-" is standard output.',
  },
  logFormat: {
    ...logFormat,
    default: 'auto',
    group: 'Logging',
    help: '"text" is for people, "json" for machines; "auto" is text on a terminal and JSON elsewhere.',
  },
  accessLog: {
    ...kinds.text('file'),
    default: '',
    group: 'Logging',
    flags: ['--access-logfile'],
    help: 'The file that a line for each request is appended to; "-" is standard output. When unset, requests are not logged.',
  },
  accessLogFormat: {
    ...logKinds.accessFormat(),
    default: 'auto',
    group: 'Logging',
    flags: ['--access-logformat'],
    help: 'How a line of the access log looks: "json", "common", "combined", or a format of Gunicorn such as \'%(h)s "%(r)s" %(s)s\'. "auto" is JSON where the log is, and where the log is text, "combined" and the seconds it took.',
  },
  forwardedAllowIps: {
    ...logKinds.networks(),
    default: ['127.0.0.1', '::1'],
    group: 'Logging',
    env: ['FORWARDED_ALLOW_IPS'],
    help: 'Proxies whose X-Forwarded-For the access log believes: addresses and networks, such as 10.0.0.0/8, with commas between them; "*" believes everybody. A proxy that connects by a unix socket is always believed. What the app sees stays as it is.',
  },
  statsdHost: {
    ...kinds.text('host:port', 'HOST:PORT, such as localhost:8125 or [::1]:8125', HOST_AND_PORT),
    default: '',
    group: 'Logging',
    help: 'The StatsD server that is told once a second what happens, by UDP. When unset, none is.',
  },
  statsdPrefix: {
    ...kinds.text('prefix', 'a text without spaces, ":", "|" and "@"', /^[^\s:|@]*$/),
    default: 'nodicorn',
    group: 'Logging',
    help: 'What the names of metrics begin with for StatsD, as in "nodicorn.requests". With "gunicorn" they are those of Gunicorn.',
  },
  dogstatsdTags: {
    ...kinds.text(
      'tags',
      'tags with commas between them, such as "env:prod,team:web"',
      /^[^\s|#]*$/,
    ),
    default: '',
    group: 'Logging',
    help: 'Tags for every metric that StatsD is told, as DogStatsD understands them: "env:prod,team:web".',
  },
  otlpEndpoint: {
    ...kinds.url(),
    default: '',
    group: 'Logging',
    help: 'The OpenTelemetry collector that gets all metrics every 10 seconds, by OTLP over HTTP, such as http://localhost:4318. When unset, none does.',
  },

  reload: {
    ...kinds.onOff(),
    default: false,
    group: 'Development',
    help: 'Reload when a file changes that the app has loaded, or the settings file; those in node_modules apart. An app that does not start is tried again at the next change. For development. Read at the start only; preload is off with it.',
  },
  reloadExtraFiles: {
    ...kinds.words('glob'),
    default: [],
    group: 'Development',
    flags: ['--reload-extra-file'],
    help: 'Other files whose change makes --reload reload, such as templates: a file, a directory, or a glob such as "views/**/*.html", new files included. Repeat the flag for several.',
  },
  reloadEngine: {
    ...reloadEngine,
    default: 'auto',
    group: 'Development',
    help: 'How --reload notices a change: "auto" and "inotify" hear it from the system, "poll" looks twice a second, for file systems that tell nothing, such as some mounts in a container.',
  },
} satisfies Record<string, Setting>

type Table = typeof settings
export type SettingName = keyof Table

/** What the program works with: durations in seconds, sizes in bytes, everything present. */
export type Settings = {
  readonly [Name in SettingName]: InferOutput<Table[Name]['schema']>
}

/** What a settings file may export; every key may be left out. */
export type ConfigInput = {
  readonly [Name in SettingName]?: InferInput<Table[Name]['schema']> | undefined
}

export const settingNames = Object.keys(settings) as SettingName[]

/** The row of a name, without its exact type: for code that treats all settings alike. */
export const settingRow = (name: SettingName): Setting => settings[name]

export const isSettingName = (name: string): name is SettingName => Object.hasOwn(settings, name)

/** maxRequests -> --max-requests */
export const flagOf = (name: SettingName): string =>
  `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

/** Every spelling of a setting's flag, the implied one first. */
export const flagsOf = (name: SettingName): string[] => [
  flagOf(name),
  ...(settingRow(name).flags ?? []),
]

/** Every variable of a setting, strongest first: SUPERVISOR_MAX_REQUESTS, then the short and Gunicorn's names. */
export const variablesOf = (name: SettingName): string[] => {
  const upper = name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
  return [`SUPERVISOR_${upper}`, ...(settingRow(name).env ?? [])]
}
