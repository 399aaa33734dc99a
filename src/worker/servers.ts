// The servers this worker listens with: settings applied to each, leaving and rejoining the accept pool, closing
// what is idle. Runs in every worker; told of servers and sockets by requests.ts and listen.ts.

import type http from 'node:http'
import type net from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { WorkerSettings } from '../protocol.ts'
import { idleSockets, keepsList } from './raw-connection.ts'

/** Node's own default; a server that still has it was not tuned by the application. */
const NODE_KEEP_ALIVE_MS = [5_000, 65_000]
const NODE_HEADERS_TIMEOUT_MS = 60_000

type Tunable = http.Server & { connectionsCheckingInterval?: number }

const BORN_AT = Symbol('nodicorn.bornAt')
type Born = net.Socket & { [BORN_AT]?: number }

const isHttp1 = (server: net.Server): server is Tunable =>
  'keepAliveTimeout' in server && 'headersTimeout' in server

/** Also one of HTTP/2 that speaks HTTP/1 to those who don't. */
const knowsIdle = (server: net.Server): server is http.Server => 'closeIdleConnections' in server

export class Servers {
  readonly listening = new Set<net.Server>()
  readonly sockets = new Set<net.Socket>()
  readonly sessions = new Set<{ close(): void; destroy(): void }>()
  /** Sockets that left HTTP by `Upgrade` or CONNECT. */
  readonly upgraded = new Set<net.Socket>()
  readonly #settings: WorkerSettings
  readonly #explicit: ReadonlySet<string>

  constructor(settings: WorkerSettings, explicit: readonly string[]) {
    this.#settings = settings
    this.#explicit = new Set(explicit)
  }

  /** Before the application hears 'listening'. What an operator set wins; else what the application set; else our default. */
  tune(server: net.Server): void {
    if (!isHttp1(server)) return
    const { keepAlive, headersTimeout, limitRequestFields } = this.#settings
    if (this.#explicit.has('keepAlive') || NODE_KEEP_ALIVE_MS.includes(server.keepAliveTimeout))
      server.keepAliveTimeout = keepAlive * 1000
    if (this.#explicit.has('headersTimeout') || server.headersTimeout === NODE_HEADERS_TIMEOUT_MS) {
      server.headersTimeout = headersTimeout * 1000
      if (server.requestTimeout > 0 && server.requestTimeout < server.headersTimeout)
        server.requestTimeout = server.headersTimeout
    }
    // Node looks at stale connections only so often (30 s), whatever the timeout says
    server.connectionsCheckingInterval = Math.min(
      server.connectionsCheckingInterval ?? 30_000,
      Math.max(250, server.headersTimeout / 4),
    )
    // one above the limit, so that too many can be told from just enough
    if ((server.maxHeadersCount ?? 2000) === 2000)
      server.maxHeadersCount = limitRequestFields > 0 ? limitRequestFields + 1 : 0
  }

  /** Connections so far. */
  accepted = 0

  connected(socket: net.Socket): void {
    this.accepted++
    ;(socket as Born)[BORN_AT] = performance.now()
    this.sockets.add(socket)
  }

  disconnected(socket: net.Socket): void {
    this.sockets.delete(socket)
  }

  /** `socket`: the one the application speaks with, of TLS not the one that was accepted. */
  upgrade(socket: net.Socket): void {
    this.upgraded.add(socket)
    socket.once('close', () => this.upgraded.delete(socket))
  }

  /** For each connection to a TLS server: what speaks for it; undefined before its handshake is over. */
  readonly #secure = new WeakMap<net.Socket, net.Socket | undefined>()

  handshakes(socket: net.Socket): void {
    this.#secure.set(socket, undefined)
  }

  secured(socket: TLSSocket): void {
    const { _parent: accepted } = socket as TLSSocket & { _parent?: net.Socket | null }
    if (accepted) this.#secure.set(accepted, socket)
  }

  /** What the application's server reads and writes of it. */
  speaking(socket: net.Socket): net.Socket {
    return this.#secure.get(socket) ?? socket
  }

  readonly #readBefore = new WeakMap<net.Socket, number>()

  /** It had another socket here before, and what that one read counts on. */
  again(socket: net.Socket): void {
    this.#readBefore.set(socket, socket.bytesRead)
  }

  /** Its client has not sent a byte: Node does not always count it as idle. */
  isSilent(socket: net.Socket): boolean {
    // what a TLS client says for its handshake is no request
    if (this.#secure.has(socket)) return (this.#secure.get(socket)?.bytesRead ?? 0) === 0
    const { bytesRead } = socket
    return bytesRead === 0 || bytesRead === this.#readBefore.get(socket)
  }

  /** When it was accepted here; ms of performance.now(). */
  bornAt(socket: net.Socket): number {
    return (socket as Born)[BORN_AT] ?? Infinity
  }

  /** No request in flight and no request half read, as Node's own parser sees it; unless `moves` says that another worker takes it. HTTP/1 only. */
  closeIdle(moves: (socket: net.Socket) => boolean): void {
    for (const server of [...this.listening].filter(knowsIdle))
      if (!keepsList(server)) server.closeIdleConnections()
      else for (const socket of idleSockets(server)) if (!moves(socket)) socket.destroy()
    for (const socket of this.sockets) if (this.isSilent(socket) && !moves(socket)) socket.destroy()
  }

  closeAll(): void {
    for (const session of this.sessions) session.destroy()
    for (const socket of this.sockets) socket.destroy()
  }
}
