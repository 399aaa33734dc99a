// Server-sent events of the admin address: what the server looks like once a second, and what happens as it happens. A client
// that does not read misses pictures, and is hung up on at last. Runs in the master.

import type { ServerResponse } from 'node:http'
import { eventItem } from './status.ts'
import type { Ledger } from './ledger.ts'
import type { LogEvent } from '../events.ts'

const PICTURE_MS = 1_000
/** Clients at once. */
const MOST = 50
/** What may wait for a client that does not read, bytes. */
const MOST_UNREAD = 4 << 20
/** Pictures it may miss in a row: so long its connection may be dead before we know. */
const MOST_MISSED = 15
/** How long a client is to wait before it comes again, ms. */
const RETRY_MS = 1_000

export class AdminStream {
  readonly #ledger: Ledger
  readonly #picture: () => unknown
  /** With how many pictures each has missed. */
  readonly #clients = new Map<ServerResponse, number>()
  #timer: NodeJS.Timeout | undefined
  #leave: (() => void) | undefined

  /** `picture`: of the moment, to be sent as JSON. */
  constructor(ledger: Ledger, picture: () => unknown) {
    this.#ledger = ledger
    this.#picture = picture
  }

  get isFull(): boolean {
    return this.#clients.size >= MOST
  }

  /** Begins with a picture and the `last` events. */
  add(response: ServerResponse, last: number): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
    response.once('close', () => this.#remove(response))
    this.#clients.set(response, 0)
    const events = this.#ledger.recent(last).map(eventItem)
    response.write(`retry: ${RETRY_MS}\n\n${message('hello', { events })}`)
    response.write(message('picture', this.#picture()))
    if (this.#clients.size > 1) return
    this.#timer = setInterval(() => this.#tick(), PICTURE_MS).unref()
    this.#leave = this.#ledger.follow((event) => this.#tell(event))
  }

  /** Clients come again, to whoever is there then. */
  close(): void {
    for (const response of [...this.#clients.keys()]) response.end()
  }

  #remove(response: ServerResponse): void {
    if (!this.#clients.delete(response) || this.#clients.size > 0) return
    clearInterval(this.#timer)
    this.#leave?.()
  }

  #tell(event: LogEvent): void {
    const text = message('event', eventItem(event))
    for (const response of this.#clients.keys()) {
      response.write(text)
      if (response.writableLength > MOST_UNREAD) response.destroy()
    }
  }

  #tick(): void {
    const text = message('picture', this.#picture())
    for (const [response, missed] of this.#clients) {
      if (!response.writableNeedDrain) {
        response.write(text)
        this.#clients.set(response, 0)
      } else if (missed < MOST_MISSED) this.#clients.set(response, missed + 1)
      else response.destroy()
    }
  }
}

/** JSON has no line ends. */
const message = (event: string, data: unknown): string =>
  `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
