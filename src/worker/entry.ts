// The first code of a worker, loaded by `node --require` before the application, which is this process's main module:
// puts the worker's parts together. Loaded by require(): no top-level await here or in what it imports.

import cluster from 'node:cluster'
import type { UserError } from '../errors.ts'
import { EXIT_APP_FAILED, EXIT_APP_NOT_FOUND, INIT_VARIABLE, type WorkerInit } from '../protocol.ts'
import { AccessLog } from './access-log.ts'
import { watchApp, type AppWatch } from './app-loader.ts'
import { limitBody } from './body-limit.ts'
import { Channel } from './channel.ts'
import { Deadlines } from './deadlines.ts'
import { Drain } from './drain.ts'
import { dropPrivileges } from './identity.ts'
import { whyRefused } from './limits.ts'
import { adoptSockets, canOwnSockets, hasListened, pretendToListen, watchListen } from './listen.ts'
import { Pool } from './pool.ts'
import { Readiness } from './readiness.ts'
import { answer } from './refuse.ts'
import { Requests, type RequestHooks } from './requests.ts'
import { Servers } from './servers.ts'

function boot(init: WorkerInit): void {
  process.title = init.title
  cluster.worker!.on('error', () => undefined) // EPIPE: the master died while we wrote; 'disconnect' follows
  const channel = new Channel()
  become(init, channel)
  watchListen(channel)
  if (init.mode === 'check') return check(init, channel)
  const servers = new Servers(init.settings, init.explicit)
  const requests = new Requests(servers, init.settings)
  const drain = new Drain({ servers, requests, channel })
  channel.onMessage = (message) => message.type === 'drain' && drain.start(message)
  drain.watchMaster()
  drain.catchSignals(init.settings.drainIdle)
  const readiness = new Readiness(init, channel)
  requests.hook(hooks(init, { channel, servers, requests, drain, readiness }))
  if (init.sockets === 'owned') ownSockets(init, { channel, requests })
  const app = load(init, channel)
  readiness.app = app
  drain.onCleanUp(() => Promise.allSettled(app.onClose.map((close) => close())))
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
  { channel, requests }: Pick<Parts, 'channel' | 'requests'>,
): void {
  if (canOwnSockets()) adoptSockets(channel, settings.backlog, () => requests.draining)
  else
    channel.tell({
      type: 'notice',
      text: `Node ${process.version} has no cluster._getServer: node:cluster hands out connections`,
    })
}

interface Parts {
  channel: Channel
  servers: Servers
  requests: Requests
  drain: Drain
  readiness: Readiness
}

/** What happens to every request, connection and server of this worker. */
function hooks(init: WorkerInit, parts: Parts): RequestHooks {
  const { settings } = init
  const { channel, servers, requests, drain, readiness } = parts
  const deadlines = new Deadlines(requests, channel, settings.timeout)
  const accessLog = settings.accessLog
    ? new AccessLog(settings.accessLog, init.accessLogFormat, init.slot)
    : undefined
  const pool =
    settings.workerConnections > 0 && init.sockets === 'owned'
      ? new Pool(servers, channel, settings)
      : undefined
  const retireAfter = requestsToServe(settings)
  let served = 0
  return {
    refuse(req, res) {
      const refusal = whyRefused(req, settings)
      if (refusal) answer(req, res, refusal.status, refusal.text)
      return refusal !== undefined
    },
    began(entry) {
      deadlines.began()
      if (settings.maxBody > 0) limitBody(entry.req, entry.res, settings.maxBody)
      if (++served === retireAfter) channel.tell({ type: 'retire', reason: 'max-requests' })
    },
    ended: accessLog ? (entry) => accessLog.write(entry) : undefined,
    connected: pool ? () => pool.connected() : undefined,
    disconnected: pool ? () => pool.disconnected() : undefined,
    failed: (error) => tellBindError(channel, error),
    listening(server) {
      drain.listening(server)
      // some applications listen for a moment, to find a free port
      setImmediate(() => server.listening && readiness.listening(server))
    },
  }
}

/** With sockets of our own the master knows; from the stock cluster it hears only through us. The application may yet cope with it. */
function tellBindError(channel: Channel, error: NodeJS.ErrnoException): void {
  const { syscall, code, address, port } = error as BindError
  if (syscall !== 'bind' && syscall !== 'listen') return
  const where = port === undefined ? `unix:${address}` : `${address ?? '*'}:${port}`
  const inUse = code === 'EADDRINUSE'
  const message = inUse
    ? `Connection in use: cannot listen on ${where}: another process has it (EADDRINUSE); stop that process, or pass another --bind`
    : `cannot listen on ${where}: ${code}`
  channel.tell({ type: 'failed', code: inUse ? 'ADDRESS_IN_USE' : 'CANNOT_LISTEN', message })
}

type BindError = NodeJS.ErrnoException & { address?: string; port?: number }

/** Not the same number for every worker, or all of them would be replaced in one go. 0: for ever. */
const requestsToServe = (s: WorkerInit['settings']): number =>
  s.maxRequests > 0 ? s.maxRequests + Math.floor(Math.random() * (s.maxRequestsJitter + 1)) : 0

/** `supervisor check` and preload: load the application in this throw-away process, listen nowhere. */
function check(init: WorkerInit, channel: Channel): void {
  pretendToListen(() => {
    channel.tell({ type: 'loaded' })
    channel.whenQuiet(() => process.exit(0))
  })
  load(init, channel)
}

function load(init: WorkerInit, channel: Channel): AppWatch {
  return watchApp({
    file: init.file,
    ...(init.exportName === undefined ? {} : { exportName: init.exportName }),
    addresses: init.addresses,
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
