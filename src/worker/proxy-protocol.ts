// Reads the header of the PROXY protocol before anything else of a connection, TLS included, and makes the client that it
// names the socket's other end. Runs in workers with `proxyProtocol`.

import type net from 'node:net'
import type { TLSSocket } from 'node:tls'
import { memberOf } from '../networks.ts'
import type { WorkerSettings } from '../protocol.ts'
import type { Channel } from './channel.ts'
import { readProxyHeader, type Client } from './proxy-header.ts'
import { acceptorOf } from './raw-connection.ts'

/** How long the header may take if the headers of a request may take longer, ms. */
const LONGEST_MS = 5_000
/** Between two lines of the log, from one worker; ms. */
const QUIET_MS = 10_000

/** Who a socket's other end is said to be. */
const clients = new WeakMap<net.Socket, Client>()

export class ProxyProtocol {
  readonly #mode: 'v1' | 'v2' | 'auto'
  readonly #mayConnect: (address: string) => boolean
  readonly #limit: number
  readonly #channel: Channel
  readonly #begins: (socket: net.Socket) => void
  #toldAt = -Infinity
  #omitted = 0

  /** `begins`: of the bytes that the socket has read, none are the application's. */
  constructor(
    mode: 'v1' | 'v2' | 'auto',
    { proxyAllowFrom, headersTimeout }: Pick<WorkerSettings, 'proxyAllowFrom' | 'headersTimeout'>,
    channel: Channel,
    begins: (socket: net.Socket) => void,
  ) {
    this.#mode = mode
    this.#mayConnect = memberOf(proxyAllowFrom)
    this.#limit = Math.min(headersTimeout * 1000 || LONGEST_MS, LONGEST_MS)
    this.#channel = channel
    this.#begins = begins
  }

  /**
   * True: the server gets it by `pass`, when its header is here, or never. False: it was accepted by somebody else, who passes it
   * on; it has been here before, or never needs a header.
   */
  holds(server: net.Server, socket: net.Socket, pass: () => void): boolean {
    if (acceptorOf(socket) !== server) return false
    const isUnix = typeof server.address() === 'string'
    const peer = isUnix ? 'a unix socket' : (socket.remoteAddress ?? '')
    if (isUnix || this.#mayConnect(peer)) this.#await(socket, peer, pass)
    else this.#refuse(socket, peer, 'it is not in --proxy-allow-from')
    return true
  }

  /** TLS speaks over a socket that has been here. */
  secured(socket: TLSSocket & { _parent?: net.Socket | null }): void {
    const client = socket._parent && clients.get(socket._parent)
    if (client) name(socket, client)
  }

  #await(socket: net.Socket, peer: string, pass: () => void): void {
    let bytes = Buffer.alloc(0)
    const settle = (act: () => void): void => {
      clearTimeout(timer)
      // not off(): on some versions of node that leaves the socket paused
      socket.removeListener('readable', look)
      socket.removeListener('end', cut)
      socket.removeListener('close', forget)
      act()
    }
    const refuse = (why: string): void => settle(() => this.#refuse(socket, peer, why))
    const look = (): void => {
      for (let chunk = read(socket); chunk; chunk = read(socket))
        bytes = Buffer.concat([bytes, chunk])
      const header = readProxyHeader(bytes, this.#mode)
      if (header.is === 'wrong') refuse(header.why)
      if (header.is !== 'complete') return
      const { client, length } = header
      settle(() => this.#pass(socket, client, bytes.subarray(length), pass))
    }
    // a load balancer that looks whether the port is open says nothing
    const cut = (): void =>
      bytes.length > 0 ? refuse('its PROXY header is cut off') : void socket.destroy()
    const forget = (): void => settle(() => undefined)
    const timer = setTimeout(() => refuse('its PROXY header did not come in time'), this.#limit)
    timer.unref()
    socket.on('error', ignore).on('readable', look).on('end', cut).on('close', forget)
  }

  #pass(socket: net.Socket, client: Client | undefined, rest: Buffer, pass: () => void): void {
    if (client) name(socket, client)
    if (rest.length > 0) socket.unshift(rest)
    else this.#begins(socket)
    // by then the stream knows that nobody waits for 'readable' any more
    process.nextTick(() => {
      socket.removeListener('error', ignore)
      if (socket.readableEnded)
        socket.destroy() // nobody would hear that it has left
      else if (!socket.destroyed) pass()
    })
  }

  #refuse(socket: net.Socket, peer: string, why: string): void {
    socket.on('error', ignore).destroy()
    if (peer === '') return // it has left already
    const now = performance.now()
    if (now - this.#toldAt < QUIET_MS) return void this.#omitted++
    this.#channel.tell({ type: 'proxy-refused', peer, why, omitted: this.#omitted })
    this.#toldAt = now
    this.#omitted = 0
  }
}

/** ECONNRESET, EPIPE: nobody has anything to say to it yet, and 'close' follows. */
const ignore = (): void => undefined

const read = (socket: net.Socket): Buffer | null => socket.read() as Buffer | null

/** As its own properties: the getters that node has for them would ask the system. */
function name(socket: net.Socket, client: Client): void {
  clients.set(socket, client)
  const { address, port, family } = client
  Object.defineProperties(socket, {
    remoteAddress: { value: address, configurable: true },
    remotePort: { value: port, configurable: true },
    remoteFamily: { value: family, configurable: true },
  })
}
