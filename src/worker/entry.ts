// The first code of a worker, loaded by `node --require` before the application, which is this process's main module:
// puts the worker's parts together. Loaded by require(): no top-level await here or in what it imports.

import cluster from 'node:cluster'
import type { UserError } from '../errors.ts'
import {
  EXIT_APP_FAILED,
  EXIT_APP_NOT_FOUND,
  INIT_VARIABLE,
  SLOT_VARIABLE,
  type WorkerInit,
} from '../protocol.ts'
import { Scoreboard } from '../scoreboard.ts'
import { accessLog } from './access-log.ts'
import { watchApp, type AppWatch } from './app-loader.ts'
import { followRequests } from './abort-fetch.ts'
import { AppMetrics } from './app-metrics.ts'
import { Channel } from './channel.ts'
import {
  flushCompileCache,
  makeCompileCache,
  pruneCompileCaches,
  useCompileCache,
} from './compile-cache.ts'
import { storage } from './context.ts'
import { Drain } from './drain.ts'
import { Handover } from './handover.ts'
import { Interrupts } from './interruptible.ts'
import { dropPrivileges } from './identity.ts'
import { adoptSockets, canOwnSockets, hasListened, pretendToListen, watchListen } from './listen.ts'
import { hookSlot } from './hook-slot.ts'
import { requestHooks, type Parts } from './hooks.ts'
import { reportModules } from './module-reports.ts'
import { forgiveOwnAborts } from './own-aborts.ts'
import { readPreloaded } from './preloaded.ts'
import { Readiness } from './readiness.ts'
import { Requests } from './requests.ts'
import { Servers } from './servers.ts'
import { Shutdown } from './shutdown.ts'
import { Standing } from './standing.ts'
import { Statistics } from '../statistics.ts'
import { Tls } from './tls.ts'
import { Uncaught } from './uncaught.ts'
import { startWatchdog } from './watchdog-host.ts'

function boot(init: WorkerInit): void {
  process.title = init.title
  cluster.worker!.on('error', () => undefined) // EPIPE: the master died while we wrote; 'disconnect' follows
  const channel = new Channel()
  if (init.reportsModules) process.env = reportModules(channel, init.file, process.env)
  become(init, channel)
  watchListen(channel)
  const standing = new Standing(init)
  const hooks = hookSlot(init, channel, standing, (error) => giveUp(channel, error))
  const tls = tlsOf(init, channel)
  if (init.mode === 'check') return check(init, channel, tls)
  if (init.preloaded && !readPreloaded()) process.exit(EXIT_APP_FAILED)
  if (typeof init.compileCache === 'object') useCompileCache(init.compileCache.directory)
  serve(init, { channel, standing, hooks, tls })
}

function serve(
  init: WorkerInit,
  { channel, standing, hooks, tls }: Pick<Parts, 'channel' | 'standing' | 'hooks' | 'tls'>,
): void {
  const servers = new Servers(init.settings, init.explicit)
  const { keepAlive, requestContext, abortFetch } = init.settings
  const requests = new Requests(servers, keepAlive > 0, requestContext ? storage : undefined)
  const routes = Object.keys(init.settings.routes).length
  const memory = { board: new Scoreboard(), statistics: new Statistics(routes) }
  const handover = new Handover(servers, channel, init.settings)
  const shutdown = new Shutdown((thrown) =>
    channel.tell({ type: 'hook-failed', hook: 'onShutdown', ...thrown }),
  )
  const drain = new Drain({ servers, requests, channel, handover, hooks, shutdown })
  const log = accessLog(init, { channel, standing, requests, drain, env: process.env })
  channel.onMessage = (message, handle) => {
    if (message.type === 'drain') drain.start(message)
    else if (message.type === 'promote') promote(message, standing, readiness)
    else if (message.type === 'reopen') log?.reopen()
    else if (message.type === 'metrics') void metrics.tell()
    else if (message.type === 'credentials') tls?.use(message)
    else handover.hear(message, handle)
  }
  drain.watchMaster()
  drain.catchSignals(init.settings)
  const uncaught = new Uncaught(channel, requests)
  const own = { channel, standing, tls }
  const interrupts = new Interrupts(init.settings, channel)
  const readiness = new Readiness(init, own, {
    booted: () => watch(memory, init, interrupts, channel),
    ready() {
      handover.changed()
      if (init.settings.crash === 'drain') uncaught.watch()
      setImmediate(() => hooks.postWorkerInit?.())
    },
    refused: (error) => giveUp(channel, error),
  })
  const metrics = new AppMetrics(channel)
  const all = { ...own, servers, requests, drain, handover, readiness, shutdown, ...memory }
  requests.hook(requestHooks(init, { ...all, hooks, log, metrics }))
  forgiveOwnAborts()
  if (requestContext && abortFetch) followRequests()
  if (init.sockets === 'owned') ownSockets(init, { channel, requests })
  const app = load(init, channel, tls)
  readiness.app = app
  drain.onCleanUp(() => metrics.tellLast())
  drain.onCleanUp(() => Promise.allSettled(app.onClose.map((close) => close())))
}

/** The loop must not end while it waits for the certificate. */
function tlsOf({ tls, settings }: WorkerInit, channel: Channel): Tls | undefined {
  if (!tls) return undefined
  channel.keepAlive()
  const made = new Tls(tls, settings, (text) => channel.tell({ type: 'notice', text }))
  channel.onMessage = (message) => message.type === 'credentials' && made.use(message)
  return made
}

function promote(
  { slot, title }: { slot: number; title: string },
  standing: Standing,
  readiness: Readiness,
): void {
  process.env[SLOT_VARIABLE] = String(slot)
  process.title = title
  standing.promote(slot)
  readiness.promoted()
}

/** Not before the worker has booted: a boot has its own limit, and the thread would slow it down. */
function watch(
  { board, statistics }: Pick<Parts, 'board' | 'statistics'>,
  { settings }: WorkerInit,
  interrupts: Interrupts,
  channel: Channel,
): void {
  const { stallTimeout, timeout } = settings
  const seconds = stallTimeout === 'timeout' ? timeout : stallTimeout
  startWatchdog(board, statistics, seconds, interrupts, ({ message }) =>
    channel.tell({
      type: 'notice',
      text: `Worker ${process.pid} has no watchdog, a blocked event loop stays blocked: ${message}`,
    }),
  )
}

function become({ settings }: WorkerInit, channel: Channel): void {
  try {
    dropPrivileges(settings.user, settings.group)
  } catch (error) {
    const who = [
      settings.user && `--user ${settings.user}`,
      settings.group && `--group ${settings.group}`,
    ]
    const message = `cannot run workers as ${who.filter(Boolean).join(', ')}: ${(error as Error).message}`
    giveUp(channel, { code: 'NO_PERMISSION', message })
  }
}

function ownSockets(
  { settings }: WorkerInit,
  { channel, requests }: { channel: Channel; requests: Requests },
): void {
  if (canOwnSockets()) adoptSockets(channel, settings.backlog, () => requests.draining)
  else
    channel.tell({
      type: 'notice',
      text: `Node ${process.version} has no cluster._getServer: node:cluster hands out connections`,
    })
}

/**
 * `supervisor check` and preload: load the application in this throw-away process, listen nowhere. What follows its listen()
 * in the same tick is part of it. The old caches are removed when nobody waits any more.
 */
function check(init: WorkerInit, channel: Channel, tls: Tls | undefined): void {
  const compileCache = init.compileCache && makeCompileCache(init.file, process.env)
  let whenLoaded: NodeJS.Immediate | undefined
  pretendToListen((server) => {
    const fault = app.addressesServed === 0 && tls?.faultOf(server)
    if (fault) return giveUp(channel, fault)
    whenLoaded ??= setImmediate(() => {
      if (compileCache) flushCompileCache()
      channel.tell({ type: 'loaded', ...(compileCache && { compileCache }) })
      channel.whenQuiet(() => {
        if (compileCache) pruneCompileCaches(compileCache)
        process.exit(0)
      })
    })
  })
  const app = load(init, channel, tls)
}

function load(init: WorkerInit, channel: Channel, tls: Tls | undefined): AppWatch {
  return watchApp({
    file: init.file,
    ...(init.exportName === undefined ? {} : { exportName: init.exportName }),
    addresses: init.addresses,
    tls,
    backlog: init.settings.backlog,
    hasListened,
    onFailure: (error) => giveUp(channel, error),
  })
}

/** The application can't be served: says why and ends with the status that means so. */
function giveUp(channel: Channel, error: Pick<UserError, 'code' | 'message'>): void {
  channel.tell({ type: 'failed', code: error.code, message: error.message })
  channel.whenQuiet(() =>
    process.exit(error.code === 'APP_NOT_FOUND' ? EXIT_APP_NOT_FOUND : EXIT_APP_FAILED),
  )
}

// What the application starts, threads too, inherits its flags, and so this file, but not this variable.
const text = process.env[INIT_VARIABLE]
delete process.env[INIT_VARIABLE]
if (text !== undefined && cluster.isWorker) boot(JSON.parse(text) as WorkerInit)
