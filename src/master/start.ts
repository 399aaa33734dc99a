// Puts a master together and runs it: working directory, pidfile, log, sockets, signals. Runs in the master.

import { fs } from '../builtin.ts'
import { resolveWorkers } from '../cgroup.ts'
import type { Config, StartRequest } from '../config.ts'
import { UserError } from '../errors.ts'
import type { HookServer } from '../hooks.ts'
import { Log, isReadable } from '../log.ts'
import { packageJson } from '../paths.ts'
import { checkIdentity } from './identity.ts'
import type { MasterOptions, ReadyFacts } from './inputs.ts'
import { MasterHooks } from './master-hooks.ts'
import { Master } from './master.ts'
import { Pidfile } from './pidfile.ts'
import { listenToSignals, type Order } from './signals.ts'
import { canOwnSockets } from './sockets.ts'
import { mendRoundRobin } from './stock-cluster.ts'
import { appName, type Birth } from './worker-init.ts'

/** The end of the server waits for its last hook so long. */
const ON_EXIT_SECONDS = 10

/** A server that runs. */
export interface Running {
  /** Of the workers that serve, or will when they have booted. */
  pids(): number[]
  /** Where it listens: `http://127.0.0.1:8000`, `unix:/run/app.sock`. */
  urls(): string[]
  reload(): void
  /** Graceful: requests in flight finish. Resolves like `finished`. */
  stop(): Promise<number>
  /** All workers are ready; rejects with a UserError when they can't be. */
  readonly ready: Promise<void>
  /** The exit status, when everything is gone: 0 clean, 1 something had to be killed, 3 or 4 the application's fault. */
  readonly finished: Promise<number>
}

/** For the CLI: runs until stopped and answers the exit status. Errors are in the log. */
export async function runMaster(request: StartRequest): Promise<number> {
  const running = await startMaster(request, 'ours')
  return running.finished
}

/**
 * Starts the server. Rejects with a UserError if it can't even try: pidfile in use, no right to the user, log not writable.
 * `owner`: whose process it is, the command's or that of a program that uses the library.
 */
export async function startMaster(
  request: StartRequest,
  owner: 'ours' | 'callers' = 'callers',
): Promise<Running> {
  const { config } = request
  const name = config.settings.name || appName(request.file)
  const log = new Log()
  log.event('starting', { version: version(), node: process.version })
  process.title = `supervisor: master [${name}]`
  enterDirectory(config)
  checkIdentity(config.settings.user, config.settings.group)
  log.check(config.settings)
  if (preloads(config)) await preload(request, config)
  const pidfile = config.settings.pidfile ? new Pidfile(config.settings.pidfile) : undefined
  pidfile?.write()
  surviveClosedStderr()
  for (const text of config.notes) log.event('note', { text })
  if (!config.settings.requestContext) log.event('noRequestContext', {})
  const sockets = chooseSockets(config, log)
  const birth = { request, name, sockets } satisfies Omit<Birth, 'config'>
  const makeMaster = await masterFor(config, config.settings.chdir || request.directory)
  return run(request, birth, { log, hooks: new MasterHooks(log, owner), pidfile, makeMaster })
}

async function masterFor({ settings }: Config, directory: string): Promise<Parts['makeMaster']> {
  if (!settings.reload) return (options) => new Master(options)
  const { PatientMaster } = await import('./patient-master.ts')
  return (options) => new PatientMaster(options, directory)
}

/** Who changes code needs to see it fail, and to go on from there: with `reload`, that is told by a worker. */
const preloads = ({ settings }: Config): boolean => settings.preload && !settings.reload

/** An application that does not load never gets near a worker. */
async function preload(request: StartRequest, config: Config): Promise<void> {
  const { tryApp } = await import('./check.ts')
  const error = await tryApp({ ...request, config })
  if (error) throw error
}

interface Parts {
  readonly log: Log
  readonly hooks: MasterHooks
  readonly pidfile: Pidfile | undefined
  readonly makeMaster: (options: MasterOptions) => Pick<Master, 'start' | 'post' | 'pids' | 'urls'>
}

function run(request: StartRequest, birth: Omit<Birth, 'config'>, parts: Parts): Running {
  const { log, hooks, pidfile } = parts
  const server = { name: birth.name, pid: process.pid }
  const ready = deferred<void>()
  ready.promise.catch(() => undefined) // nobody need wait for it: the log and `finished` tell as well
  const finished = deferred<number>()
  const master = parts.makeMaster({
    ...basics(request, birth, parts),
    onReady: (facts) => {
      log.open(request.config.settings)
      sayReady(log, request.config, facts)
      hooks.run('whenReady', { ...server, ...facts })
      ready.resolve()
    },
    onEnd: (failure, killed) => {
      ignoreSignals()
      log.open(request.config.settings)
      pidfile?.remove()
      const exit = failure?.exit ?? (killed > 0 ? 1 : 0)
      if (failure) log.event('startFailed', { error: failure.message, exit })
      ready.reject(failure ?? new UserError('APP_FAILED', 'stopped before it was ready'))
      void hooks
        .settle('onExit', { ...server, exit, killed, error: failure?.message }, ON_EXIT_SECONDS)
        .then(() => log.close())
        .then(() => finished.resolve(exit))
    },
  })
  const stopped = new AbortController()
  const order = (order: Order, name: string): void => {
    const post = (): void => master.post({ type: 'order', order, name })
    if (order !== 'stop' && order !== 'quick-stop') return void Promise.resolve(begun).then(post)
    post()
    stopped.abort()
  }
  const ignoreSignals = listenToSignals(order)
  log.openSoon(request.config.settings)
  const begun = begin(master, request.config, { ...parts, server, stopped: stopped.signal })
  return {
    pids: () => master.pids,
    urls: () => master.urls,
    reload: () => order('reload', 'reload()'),
    stop: () => {
      order('stop', 'stop()')
      return finished.promise
    },
    ready: ready.promise,
    finished: finished.promise,
  }
}

/** Starts the workers, after onStarting if there is that: then it answers when. `stopped` ends the wait for it. */
function begin(
  master: ReturnType<Parts['makeMaster']>,
  config: Config,
  { hooks, server, stopped }: Parts & { server: HookServer; stopped: AbortSignal },
): Promise<void> | undefined {
  const workers = workersOf(config)
  const start = (): void => {
    hooks.run('nworkersChanged', { from: undefined, to: workers })
    master.start()
  }
  hooks.use(config.hooks)
  if (!hooks.has('onStarting')) {
    start()
    return undefined
  }
  const facts = { ...server, version: version(), workers }
  return hooks.settle('onStarting', facts, config.settings.bootTimeout, stopped).then(start)
}

const workersOf = ({ settings }: Config): number => resolveWorkers(settings.workers)

function basics(
  request: StartRequest,
  birth: Omit<Birth, 'config'>,
  { log, hooks }: Parts,
): Omit<MasterOptions, 'onReady' | 'onEnd'> {
  let { requestContext } = request.config.settings
  return {
    birth,
    config: request.config,
    log,
    hooks,
    target: workersOf,
    loadAgain: async () => {
      const next = await request.loadAgain()
      log.check(next.settings)
      if (preloads(next)) await preload(request, next)
      return next
    },
    onConfig: (config) => {
      const { settings, notes } = config
      if (requestContext && !settings.requestContext) log.event('noRequestContext', {})
      requestContext = settings.requestContext
      hooks.use(config.hooks)
      if (settings.umask !== undefined) process.umask(settings.umask)
      log.change(settings)
      for (const text of notes) log.event('note', { text })
    },
  }
}

function sayReady(log: Log, config: Config, facts: ReadyFacts): void {
  log.event('serverReady', facts)
  const [url] = facts.urls
  if (url && isReadable(config.settings)) log.event('tryThis', { url: reachable(url) })
}

/** Nobody can open an address that means all of them. */
const reachable = (url: string): string =>
  url.replace(/^(https?:\/\/)(\[::\]|0\.0\.0\.0)(?=:)/, '$1localhost')

/** EPIPE, EIO: whoever read our stderr left, or the terminal is gone; serving goes on. */
const surviveClosedStderr = (): void => void process.stderr.on('error', () => undefined)

function enterDirectory({ settings }: Config): void {
  if (settings.umask !== undefined) process.umask(settings.umask)
  if (!settings.chdir) return
  try {
    process.chdir(settings.chdir)
  } catch (error) {
    throw new UserError(
      'NO_PERMISSION',
      `cannot enter ${settings.chdir} (--chdir): ${(error as Error).message}`,
    )
  }
}

function chooseSockets({ settings }: Config, log: Log): 'owned' | 'cluster' {
  if (settings.sockets !== 'cluster' && canOwnSockets()) return 'owned'
  if (settings.sockets !== 'cluster')
    log.event('warning', {
      text: `Node ${process.version} does not let the master own the listening sockets; node:cluster's round robin takes over, and the port is closed while no worker lives`,
    })
  mendRoundRobin()
  return 'cluster'
}

export const version = (): string =>
  (
    JSON.parse(fs.readFileSync(packageJson, 'utf8')) as {
      version: string
    }
  ).version

function deferred<T>() {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
