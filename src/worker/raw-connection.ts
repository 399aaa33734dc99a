// A plain HTTP/1.1 connection apart from its net.Socket: which ones are at rest, taking the raw handle off, putting it into
// a server. The only file that knows these internals of node. Runs in every worker.

import type http from 'node:http'
import type net from 'node:net'

/** Node's TCP or Pipe object: what can be sent to another process. */
export interface RawHandle {
  readStop(): number
  close(): void
  onread: unknown
  reading?: boolean
  _consumed?: boolean
}

/** A listening handle; node calls `onconnection` on it for each connection, which works on a closed one too. */
export interface Door {
  onconnection(errno: number, client: RawHandle): void
}

type Counted = net.Server & { _connections: number; _emitCloseIfDrained(): void }
type Inner = net.Socket & {
  _handle: RawHandle | null
  _server: Counted | null
  server?: net.Server
  parser?: object | null
  /** Until it has been sent whole. */
  _httpMessage?: object | null
  _paused?: boolean
}
interface ConnectionsList {
  idle(): { readonly socket?: net.Socket | null }[]
}

/** A connection without a socket, still counted by its server. */
export interface Detached {
  readonly handle: RawHandle
  readonly server: net.Server
}

/** For each server that only accepts: the one that it emits its connections on. */
const readers = new WeakMap<net.Server, net.Server>()

export const acceptsFor = (server: net.Server, reader: net.Server): void =>
  void readers.set(server, reader)

/** The server that reads what comes by connections of this one: itself, as a rule. */
export const readerOf = (server: net.Server): net.Server => readers.get(server) ?? server

/** Who accepted it, if a server of this process did. */
export const acceptorOf = (socket: net.Socket): net.Server | null => (socket as Inner)._server

let listSymbol: symbol | undefined

function listOf(server: http.Server): ConnectionsList | undefined {
  listSymbol ??= Object.getOwnPropertySymbols(server).find(
    ({ description }) => description === 'http.server.connections',
  )
  return Reflect.get(server, listSymbol ?? '') as ConnectionsList | undefined
}

export const keepsList = (server: http.Server): boolean => listOf(server) !== undefined

/**
 * Connections without a request half read or unanswered, as node's parser knows them; throws if this node keeps no list.
 * To node's own closeIdleConnections() a response that has been ended is one that has been sent, and it cuts it off.
 */
export function idleSockets(server: http.Server): net.Socket[] {
  const list = listOf(server)
  if (!list) throw new Error('http.Server keeps no list of its connections')
  return list.idle().flatMap(({ socket }) => {
    const response = (socket as Inner | null)?._httpMessage
    return socket && !response ? [socket] : []
  })
}

/** What node itself puts on a server's socket; the rest was the application. Filled by learnProperties(). */
const known = new Set<string>()

/** `socket`: one that only node has touched. */
export function learnProperties(socket: net.Socket): void {
  void [socket.remoteAddress, socket.localAddress] // they are kept in properties once asked for
  for (const key of Object.keys(socket)) known.add(key)
}

/**
 * Whether node accepted it for `server` itself, and nobody has left more on it than listeners: with anything else the
 * connection is more than its bytes. `reader`: readerOf(server).
 */
export function isPlain(socket: net.Socket, server: net.Server, reader: http.Server): boolean {
  const inner = socket as Inner
  return (
    inner.server === reader &&
    inner._server === server &&
    reader.timeout === 0 &&
    inner._handle !== null &&
    Object.keys(inner).every((key) => known.has(key))
  )
}

/** Nothing is owed to its client and nothing read from it that a parser still holds; of an idle or silent connection. */
export function isAtRest(socket: net.Socket): boolean {
  const inner = socket as Inner
  return (
    !inner.destroyed &&
    inner.readyState === 'open' &&
    inner.parser != null &&
    inner._httpMessage == null &&
    !inner._paused &&
    !inner.isPaused() &&
    inner.writableLength === 0 &&
    inner.readableLength === 0
  )
}

/** The socket's own listeners hear 'close'. Its server counts the connection on until release() or takeBack(). */
export function detach(socket: net.Socket): Detached {
  const inner = socket as Inner
  const { _handle: handle, _server: server } = inner
  if (!handle || !server) throw new Error('the connection is closed')
  void socket.remoteAddress // who hears 'close' may ask
  handle.readStop()
  handle.reading = false
  handle.onread = () => undefined
  inner._handle = null
  inner._server = null
  socket.destroy()
  return { handle, server }
}

/** Somebody else has it: this process is done with it. */
export function release({ handle, server }: Detached): void {
  handle.close()
  uncount(server)
  ;(server as Counted)._emitCloseIfDrained()
}

export function takeBack({ handle, server }: Detached, door: Door): void {
  uncount(server)
  adopt(door, handle)
}

/** To the server behind the door, and to the application, it is a connection just accepted. */
export function adopt(door: Door, handle: RawHandle): void {
  handle._consumed = false // by the parser it had before
  door.onconnection(0, handle)
}

const uncount = (server: net.Server): void => void (server as Counted)._connections--

export const hasRoom = (server: net.Server): boolean =>
  server.maxConnections == null || (server as Counted)._connections < server.maxConnections
