// Clients that go on through a fault: how each of their requests ended, and after how long. They never try twice.

import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { RawClient, request } from '../../test/helpers/client.ts'
import type { Site } from '../site.ts'

/** Whole 2xx; 503 or 504; another status; cut or reset; refused; no answer within PATIENCE_MS. */
export type End = 'ok' | '503/504' | 'error' | 'reset' | 'refused' | 'hung'

export interface Tally {
  readonly ends: Readonly<Record<End, number>>
  /** Of any request, ms. */
  readonly longest: number
}

/** Three times what a request may take. */
export const PATIENCE_MS = 6_000
/** Between an answer and the next request: it leaves the CPU to the servers, ms. */
const PAUSE_MS = 20
const BODY = 'x'.repeat(10_000)

const KINDS = [
  { isKept: true, path: '/' },
  { isKept: true, path: '/slow' },
  { isKept: false, path: '/' },
  { isKept: true, path: '/post', body: BODY },
] as const

export class Clients {
  readonly #ends = { ok: 0, '503/504': 0, error: 0, reset: 0, refused: 0, hung: 0 }
  #longest = 0
  readonly #base: string
  #running: Promise<unknown> = Promise.resolve()
  #state: 'running' | 'stopping' = 'running'

  constructor(port: number, site: Site) {
    this.#base = `http://127.0.0.1:${port}`
    site.onTestFinished(async () => void (await this.stop()))
  }

  /** So many of each kind. */
  start(each: number): void {
    const kinds = KINDS.flatMap((kind) => Array.from({ length: each }, () => kind))
    this.#running = Promise.all(kinds.map((kind) => this.#loop(kind)))
  }

  async #loop({ isKept, path, ...rest }: (typeof KINDS)[number]): Promise<void> {
    const agent = isKept ? new http.Agent({ keepAlive: true, maxSockets: 1 }) : undefined
    while (this.#state === 'running') {
      await this.ask(path, { ...rest, ...(agent && { agent }) })
      await sleep(PAUSE_MS)
    }
    agent?.destroy()
  }

  /** One request, which is counted like the others. */
  async ask(path: string, options: { agent?: http.Agent; body?: string } = {}): Promise<void> {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const method = options.body === undefined ? 'GET' : 'POST'
    await this.count(
      request(this.#base, path, { ...options, method, signal }).then(({ status }) => status),
      signal,
    )
  }

  async count(status: Promise<number>, signal?: AbortSignal): Promise<void> {
    const began = performance.now()
    const end = await status.then(ofStatus, (error: NodeJS.ErrnoException): End => {
      if (signal?.aborted) return 'hung'
      return error.code === 'ECONNREFUSED' ? 'refused' : 'reset'
    })
    this.#ends[end]++
    this.#longest = Math.max(this.#longest, performance.now() - began)
  }

  /** Lets the requests under way end. */
  async stop(): Promise<Tally> {
    this.#state = 'stopping'
    await this.#running
    return { ends: { ...this.#ends }, longest: this.#longest }
  }

  /** A kept connection that has had an answer; `speaksAgain` uses it, or another one if the server has closed it by then. */
  async kept(site: Site): Promise<{ speaksAgain(): Promise<void> }> {
    const client = await RawClient.connect(this.#base)
    site.onTestFinished(() => client.destroy())
    client.send(GET)
    await client.receives(WHOLE)
    return {
      speaksAgain: () => {
        if (!client.socket.readable) return this.ask('/')
        client.received = ''
        client.send(GET)
        return this.count(client.receives(WHOLE, PATIENCE_MS).then(([, status]) => Number(status)))
      },
    }
  }
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const WHOLE = /^HTTP\/1.1 (\d+)[^]*\r\n\r\nhello$/

const ofStatus = (status: number): End => {
  if (status >= 200 && status < 300) return 'ok'
  return status === 503 || status === 504 ? '503/504' : 'error'
}
