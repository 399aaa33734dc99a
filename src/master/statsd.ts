// Tells a StatsD server once a second what happens, by UDP: nobody waits for it, and nobody is harmed if it is not there. Runs in
// the master, if `statsdHost` is set.

import dgram from 'node:dgram'
import type { Log } from '../log.ts'
import type { Settings } from '../settings.ts'
import type { MetricsPicture } from './metrics.ts'
import { NOTHING, packetsOf, statsdLines, totalsOf } from './statsd-lines.ts'

const PUSH_MS = 1_000
/** A datagram that every network takes whole, bytes. */
const MOST = 1_432

type StatsdSettings = Pick<Settings, 'statsdHost' | 'statsdPrefix' | 'dogstatsdTags'>

interface StatsdParts {
  readonly log: Log
  readonly settings: () => StatsdSettings
  readonly picture: () => MetricsPicture
}

export class Statsd {
  readonly #parts: StatsdParts
  readonly #timer: NodeJS.Timeout
  #socket: { readonly family: dgram.SocketType; readonly socket: dgram.Socket } | undefined
  #told = NOTHING
  /** Datagrams on their way: the name of its host may be looked up for long. */
  #sending = 0
  /** What is wrong has been said once, until it is something else. */
  #failure: string | undefined

  constructor(parts: StatsdParts) {
    this.#parts = parts
    this.#timer = setInterval(() => this.#push(), PUSH_MS).unref()
  }

  /** Says the last. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await new Promise<void>((resolve) => this.#push(resolve))
    this.#socket?.socket.close()
  }

  /** `done`: everything has left, or cannot. Settings are those of the last reload. */
  #push(done?: () => void): void {
    const { statsdHost, statsdPrefix: prefix, dogstatsdTags: tags } = this.#parts.settings()
    if (statsdHost === '' || this.#sending > 0) return done?.()
    const picture = this.#parts.picture()
    const totals = totalsOf(picture)
    const lines = statsdLines(this.#told, totals, picture, { prefix, tags })
    this.#told = totals
    const packets = packetsOf(lines, MOST)
    this.#sending = packets.length
    for (const packet of packets)
      this.#send(packet, statsdHost, () => {
        if (--this.#sending === 0) done?.()
      })
  }

  #send(packet: string, statsdHost: string, sent: () => void): void {
    const { host, port } = addressOf(statsdHost)
    this.#open(host.includes(':') ? 'udp6' : 'udp4').send(packet, port, host, (error) => {
      if (error) this.#failed(statsdHost, error)
      else this.#failure = undefined
      sent()
    })
  }

  #open(family: dgram.SocketType): dgram.Socket {
    if (this.#socket?.family === family) return this.#socket.socket
    this.#socket?.socket.close()
    const socket = dgram.createSocket(family).unref()
    socket.on('error', () => undefined) // ECONNREFUSED, told for a datagram before: nobody is there yet
    this.#socket = { family, socket }
    return socket
  }

  /** ENOTFOUND, EAI_AGAIN, ENETUNREACH, EPERM: it may be there the next time. */
  #failed(host: string, { message: why }: Error): void {
    const failure = `${host} ${why}`
    if (failure !== this.#failure) this.#parts.log.event('statsdFailed', { host, why })
    this.#failure = failure
  }
}

/** `localhost:8125`, `[::1]:8125` */
function addressOf(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}
