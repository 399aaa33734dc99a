// Moves idle connections to other workers, by way of the master, unseen by their clients: all of them when this worker
// leaves, some when it has more than its share; and takes those of others. Runs in every worker that owns sockets.

import type http from 'node:http'
import type net from 'node:net'
import { http as nodeHttp } from '../builtin.ts'
import type { Connection, ToWorker, WorkerSettings } from '../protocol.ts'
import type { Channel } from './channel.ts'
import { drill } from './handover-drill.ts'
import { queryOf } from './listen.ts'
import {
  acceptorOf,
  adopt,
  detach,
  hasRoom,
  idleSockets,
  isAtRest,
  isPlain,
  readerOf,
  release,
  takeBack,
  type Detached,
  type Door,
  type RawHandle,
} from './raw-connection.ts'
import { Resting } from './resting.ts'
import type { Servers } from './servers.ts'

/** On their way at the same time: what is not is served meanwhile. */
const WINDOW = 8
/** Nobody could take a connection: how long until the next try, ms. */
const RETRY_MS = 100
/** How often the master is told how many connections there are, while that changes, ms. */
const REPORT_MS = 100
/** A younger connection may well live for one request only: it is not worth moving, ms. */
const SETTLED_MS = 100
/** After the boot, which has more urgent things to do, ms. */
const DRILL_MS = 500

/** serving: gives what the master asks for, and takes; preparing: will leave; leaving: gives all; over: neither. */
type State = 'serving' | 'preparing' | 'leaving' | 'over'

/** A server whose connections can move. */
interface Place {
  /** What the same server is known by in every worker. */
  readonly key: string
  readonly server: net.Server
  /** Whose parser reads: another server, if this is a further address of an application that exports its handler. */
  readonly reader: http.Server
  readonly door: Door
  underWay: number
  /** How many may be on their way: one only, from when nobody took one until somebody does. */
  window: number
  /** When to try again; ms of performance.now(). */
  retryAt: number
}
type Given = Detached & { readonly place: Place; readonly served: boolean }
/** When it is closed if its client says nothing; undefined: when its server says so. */
type Until = number | undefined
type Told = Exclude<
  ToWorker,
  { type: 'socket' | 'drain' | 'promote' | 'reopen' | 'metrics' | 'credentials' }
>

export class Handover {
  #state: State = 'serving'
  #works: 'untried' | 'yes' | 'no' = 'untried'
  #drill: Promise<void> | undefined
  readonly #servers: Servers
  readonly #channel: Channel
  readonly #settings: WorkerSettings
  readonly #places = new Map<net.Server, Place>()
  readonly #resting: Resting
  /** Under way: their handles are kept until somebody has them. */
  readonly #given = new Map<number, Given>()
  #seq = 0
  #lastTake = 0
  /** Of the connection that is being adopted this moment, if it has served before. */
  #arriving: { until: Until } | undefined
  #looking = false
  /** How many the master has asked for, to share them. */
  #owed = 0
  #report: NodeJS.Timeout | undefined

  constructor(servers: Servers, channel: Channel, settings: WorkerSettings) {
    this.#servers = servers
    this.#channel = channel
    this.#settings = settings
    this.#resting = new Resting(servers, (socket, until) => this.#renew(socket, until))
    process.once('disconnect', () => this.#forsake())
  }

  /** A server of the application listens. Only node's plain HTTP/1 server on a socket of the master is of use. */
  listening(server: net.Server): void {
    const query = queryOf(server)
    const reader = readerOf(server)
    const { handover, proxyProtocol } = this.#settings
    // where the header of the PROXY protocol was read, there alone it is known who the client is
    if (!handover || proxyProtocol !== 'off' || !query || !isPlainHttp(reader)) return
    const { address, port, addressType, fd, index } = query
    const key = [address, port, addressType, fd, index].join(' ')
    const door = (server as unknown as { _handle: Door })._handle
    this.#places.set(server, { key, server, reader, door, underWay: 0, window: WINDOW, retryAt: 0 })
    server.once('close', () => this.#places.delete(server))
    setTimeout(() => void this.#tryOut(), DRILL_MS).unref()
    this.changed() // from none to none: so the master knows whom it can give some
  }

  /** Nothing is on its way. */
  get isQuiet(): boolean {
    return this.#given.size === 0
  }

  /** This worker leaves: from `then` on, connections that come to rest move, if they can at all. */
  leave(then: () => void): void {
    this.#state = 'preparing'
    void this.#tryOut().then(() => {
      if (this.#state === 'preparing') this.#state = this.#works === 'yes' ? 'leaving' : 'over'
      then()
      this.look()
    })
  }

  /** Nothing is given or taken any more. */
  end(): void {
    this.#state = 'over'
  }

  /** It will move, so its client need not be told to reconnect, and nobody should close it. */
  moves(socket: net.Socket): boolean {
    const place = this.#state === 'leaving' ? this.#placeOf(socket) : undefined
    return place !== undefined && place.retryAt <= performance.now()
  }

  /** A connection may have come to rest: all of them are looked at, once in a turn of the loop. */
  look(): void {
    if (this.#looking || (this.#state !== 'leaving' && this.#owed === 0)) return
    this.#looking = true
    // in the check phase, after the poll: all that arrived has been parsed
    setImmediate(() => {
      this.#looking = false
      if (this.#state === 'leaving') for (const socket of this.#candidates()) this.#give(socket)
      else this.#share()
    })
  }

  connected(socket: net.Socket): void {
    if (this.#arriving) {
      this.#servers.again(socket)
      this.#resting.add(socket, this.#arriving.until)
    }
    this.changed()
  }

  /** The number of connections. */
  changed(): void {
    if (this.#report === undefined && this.#places.size > 0)
      this.#report = setTimeout(() => this.#tellLoad(), REPORT_MS).unref()
  }

  hear(message: Told, handle: unknown): void {
    switch (message.type) {
      case 'take':
        this.#lastTake = message.seq
        return void this.#tryOut().then(() => this.#take(message, handle as RawHandle))
      case 'sent':
        if (this.#lastTake !== message.seq) this.#answer(message.seq, false)
        return
      case 'given':
        return this.#settle(message.seq, message.taken)
      case 'share':
        this.#owed = message.count
        return void this.#tryOut().then(() => this.look())
    }
  }

  #tryOut(): Promise<void> {
    if (this.#places.size === 0) return Promise.resolve()
    return (this.#drill ??= drill().then((why) => {
      this.#works = why === undefined ? 'yes' : 'no'
      if (why !== undefined) this.#channel.tell({ type: 'handover-fails', why })
    }))
  }

  /** Also when it is what it was: the master reckons with what it has moved since. */
  #tellLoad(): void {
    this.#report = undefined
    this.#channel.tell({ type: 'load', connections: this.#servers.sockets.size })
  }

  #placeOf(socket: net.Socket): Place | undefined {
    const place = this.#places.get(acceptorOf(socket)!)
    return place && isPlain(socket, place.server, place.reader) ? place : undefined
  }

  /** Idle, or never heard from; of the places that may give some. */
  *#candidates(): Generator<net.Socket> {
    const now = performance.now()
    const open = [...this.#places.values()].filter(
      ({ underWay, window, retryAt }) => underWay < window && retryAt <= now,
    )
    if (open.length === 0 || this.#works !== 'yes') return
    for (const reader of new Set(open.map((place) => place.reader))) yield* idleSockets(reader)
    for (const socket of this.#servers.sockets) if (this.#servers.isSilent(socket)) yield socket
  }

  /** As many of those it was asked for as may be on their way; the others follow. */
  #share(): void {
    if (this.#state !== 'serving' || !this.#settings.rebalance) return
    const settledBefore = performance.now() - SETTLED_MS
    for (const socket of this.#candidates()) {
      if (this.#owed === 0) return
      if (this.#servers.bornAt(socket) < settledBefore && this.#give(socket)) this.#owed--
    }
    if (this.isQuiet) this.#owed = 0 // there are no more; the master will ask again
  }

  #give(socket: net.Socket): boolean {
    const place = isAtRest(socket) ? this.#placeOf(socket) : undefined
    if (!place || place.underWay >= place.window || place.retryAt > performance.now()) return false
    this.#send(socket, place)
    return true
  }

  #send(socket: net.Socket, place: Place): void {
    const served = socket.bytesRead > 0 || this.#resting.has(socket)
    const given = { ...detach(socket), place, served }
    const seq = ++this.#seq
    this.#given.set(seq, given)
    place.underWay++
    this.#channel.tell({ type: 'give', seq, key: place.key, served }, given.handle)
    this.#channel.tell({ type: 'gave', seq })
  }

  #settle(seq: number, taken: boolean): void {
    const given = this.#given.get(seq)
    if (!given) return
    const { place, served } = given
    this.#given.delete(seq)
    place.underWay--
    place.window = taken ? WINDOW : 1
    place.retryAt = taken ? 0 : performance.now() + RETRY_MS
    if (taken) release(given)
    else this.#arrive(served, undefined, () => takeBack(given, place.door))
    if (!taken) this.#owed = 0
    this.look()
  }

  #arrive(served: boolean, until: Until, adoption: () => void): void {
    this.#arriving = served ? { until } : undefined
    try {
      adoption()
    } finally {
      this.#arriving = undefined
    }
  }

  #take(connection: Connection, handle: RawHandle | undefined): void {
    if (!handle) return this.#answer(connection.seq, false)
    const place = [...this.#places.values()].find(
      ({ key, server }) => key === connection.key && server.listening,
    )
    if (this.#works !== 'yes' || this.#state !== 'serving' || !place || !this.#hasRoom(place)) {
      handle.close()
      return this.#answer(connection.seq, false)
    }
    this.#answer(connection.seq, true)
    this.#arrive(connection.served, undefined, () => adopt(place.door, handle))
  }

  #hasRoom({ server }: Place): boolean {
    const { workerConnections } = this.#settings
    const isFull = workerConnections > 0 && this.#servers.sockets.size >= workerConnections
    return !isFull && hasRoom(server)
  }

  #answer(seq: number, taken: boolean): void {
    this.#channel.tell({ type: 'taken', seq, taken })
  }

  /** To itself: its parser's clock for the next headers begins anew. */
  #renew(socket: net.Socket, until: Until): void {
    const place = isAtRest(socket) ? this.#placeOf(socket) : undefined
    if (!place) return
    const detached = detach(socket)
    socket.once('close', () => this.#arrive(true, until, () => takeBack(detached, place.door)))
  }

  /** The master died: it answers no more. */
  #forsake(): void {
    this.#state = 'over'
    for (const { handle } of this.#given.values()) handle.close()
    this.#given.clear()
  }
}

/** Node's own server with node's own way of beginning a connection: others may read something before the first request. */
const isPlainHttp = (server: net.Server): server is http.Server =>
  'keepAliveTimeout' in server &&
  server instanceof nodeHttp().Server &&
  server.listeners('connection')[0]?.name === 'connectionListener'
