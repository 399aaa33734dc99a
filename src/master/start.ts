// Puts a master together and runs it: working directory, pidfile, log, sockets, signals. Runs in the master.

import { fs } from '../builtin.ts'
import { resolveWorkers } from '../cgroup.ts'
import type { Config, StartRequest } from '../config.ts'
import { UserError } from '../errors.ts'
import { Log, isReadable } from '../log.ts'
import { packageJson } from '../paths.ts'
import { checkIdentity } from './identity.ts'
import type { MasterOptions, ReadyFacts } from './inputs.ts'
import { Master } from './master.ts'
import { Pidfile } from './pidfile.ts'
import { listenToSignals, type Order } from './signals.ts'
import { canOwnSockets } from './sockets.ts'
import { mendRoundRobin } from './stock-cluster.ts'
import { appName, type Birth } from './worker-init.ts'

/** Loading pino takes as long as half a boot: it waits until the workers are ready, but no longer than this, ms. */
const LOG_MS = 150

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
  const running = await startMaster(request)
  return running.finished
}

/** Starts the server. Rejects with a UserError if it can't even try: pidfile in use, no right to the user, log not writable. */
export async function startMaster(request: StartRequest): Promise<Running> {
  const { config } = request
  const name = config.settings.name || appName(request.file)
  const log = new Log()
  log.event('starting', { version: version(), node: process.version })
  process.title = `supervisor: master [${name}]`
  enterDirectory(config)
  checkIdentity(config.settings.user, config.settings.group)
  log.check(config.settings)
  if (config.settings.preload) await preload(request, config)
  const pidfile = config.settings.pidfile ? new Pidfile(config.settings.pidfile) : undefined
  pidfile?.write()
  surviveClosedStderr()
  for (const text of config.notes) log.event('note', { text })
  if (!config.settings.requestContext) log.event('noRequestContext', {})
  const sockets = chooseSockets(config, log)
  return run(request, { request, name, sockets }, log, pidfile)
}

/** An application that does not load never gets near a worker. */
async function preload(request: StartRequest, config: Config): Promise<void> {
  const { tryApp } = await import('./check.ts')
  const error = await tryApp({ ...request, config })
  if (error) throw error
}

function run(
  request: StartRequest,
  birth: Omit<Birth, 'config'>,
  log: Log,
  pidfile?: Pidfile,
): Running {
  const ready = deferred<void>()
  ready.promise.catch(() => undefined) // nobody need wait for it: the log and `finished` tell as well
  const finished = deferred<number>()
  const openLog = (): void => {
    clearTimeout(opening)
    log.open(request.config.settings)
  }
  const master = new Master({
    ...basics(request, birth, log),
    onReady: (facts) => {
      openLog()
      sayReady(log, request.config, facts)
      ready.resolve()
    },
    onEnd: (failure, killed) => {
      ignoreSignals()
      openLog()
      pidfile?.remove()
      const exit = failure?.exit ?? (killed > 0 ? 1 : 0)
      if (failure) log.event('startFailed', { error: failure.message, exit })
      ready.reject(failure ?? new UserError('APP_FAILED', 'stopped before it was ready'))
      void log.close().then(() => finished.resolve(exit))
    },
  })
  const order = (order: Order, name: string): void => master.post({ type: 'order', order, name })
  const ignoreSignals = listenToSignals(order)
  master.start()
  const opening = setTimeout(openLog, LOG_MS)
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

function basics(
  request: StartRequest,
  birth: Omit<Birth, 'config'>,
  log: Log,
): Omit<MasterOptions, 'onReady' | 'onEnd'> {
  let { requestContext } = request.config.settings
  return {
    birth,
    config: request.config,
    log,
    target: ({ settings }) => resolveWorkers(settings.workers),
    loadAgain: async () => {
      const next = await request.loadAgain()
      log.check(next.settings)
      if (next.settings.preload) await preload(request, next)
      return next
    },
    onConfig: ({ settings, notes }) => {
      if (requestContext && !settings.requestContext) log.event('noRequestContext', {})
      requestContext = settings.requestContext
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
