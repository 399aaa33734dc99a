// Connections that came from another worker and have said nothing since. To node's server they are new, and would get a 408
// when no headers come in time; so their keep-alive time is kept here. Runs in every worker.

import type http from 'node:http'
import type net from 'node:net'
import type { Servers } from './servers.ts'

/** How often they are looked at, ms; more often if the patience of a server is short. */
const SWEEP_MS = 1_000

interface Times {
  /** When the connection is closed, and when node's own clock must be set back before it runs out. */
  readonly until: number
  readonly renewAt: number
}

export class Resting {
  readonly #times = new Map<net.Socket, Times>()
  readonly #servers: Servers
  readonly #renew: (socket: net.Socket, until: number) => void
  #timer: NodeJS.Timeout | undefined
  #interval = Infinity

  /** `renew` is to make a new connection of it, as far as node's server knows. */
  constructor(servers: Servers, renew: (socket: net.Socket, until: number) => void) {
    this.#servers = servers
    this.#renew = renew
  }

  /** `until`: ms of performance.now(); by default its server's keep-alive time from now. */
  add(socket: net.Socket, until?: number): void {
    const now = performance.now()
    const { keepAliveTimeout, headersTimeout, requestTimeout } = (
      socket as unknown as { server: http.Server }
    ).server
    const patience = Math.min(headersTimeout || Infinity, requestTimeout || Infinity)
    this.#times.set(socket, {
      until: until ?? now + (keepAliveTimeout || Infinity),
      renewAt: now + patience / 2,
    })
    this.#look(Math.min(SWEEP_MS, patience / 4))
  }

  #look(interval: number): void {
    if (this.#interval <= interval) return
    this.#interval = interval
    clearInterval(this.#timer)
    // the check phase comes after the poll: what a client said in time has been read by then
    this.#timer = setInterval(() => setImmediate(() => this.#sweep()), interval).unref()
  }

  has(socket: net.Socket): boolean {
    return this.#times.has(socket)
  }

  #sweep(): void {
    const now = performance.now()
    for (const [socket, { until, renewAt }] of this.#times) {
      const isResting = !socket.destroyed && this.#servers.isSilent(socket)
      if (isResting && now < until && now < renewAt) continue
      this.#times.delete(socket)
      if (isResting && now >= until) socket.destroy()
      else if (isResting) this.#renew(socket, until)
    }
    if (this.#times.size > 0) return
    clearInterval(this.#timer)
    this.#interval = Infinity
  }
}
