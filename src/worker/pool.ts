// A full worker leaves the accept pool and comes back: the listening socket's duplicate is closed and asked for anew,
// unseen by the application. Runs in every worker with `workerConnections` set.

import type net from 'node:net'
import type { Channel } from './channel.ts'
import { queryOf } from './listen.ts'
import type { Servers } from './servers.ts'

interface RawHandle {
  onconnection: unknown
  close(done?: () => void): void
  listen(backlog: number): number
  getsockname?(out: object): number
}
type WithHandle = net.Server & { _handle: RawHandle | null }

export class Pool {
  #state: 'in' | 'out' | 'returning' = 'in'
  readonly #servers: Servers
  readonly #channel: Channel
  readonly #limit: number
  readonly #backlog: number

  /** `workerConnections`: at so many the worker leaves; it returns when a tenth of them is gone. */
  constructor(
    servers: Servers,
    channel: Channel,
    settings: { workerConnections: number; backlog: number },
  ) {
    this.#servers = servers
    this.#channel = channel
    this.#limit = settings.workerConnections
    this.#backlog = settings.backlog
  }

  connected(): void {
    if (this.#state === 'in' && this.#servers.sockets.size >= this.#limit) {
      this.#state = 'out'
      for (const server of this.#servers.listening) stopAccepting(server as WithHandle)
    }
  }

  disconnected(): void {
    if (
      this.#state !== 'out' ||
      this.#servers.sockets.size > this.#limit - Math.ceil(this.#limit / 10)
    )
      return
    this.#state = 'returning'
    let waiting = this.#servers.listening.size
    for (const server of this.#servers.listening)
      this.#return(server as WithHandle, () => {
        if (--waiting === 0) this.#state = 'in'
      })
  }

  #return(server: WithHandle, done: () => void): void {
    const query = queryOf(server)
    if (!query) return done()
    this.#channel.askForSocket(query, (_errno, handle) => {
      done()
      if (!handle) return
      if (!server._handle) return (handle as RawHandle).close() // it was closed meanwhile
      adopt(handle as RawHandle, server._handle)
      server._handle = handle as RawHandle
      server._handle.listen(this.#backlog)
    })
  }
}

/** Leaves a stand-in behind that answers address() and close() as before. */
function stopAccepting(server: WithHandle): void {
  const real = server._handle
  if (!real) return
  const name = {}
  const errno = real.getsockname?.(name) ?? 0
  const standIn = {
    close: (done?: () => void) => void (done && setImmediate(done)),
    ref: () => undefined,
    unref: () => undefined,
    listen: () => 0,
    getsockname: (out: object) => (Object.assign(out, name), errno),
  } as unknown as RawHandle
  adopt(standIn, real)
  server._handle = standIn
  Reflect.deleteProperty(real, 'close') // the watched one would say that the application closed it
  real.close()
}

/** node:net finds the server through symbols on the handle. */
function adopt(handle: RawHandle, from: RawHandle): void {
  handle.onconnection = from.onconnection
  for (const symbol of Object.getOwnPropertySymbols(from))
    Reflect.set(handle, symbol, Reflect.get(from, symbol))
}
