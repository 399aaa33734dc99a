// Every request of this worker, from its headers to the end of its response. Runs in every worker.
// Owns the one hook on node's servers: `emit` of net.Server, which http, https and http2 servers all inherit.

import type { IncomingMessage, ServerResponse } from 'node:http'
import net, { type Socket } from 'node:net'
import type {
  Http2ServerRequest,
  Http2ServerResponse,
  Http2Session,
  ServerHttp2Stream,
} from 'node:http2'
import type { WorkerSettings } from '../protocol.ts'
import type { Servers } from './servers.ts'

export type Req = IncomingMessage | Http2ServerRequest
export type Res = ServerResponse | Http2ServerResponse

/** A request in flight. Times are milliseconds of performance.now(). */
export interface Entry {
  readonly req: Req
  readonly res: Res
  readonly startedAt: number
  /** Bytes its connection had sent before it; HTTP/1 only. */
  readonly sentBefore: number
  state: 'running' | 'timed-out'
}

export interface RequestHooks {
  /** Answers the request itself and returns true, if it must not reach the application. */
  refuse(req: Req, res: Res): boolean
  /** A request reached the application. */
  began(entry: Entry): void
  /** Its response is over: finished, or the client left. */
  ended: ((entry: Entry) => void) | undefined
  connected: (() => void) | undefined
  disconnected: (() => void) | undefined
  listening(server: net.Server): void
  /** A server's 'error' event: most often it could not listen. */
  failed(error: NodeJS.ErrnoException): void
}

export class Requests {
  readonly inFlight = new Set<Entry>()
  /** While draining, every response says `Connection: close`, and HTTP/2 sessions say GOAWAY. */
  draining = false
  readonly #servers: Servers
  readonly #settings: WorkerSettings
  readonly #expected = new WeakSet<Res>()
  #hooks!: RequestHooks

  constructor(servers: Servers, settings: WorkerSettings) {
    this.#servers = servers
    this.#settings = settings
  }

  /** From now on, also for the requests in flight whose response has not begun. */
  drain(): void {
    this.draining = true
    for (const { res } of this.inFlight) if (!res.headersSent) sayGoodbye(res, true)
  }

  /** Patches net.Server.prototype.emit. Call once, before the application loads. */
  hook(hooks: RequestHooks): void {
    this.#hooks = hooks
    const emit = net.Server.prototype.emit

    const requests = this
    net.Server.prototype.emit = function (this: net.Server, event: string, a?: never, b?: never) {
      if (event === 'request') {
        if (!requests.#begin(a as unknown as Req, b as unknown as Res)) return true
      } else if (event === 'checkContinue' || event === 'checkExpectation') {
        if (!requests.#expects(a as unknown as Req, b as unknown as Res)) return true
      } else requests.#other(this, event, a, b)
      return Reflect.apply(emit, this, arguments) as boolean
    } as never
  }

  /** An application that listens for these may emit 'request' itself afterwards: it is the same request. */
  #expects(req: Req, res: Res): boolean {
    const goesOn = this.#begin(req, res)
    this.#expected.add(res)
    return goesOn
  }

  #begin(req: Req, res: Res): boolean {
    if (this.#expected.has(res)) return true
    if (this.draining || this.#settings.keepAlive === 0) sayGoodbye(res, this.draining)
    if (this.#hooks.refuse(req, res)) return false
    const entry: Entry = {
      req,
      res,
      startedAt: performance.now(),
      sentBefore: (req.socket as Socket | null)?.bytesWritten ?? 0,
      state: 'running',
    }
    this.inFlight.add(entry)
    res.on('close', () => {
      this.inFlight.delete(entry)
      this.#hooks.ended?.(entry)
    })
    this.#hooks.began(entry)
    return true
  }

  #other(server: net.Server, event: string, a: unknown, b: unknown): void {
    switch (event) {
      case 'connection':
        this.#servers.track(a as net.Socket, this.#hooks.disconnected)
        return this.#hooks.connected?.()
      case 'listening':
        this.#servers.listening.add(server)
        this.#servers.tune(server)
        return this.#hooks.listening(server)
      case 'close':
        this.#servers.listening.delete(server)
        return
      case 'error':
        return this.#hooks.failed(a as NodeJS.ErrnoException)
      case 'session':
        return this.#session(a as Http2Session)
      case 'upgrade':
      case 'connect':
        this.#servers.upgraded.add(b as net.Socket)
    }
  }

  #session(session: Http2Session): void {
    this.#servers.sessions.add(session)
    session.once('close', () => this.#servers.sessions.delete(session))
    if (this.draining) session.close()
  }
}

/** The client is told not to reuse this connection. */
function sayGoodbye(res: Res, leaving: boolean): void {
  if ('shouldKeepAlive' in res) res.shouldKeepAlive = false
  else if (leaving) (res as { stream?: ServerHttp2Stream }).stream?.session?.close()
}
