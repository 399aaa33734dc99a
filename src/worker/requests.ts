// Every request of this worker, from its headers to the end of its response. Runs in every worker.
// Owns the one hook on node's servers: `emit` of net.Server, which http, https and http2 servers all inherit.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type {
  Http2ServerRequest,
  Http2ServerResponse,
  Http2Session,
  ServerHttp2Stream,
} from 'node:http2'
import net from 'node:net'
import { bind, followBodies, type Enter } from './body-context.ts'
import { forgetWhenIdle } from './idle-context.ts'
import { InFlight } from './in-flight.ts'
import type { TLSSocket } from 'node:tls'
import { allInLine, isBeingParsed, isInLine, lineOf, standsIn } from './line.ts'
import type { Entry } from './request-entry.ts'
import { linger } from './refuse.ts'
import type { Servers } from './servers.ts'
import { asRequest } from './stream-request.ts'

export type Req = IncomingMessage | Http2ServerRequest
export type Res = ServerResponse | Http2ServerResponse

/** Where a response has its entry, if its connection does not know it. */
const ENTRY = Symbol('nodicorn.entry')
type Marked = Res & { [ENTRY]?: Entry }

export interface RequestHooks {
  /** A request's headers are here. Undefined: it was answered already and must not reach the application. */
  begin(req: Req, res: Res): Entry | undefined
  /** `go` passes the request to the application, now or when there is room for it. */
  admit(entry: Entry, go: () => void): void
  /** Its response is over: finished, or the client left. */
  ended(entry: Entry): void
  connected(server: net.Server, socket: net.Socket): void
  /** True: the server gets the connection later, by `pass`, or never. Undefined without `proxyProtocol`. */
  holds?(server: net.Server, socket: net.Socket, pass: () => void): boolean
  secured?(socket: TLSSocket): void
  disconnected(socket: net.Socket): void
  upgraded(socket: net.Socket): void
  listening(server: net.Server): void
  /** A server's 'error' event: most often it could not listen. */
  failed(error: NodeJS.ErrnoException): void
}

export class Requests {
  readonly inFlight = new InFlight()
  /** While draining, responses say `Connection: close`, and HTTP/2 sessions say GOAWAY. */
  draining = false
  #stays: (socket: net.Socket) => boolean = () => false
  /** The application has just been called with it; if that throws, the async context is lost before anybody is asked. */
  passing: Entry | undefined
  readonly #servers: Servers
  readonly #keepAlive: boolean
  readonly #context: AsyncLocalStorage<Entry> | undefined
  /** For each connection with a pipeline: what ends its requests. */
  readonly #lines = new WeakMap<net.Socket, Set<Entry>>()
  #hooks!: RequestHooks
  readonly #emit = net.Server.prototype.emit as Emit

  /** `context`: what tells running code its request; undefined without `requestContext`. */
  constructor(servers: Servers, keepAlive: boolean, context: AsyncLocalStorage<Entry> | undefined) {
    this.#servers = servers
    this.#keepAlive = keepAlive
    this.#context = context
  }

  /** From now on, also for the requests in flight whose response has not begun; but not where the connection `stays`. */
  drain(stays: (socket: net.Socket) => boolean): void {
    this.draining = true
    this.#stays = stays
    // of a pipeline only the last one: what is behind a `Connection: close` would never be answered
    const last = new Map([...this.inFlight].map((entry) => [entry.req.socket ?? entry.res, entry]))
    for (const { req, res } of last.values())
      if ((!res.headersSent || isHttp2(req)) && this.#isLast(req)) sayGoodbye(req, res, true)
  }

  #isLast(req: Req): boolean {
    return this.draining && (isHttp2(req) || !this.#stays(req.socket as net.Socket))
  }

  /** While draining, a pipeline went on. */
  #takeBackGoodbye(socket: net.Socket): void {
    for (const { req, res } of this.inFlight)
      if (req.socket === socket && 'shouldKeepAlive' in res) res.shouldKeepAlive = true
  }

  /** Patches net.Server.prototype.emit. Call once, before the application loads. */
  hook(hooks: RequestHooks): void {
    this.#hooks = hooks
    const emit = this.#emit
    const requests = this
    if (this.#context) {
      followBodies(this.#context, this.#enter)
      forgetWhenIdle(this.#context, this.#servers)
    }
    net.Server.prototype.emit = function (this: net.Server, event: string, a?: never, b?: never) {
      if (event === 'request' || CARRIES_REQUEST.has(event)) {
        const entry = requests.#begin(this, event, a, b)
        if (entry === null) return true
        if (entry !== undefined)
          return arguments.length === 3
            ? requests.#pass(entry, this, event)
            : requests.#passAll(entry, this, arguments)
      } else requests.#other(this, event, a, b)
      if (event === 'connection' && hooks.holds?.(this, a!, () => emit.call(this, event, a)))
        return true
      return Reflect.apply(emit, this, arguments) as boolean
    } as never
  }

  /** Undefined: nothing to track, go on; null: answered already. */
  #begin(server: net.Server, event: string, a: unknown, b: unknown): Entry | undefined | null {
    const source = a as EventEmitter
    if (event === 'stream') {
      // with a 'request' listener node makes the request out of the stream, and emits that
      if (server.listenerCount('request') > 0) return undefined
      ;[a, b] = asRequest(a as ServerHttp2Stream, b as Record<string, string>)
    } else if ((b as Marked)[ENTRY] || isInLine(a as Req, b as Res)) return undefined // after checkContinue an application emits 'request' itself
    const res = b as Marked
    if (this.draining && this.#keepAlive && res.socket === null)
      this.#takeBackGoodbye((a as Req).socket)
    if (!this.#keepAlive || this.#isLast(a as Req)) sayGoodbye(a as Req, res, this.draining)
    const entry = this.#hooks.begin(a as Req, res)
    if (entry === undefined) return null
    this.inFlight.add(entry)
    const line = lineOf(entry.req.socket)
    if (line === undefined || !standsIn(line, entry)) this.#listen(entry, res)
    if (this.#context && isHttp2(a as Req)) bind(source, entry, this.#context, this.#enter)
    return entry
  }

  /** To a response that its connection does not know: TLS, HTTP/2, what an application made itself. */
  #listen(entry: Entry, res: Marked): void {
    res[ENTRY] = entry
    res.on('close', this.#closed)
    if (res.socket === null) this.#waitInLine(entry.req.socket as net.Socket, entry)
  }

  /** One listener for all responses: a closure for each would be a good part of what tracking costs. */
  readonly #closed = ((requests) =>
    function (this: Marked) {
      requests.over(this[ENTRY]!)
    })(this)

  /** Its response was sent, or its client left. */
  over(entry: Entry): void {
    if (!this.inFlight.delete(entry)) return
    try {
      entry.end()
      this.#hooks.ended(entry)
    } finally {
      entry.release()
    }
  }

  /** A pipelined response that never gets its turn does not hear that its connection closed. */
  #waitInLine(socket: net.Socket, entry: Entry): void {
    const line = this.#lines.get(socket) ?? new Set()
    if (!this.#lines.has(socket)) socket.once('close', () => line.forEach((one) => this.over(one)))
    this.#lines.set(socket, line.add(entry))
    entry.res.on('close', () => line.delete(entry))
  }

  /** The way of nearly all requests: `event` with the request and the response as its arguments. */
  #pass(entry: Entry, server: net.Server, event: string): boolean {
    if (entry.route?.concurrency !== undefined)
      return this.#passAll(entry, server, [event, entry.req, entry.res])
    const context = this.#context
    const outer = this.passing
    this.passing = entry
    let passed: boolean
    if (context === undefined) passed = call(this.#emit, server, event, entry)
    else if (ENTERS && isBeingParsed(entry.req)) {
      context.enterWith(entry)
      passed = call(this.#emit, server, event, entry)
    } else passed = context.run(entry, call, this.#emit, server, event, entry)
    this.passing = outer // not when the application throws: see `passing`
    return passed
  }

  #passAll(entry: Entry, server: net.Server, args: ArrayLike<unknown>): boolean {
    if (entry.route?.concurrency === undefined) return this.#run(entry, server, args)
    this.#hooks.admit(entry, () => void this.#run(entry, server, args))
    return true
  }

  #run(entry: Entry, server: net.Server, args: ArrayLike<unknown>): boolean {
    const outer = this.passing
    this.passing = entry
    const passed = this.#context
      ? this.#context.run(entry, Reflect.apply, this.#emit, server, args)
      : (Reflect.apply(this.#emit, server, args) as boolean)
    this.passing = outer
    return passed
  }

  /** The application is called again, when more of the request has come. */
  readonly #enter: Enter = (entry, emit) => {
    const outer = this.passing
    this.passing = entry
    const emitted = this.#context!.run(entry, emit)
    this.passing = outer
    return emitted
  }

  #other(server: net.Server, event: string, a: unknown, b: unknown): void {
    switch (event) {
      case 'connection':
        this.#servers.connected(a as net.Socket)
        ;(a as net.Socket).on('close', this.#disconnected)
        if ('setSecureContext' in server) this.#servers.handshakes(a as net.Socket)
        return this.#hooks.connected(server, a as net.Socket)
      case 'secureConnection':
        this.#hooks.secured?.(a as TLSSocket)
        return this.#servers.secured(a as TLSSocket)
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
        this.#servers.upgrade(b as net.Socket)
        return this.#hooks.upgraded(b as net.Socket)
    }
  }

  /** One listener for all connections: see #closed. */
  readonly #disconnected = ((requests) =>
    function (this: net.Socket) {
      requests.#servers.disconnected(this)
      const line = lineOf(this)
      if (line) for (const entry of allInLine(line)) requests.over(entry)
      requests.#hooks.disconnected(this)
    })(this)

  #session(session: Http2Session): void {
    this.#servers.sessions.add(session)
    session.once('close', () => this.#servers.sessions.delete(session))
  }
}

type Emit = (this: net.Server, event: string, ...args: unknown[]) => boolean

/** Without a rest parameter or an array: they would cost more than the call. */
const call = (emit: Emit, server: net.Server, event: string, { req, res }: Entry): boolean =>
  emit.call(server, event, req, res)

/**
 * Since Node 24 run() makes one Map for the request's context and another one to take it back. While node's parser calls us the
 * second is for nothing, because node itself restores the context when that call is over.
 */
const ENTERS = !('_enable' in AsyncLocalStorage.prototype)

const CARRIES_REQUEST = new Set(['checkContinue', 'checkExpectation', 'stream'])

const isHttp2 = (req: Req): boolean => req.httpVersionMajor >= 2

/**
 * The client is told not to reuse this connection. Over HTTP/2 it is told at once: a client that waits for this very response
 * has no other request under way, which GOAWAY would lose.
 */
function sayGoodbye(req: Req, res: Res, leaving: boolean): void {
  if (!('shouldKeepAlive' in res)) {
    if (leaving) (res as { stream?: ServerHttp2Stream }).stream?.session?.close()
    return
  }
  res.shouldKeepAlive = false
  // before node's own listener, which ends the connection: bytes of a body that nobody has read would make a reset of it
  res.prependOnceListener('finish', () => {
    if (!req.complete && !res.shouldKeepAlive) linger(req.socket as net.Socket)
  })
}
