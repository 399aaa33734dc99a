// An app of PM2's ecosystem file -> our settings. Pure. Runs in the CLI.
import { shellWords } from '../../shell-words.ts'
import { constant, type Constant, literal } from './expression.ts'
import { nothingYet, put, type Taken } from './taken.ts'

export type App = Readonly<Record<string, unknown>>

/** The apps that an ecosystem file exports: a list, an object with `apps`, or one app. Undefined if it has none. */
export function appsOf(exported: unknown): readonly App[] | undefined {
  const content = isObject(exported) && 'apps' in exported ? exported.apps : exported
  const list = Array.isArray(content) ? (content as unknown[]) : [content]
  const apps = list.filter(isObject).filter(({ script }) => typeof script === 'string')
  return apps.length > 0 && apps.length === list.length ? apps : undefined
}

const isObject = (value: unknown): value is App =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

type Take = (taken: Taken, value: Constant, app: App, source: string) => void

const left =
  (why: string): Take =>
  (taken, _value, _app, source) =>
    void taken.left.push({ source, why })

const LOGS = 'there is one log, on stdout or in logFile, and the output of the app passes through'

/** How each key is taken; those that the start of the app needs are in startOf(). */
const KEYS: Readonly<Record<string, Take>> = {
  name: (taken, value, _, source) => put(taken, 'name', constant(value), source),
  script: () => undefined,
  args: () => undefined,
  cwd: (taken, value, _, source) =>
    put(taken, 'chdir', constant(value), source, [
      'relative to where the server is started; it must exist',
    ]),
  instances,
  exec_mode: (taken, value, app) => {
    if (/^fork/.test(String(value)) && Number(app['instances'] ?? 1) > 1)
      taken.remarks.push(
        'PM2 ran several processes in fork mode, each with a port of its own; here they share one address.',
      )
  },
  max_memory_restart: memory,
  kill_timeout: (taken, value, _, source) =>
    put(taken, 'gracefulTimeout', milliseconds(value), source),
  wait_ready: (taken, value, _, source) => put(taken, 'waitReady', constant(value), source),
  listen_timeout: listenTimeout,
  min_uptime: (taken, value, _, source) => put(taken, 'stableAfter', milliseconds(value), source),
  exp_backoff_restart_delay: left('crashed workers come back after 0, 1, 2, 4 s ...: backoffMax'),
  restart_delay: left('crashed workers come back after 0, 1, 2, 4 s ...: backoffMax'),
  max_restarts: left('it never gives up on a worker; after each crash it only waits longer'),
  autorestart: (taken, value, _, source) => {
    if (value === false) taken.left.push({ source, why: 'a worker that ends is always replaced' })
  },
  env: () => undefined,
  node_args: nodeArgs,
  interpreter_args: nodeArgs,
  interpreter: (taken, value, _, source) => {
    if (!/^(node|none)$/.test(String(value)))
      taken.left.push({ source, why: 'workers run with the Node that runs the server' })
  },
  cron_restart: left('let cron run "supervisor reload" at that time, or set maxLifetime'),
  watch,
  ignore_watch: left('what the app has not loaded is not watched anyway'),
  watch_delay: left('changes are awaited for a moment anyway'),
  user: (taken, value, _, source) => put(taken, 'user', constant(value), source),
  uid: (taken, value, _, source) => put(taken, 'user', constant(value), source),
  gid: (taken, value, _, source) => put(taken, 'group', constant(value), source),
  pid_file: (taken, value, _, source) => put(taken, 'pidfile', constant(value), source),
  log_file: left(LOGS),
  out_file: left(LOGS),
  error_file: left(LOGS),
  merge_logs: left(LOGS),
  combine_logs: left(LOGS),
  log_date_format: left('each line has its time'),
  time: left('each line has its time'),
  log_type: (taken, value, _, source) => put(taken, 'logFormat', constant(value), source),
  increment_var: left('the worker object of nodicorn/app knows the number of its worker'),
  instance_var: left('the worker object of nodicorn/app knows the number of its worker'),
  shutdown_with_message: left('onShutdown() of nodicorn/app tells the app'),
  source_map_support: () => undefined,
}

/** One app. */
export function fromPm2(app: App): Taken {
  const taken = nothingYet()
  taken.remarks.push(`Start it: ${startOf(app)}`)
  for (const [key, value] of Object.entries(app)) {
    const source = `${key}: ${literal(value as Constant)}`
    const take = KEYS[key]
    if (take) take(taken, value as Constant, app, source)
    else if (!key.startsWith('env_'))
      taken.left.push({ source, why: 'there is nothing like it here' })
  }
  takeEnvironment(taken, app)
  return taken
}

/** `supervisor start api.js -- --verbose`, without -c. */
export function startOf(app: App): string {
  const script = String(app['script'] ?? 'app.js')
  const args = app['args']
  const words = Array.isArray(args) ? args.map(String) : (shellWords(String(args ?? '')) ?? [])
  return ['supervisor start', script, ...(words.length > 0 ? ['--', ...words] : [])].join(' ')
}

function instances(taken: Taken, value: Constant, _: App, source: string): void {
  const number = Number(value)
  if (value === 'max' || number === 0) put(taken, 'workers', constant('auto'), source)
  else if (number < 0)
    put(taken, 'workers', constant('auto'), source, [
      `${source} meant that many fewer than there are CPUs; auto is one for each that is granted`,
    ])
  else put(taken, 'workers', constant(number), source)
}

/** `300M` -> 300mb */
function memory(taken: Taken, value: Constant, _: App, source: string): void {
  const text = typeof value === 'string' ? value.trim().toLowerCase() : value
  const size = typeof text === 'string' ? text.replace(/([kmg])b?$/, '$1b') : text
  put(taken, 'maxMemory', constant(size), source, [
    'a worker that has more is replaced when another one is ready',
  ])
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 }

/** Numbers are milliseconds there. */
function milliseconds(value: Constant): ReturnType<typeof constant> {
  const [, digits, unit] = /^(\d+)([smh])$/.exec(String(value)) ?? []
  return constant(digits === undefined ? Number(value) / 1000 : Number(digits) * UNITS[unit!]!)
}

/** PM2 goes on when it is over; we give the worker up. */
function listenTimeout(taken: Taken, value: Constant, _: App, source: string): void {
  const seconds = milliseconds(value)
  if (Number(seconds.value) > 60) put(taken, 'bootTimeout', seconds, source)
  else
    taken.left.push({
      source,
      why: 'PM2 goes on then without the worker, here it is given up: bootTimeout stays 60 s',
    })
}

function nodeArgs(taken: Taken, value: Constant, app: App, source: string): void {
  const given = Array.isArray(value) ? value.map(String) : (shellWords(String(value)) ?? [])
  const more = app['source_map_support'] === true ? ['--enable-source-maps'] : []
  put(taken, 'nodeArgs', constant([...given, ...more]), source)
}

function watch(taken: Taken, value: Constant, _: App, source: string): void {
  if (value === false) return
  put(taken, 'reload', constant(true), source, [
    'for development: files that the app has loaded are watched',
  ])
  if (typeof value === 'string' || Array.isArray(value))
    put(taken, 'reloadExtraFiles', constant(value), source)
}

/** `env`, and what `pm2 start --env NAME` puts over it: here NODE_ENV is NAME. */
function takeEnvironment(taken: Taken, app: App): void {
  const base = plain(app['env'])
  const others = Object.entries(app).filter(([key]) => key.startsWith('env_'))
  if (others.length === 0) {
    if (Object.keys(base).length > 0) put(taken, 'env', constant(base), 'env')
    return
  }
  const named = Object.fromEntries(others.map(([key, value]) => [key.slice(4), plain(value)]))
  const js = [
    '{',
    ...Object.entries(base).map(([key, value]) => `    ${pair(key, value)}`),
    ...Object.entries(named).map(
      ([name, values]) =>
        `    ...(process.env.NODE_ENV === ${literal(name)} && ${literal(values)}),`,
    ),
    '  }',
  ].join('\n')
  taken.entries.set('env', {
    value: { js, binds: 'atom', type: 'other' },
    comments: [
      `NODE_ENV=${Object.keys(named)[0]} supervisor start ... is what pm2 start --env ${Object.keys(named)[0]} was`,
    ],
  })
}

const pair = (key: string, value: Constant): string => literal({ [key]: value }).slice(2, -2) + ','

/** Texts, numbers and booleans; the rest would be no variable. */
const plain = (value: unknown): Record<string, Constant> =>
  isObject(value)
    ? Object.fromEntries(
        Object.entries(value).map(([key, one]) => [
          key,
          typeof one === 'number' || typeof one === 'boolean' ? one : String(one),
        ]),
      )
    : {}
