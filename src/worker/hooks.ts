// What happens to every request and connection of a worker: the parts in their order. Runs in every worker.

import type net from 'node:net'
import type { WorkerInit } from '../protocol.ts'
import { ProxyProtocol } from './proxy-protocol.ts'
import { Router, type Route } from '../routes.ts'
import type { Scoreboard } from '../scoreboard.ts'
import type { Statistics } from '../statistics.ts'
import type { AccessLog } from './access-log.ts'
import type { AppMetrics } from './app-metrics.ts'
import { tellBindError } from './bind-error.ts'
import { limitBody } from './body-limit.ts'
import type { Channel } from './channel.ts'
import { offerRuntime, storage } from './context.ts'
import { Deadlines } from './deadlines.ts'
import type { Drain } from './drain.ts'
import type { Handover } from './handover.ts'
import type { HookSlot } from './hook-slot.ts'
import { whyRefused } from './limits.ts'
import { Pool } from './pool.ts'
import type { Readiness } from './readiness.ts'
import { answer } from './refuse.ts'
import { Entry, Limits } from './request-entry.ts'
import type { Req, RequestHooks, Requests, Res } from './requests.ts'
import { stampTimeout } from './sent-headers.ts'
import type { Servers } from './servers.ts'
import type { Shutdown } from './shutdown.ts'
import type { Standing } from './standing.ts'
import type { Tls } from './tls.ts'
import { Tracker } from './tracker.ts'
import { Turnstile } from './turnstile.ts'

export interface Parts {
  readonly channel: Channel
  readonly servers: Servers
  readonly requests: Requests
  readonly drain: Drain
  readonly handover: Handover
  readonly readiness: Readiness
  readonly shutdown: Shutdown
  readonly board: Scoreboard
  readonly statistics: Statistics
  readonly hooks: HookSlot
  readonly standing: Standing
  readonly log: AccessLog | undefined
  readonly metrics: AppMetrics
  readonly tls: Tls | undefined
}

export function requestHooks(init: WorkerInit, parts: Parts): RequestHooks {
  const { settings } = init
  const { channel, servers, handover, readiness, hooks, log } = parts
  const tracker = trackerOf(parts, settings.timeoutCeiling)
  const deadlines = new Deadlines({ ...parts, tracker }, settings)
  const router = new Router(settings.routes)
  const limitsOf = limits(settings.timeout)
  const turnstile = new Turnstile((entry) => tracker.timed(entry))
  const pool = usesPool(init) ? new Pool(servers, channel, settings) : undefined
  const count = counter(settings, parts)
  return {
    begin(req, res) {
      const route = router.isEmpty ? undefined : router.match(req.method ?? '', req.url ?? '')
      const entry = new Entry(req, res, limitsOf(route))
      log?.began(req, res)
      if (settings.timeoutHeader) stampTimeout(entry)
      if (refuses(req, res, settings, route?.maxBody ?? settings.maxBody))
        return letGo(entry, parts)
      tracker.began(entry)
      deadlines.began(entry.startedAt)
      hooks.preRequest?.(entry)
      count()
      return entry
    },
    admit: (entry, go) => admit(turnstile, log, entry, go),
    ended(entry) {
      tracker.ended(entry)
      turnstile.left(entry)
      handover.look()
      log?.write(entry)
      tally(parts.statistics, entry)
      hooks.postRequest?.(entry)
    },
    ...proxyHooks(settings, parts),
    connected(server, socket) {
      tracker.connected(server, socket)
      handover.connected(socket)
      if (readiness.isReady) pool?.connected() // or it would leave, and come back, before its time
    },
    disconnected(socket) {
      tracker.disconnected(socket)
      handover.changed()
      pool?.disconnected()
    },
    upgraded: (socket) => tracker.upgraded(socket),
    failed: (error) => tellBindError(channel, error),
    listening: (server) => listens(parts, server),
  }
}

function trackerOf(parts: Parts, ceiling: number): Tracker {
  const tracker = new Tracker(parts.board)
  tracker.hookResponses((entry) => parts.requests.over(entry))
  offerContext(tracker, parts, ceiling)
  return tracker
}

function proxyHooks(
  settings: WorkerInit['settings'],
  { channel, servers }: Parts,
): Pick<RequestHooks, 'holds' | 'secured'> {
  const { proxyProtocol: mode } = settings
  if (mode === 'off') return {}
  const proxies = new ProxyProtocol(mode, settings, channel, (socket) => servers.again(socket))
  return {
    holds: (server, socket, pass) => proxies.holds(server, socket, pass),
    secured: (socket) => proxies.secured(socket),
  }
}

/** It has been answered: nobody tracks it. */
function letGo(entry: Entry, { statistics, log }: Parts): undefined {
  tally(statistics, entry)
  if (!log) return entry.release() as undefined
  log.writeAtEnd(entry)
  entry.res.on('close', () => entry.release())
}

/** The same limits for all requests of a route: they would be a good part of what a request weighs. */
function limits(timeout: number): (route: Route | undefined) => Limits {
  const unrouted = new Limits(undefined, timeout)
  const known = new Map<Route, Limits>()
  return (route) => {
    if (route === undefined) return unrouted
    const limits = known.get(route) ?? new Limits(route, route.timeout ?? timeout)
    known.set(route, limits)
    return limits
  }
}

const admit = (gate: Turnstile, log: Parts['log'], entry: Entry, go: () => void): void =>
  log ? log.timing(entry, go, (letIn) => gate.admit(entry, letIn)) : gate.admit(entry, go)

function listens({ drain, handover, readiness }: Parts, server: net.Server): void {
  drain.listening(server)
  handover.listening(server)
  // some applications listen for a moment, to find a free port
  setImmediate(() => server.listening && readiness.listening(server))
}

/** For `nodicorn/app`. */
const offerContext = (
  tracker: Tracker,
  { readiness, shutdown, standing, metrics }: Parts,
  ceiling: number,
): void =>
  offerRuntime({
    current: () => storage.getStore(),
    notReady: () => readiness.notReady(),
    ready: () => readiness.ready(),
    onShutdown: (listener) => shutdown.add(listener),
    exposeMetrics: (registry) => metrics.expose(registry),
    standing,
    extend(seconds) {
      const entry = storage.getStore()
      if (!entry) return
      entry.extend(seconds, ceiling)
      tracker.timed(entry)
    },
  })

function refuses(req: Req, res: Res, settings: WorkerInit['settings'], maxBody: number): boolean {
  const refusal = whyRefused(req, settings, maxBody)
  if (refusal) answer(req, res, refusal.status, `${refusal.text}\n`)
  else if (maxBody > 0) limitBody(req, res, maxBody)
  return refusal !== undefined
}

/** A response that has not begun will not: its client has left. */
const tally = (statistics: Statistics, { method, route, res, startedAt }: Entry): void =>
  statistics.count(
    method,
    route?.index ?? -1,
    res.headersSent ? res.statusCode : 0,
    performance.now() - startedAt,
  )

const usesPool = ({ settings, sockets }: WorkerInit): boolean =>
  settings.workerConnections > 0 && sockets === 'owned'

/** To be called for each request: at the last one the worker asks for its replacement. */
function counter(settings: WorkerInit['settings'], { channel, readiness }: Parts): () => void {
  const retireAfter = requestsToServe(settings)
  let served = 0
  return () => {
    if (readiness.isReady && ++served === retireAfter)
      channel.tell({ type: 'recycle', reason: 'max-requests', requests: served })
  }
}

/** Not the same number for every worker, or all of them would be replaced in one go. 0: for ever. */
const requestsToServe = (s: WorkerInit['settings']): number =>
  s.maxRequests > 0 ? s.maxRequests + Math.floor(Math.random() * (s.maxRequestsJitter + 1)) : 0
