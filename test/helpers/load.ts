// Closed-loop load: every client sends its next request when its last one has ended, and each end is counted.
import http from 'node:http'
import https from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from './client.ts'
import type { Teardown } from './temp.ts'
import { until } from './until.ts'

/** `other` is an answer that is not a 200, or an error that is none of ours. */
export type Outcome = 'ok' | 'refused' | 'reset' | 'hung' | 'other'

export interface Failure {
  readonly outcome: Exclude<Outcome, 'ok'>
  readonly client: string
  /** When the request was sent, ms of performance.now(). */
  readonly startedAt: number
  readonly message: string
}

export interface LoadOptions {
  /** Clients that keep their connection; default 8. */
  readonly keepAlive?: number
  /** Clients that open a connection for every request; default 8. */
  readonly newConnections?: number
  /** Default `/`. */
  readonly path?: string
  /** Sent with POST if there is one. */
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  /** A request without an end after so long is hung; ms. */
  readonly hungAfter?: number
  /** Between two requests of a client, ms: what leaves the CPU to the server. */
  readonly pause?: number
}

type Client = { readonly name: string; readonly agent: http.Agent | undefined; served: number }

export class Load {
  readonly counts: Record<Outcome, number> = { ok: 0, refused: 0, reset: 0, hung: 0, other: 0 }
  readonly failures: Failure[] = []
  readonly #url: string
  readonly #options: LoadOptions
  readonly #clients: Client[]
  readonly #running: Promise<void>[]
  #state: 'running' | 'stopping' = 'running'

  constructor(url: string, options: LoadOptions = {}) {
    this.#url = url
    this.#options = options
    const { keepAlive = 8, newConnections = 8 } = options
    const Agent = url.startsWith('https:') ? https.Agent : http.Agent
    this.#clients = [
      ...named('keep-alive', keepAlive, () => new Agent({ keepAlive: true, maxSockets: 1 })),
      ...named('new-connection', newConnections, () => undefined),
    ]
    this.#running = this.#clients.map((client) => this.#run(client))
  }

  /** Waits until every client has had a 200 for a request it sent after this call. */
  async everyoneServed(): Promise<void> {
    const before = this.#clients.map(({ served }) => served)
    // One of them may have been under way already.
    await until('every client was served again', () =>
      this.#clients.every(({ served }, i) => served >= before[i]! + 2),
    )
  }

  /** Lets the requests under way end; answers the counts. */
  async stop(): Promise<Record<Outcome, number>> {
    this.#state = 'stopping'
    await Promise.all(this.#running)
    for (const { agent } of this.#clients) agent?.destroy()
    return this.counts
  }

  async #run(client: Client): Promise<void> {
    while (this.#state === 'running') {
      await this.#once(client)
      await sleep(this.#options.pause ?? 3)
    }
  }

  async #once(client: Client): Promise<void> {
    const { path = '/', body, headers = {}, hungAfter = 15_000 } = this.#options
    const startedAt = performance.now()
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), hungAfter)
    const note = (outcome: Outcome, message: string): void => {
      this.counts[outcome]++
      if (outcome !== 'ok') this.failures.push({ outcome, client: client.name, startedAt, message })
      else client.served++
    }
    try {
      const method = body === undefined ? 'GET' : 'POST'
      const agent = client.agent ? { agent: client.agent } : {}
      const sent = body === undefined ? {} : { body }
      const answer = await request(this.#url, path, {
        method,
        headers,
        signal: late.signal,
        ...agent,
        ...sent,
      })
      note(answer.status === 200 ? 'ok' : 'other', `status ${answer.status}`)
    } catch (error) {
      note(late.signal.aborted ? 'hung' : outcomeOf(error as Error), String(error))
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Clients that send until the test is over, or until stop(). */
export function startLoad(t: Teardown, url: string, options?: LoadOptions): Load {
  const load = new Load(url, options)
  t.onTestFinished(async () => void (await load.stop()))
  return load
}

const named = (name: string, count: number, agent: () => http.Agent | undefined): Client[] =>
  Array.from({ length: count }, (_, i) => ({ name: `${name} ${i}`, agent: agent(), served: 0 }))

function outcomeOf(error: NodeJS.ErrnoException): Exclude<Outcome, 'ok'> {
  // ENOENT: a unix socket's file is gone.
  if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') return 'refused'
  return error.code === 'ECONNRESET' || error.code === 'EPIPE' ? 'reset' : 'other'
}
