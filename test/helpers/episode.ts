// Clients that go on through an accident of the server: each end of each of their requests is written down.
import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from './client.ts'
import type { Teardown } from './temp.ts'
import { until } from './until.ts'

export interface Client {
  readonly name: string
  /** 200, 503, ... or the code of an error, or `hung`, in their order. */
  readonly ends: (number | string)[]
}

export interface Crowd {
  /** Clients that keep their connection. */
  readonly keepAlive: number
  /** Clients that open a connection for every request. */
  readonly newConnection: number
  /** Clients on kept connections whose requests take half a second. */
  readonly slow: number
}

/** A request without an end for so long hangs, ms. */
const HUNG_MS = 12_000
/** What leaves the CPU to the server, ms. */
const PAUSE_MS = 20

export class Episode {
  readonly clients: readonly Client[]
  readonly #running: Promise<void>[]
  readonly #url: string
  #state: 'running' | 'stopping' = 'running'

  constructor(t: Teardown, url: string, { keepAlive, newConnection, slow }: Crowd) {
    this.#url = url
    const kept = [...named('keep-alive', keepAlive), ...named('slow', slow)]
    this.clients = [...kept, ...named('new-connection', newConnection)]
    this.#running = this.clients.map((client) => this.#run(client))
    t.onTestFinished(() => this.stop())
  }

  /** Waits until each client has had so many more answers. */
  async goesOn(answers: number): Promise<void> {
    const before = this.clients.map(({ ends }) => ends.length)
    await until(`${answers} more answers to each client`, () =>
      this.clients.every(({ ends }, i) => ends.length >= before[i]! + answers),
    )
  }

  /** Lets the requests under way end. */
  async stop(): Promise<void> {
    this.#state = 'stopping'
    await Promise.all(this.#running)
  }

  /** Everything that was not a 200, as `slow 3: ECONNRESET`. */
  get failures(): string[] {
    return this.clients.flatMap(({ name, ends }) =>
      ends.filter((end) => end !== 200).map((end) => `${name}: ${end}`),
    )
  }

  async #run(client: Client): Promise<void> {
    const isKept = !client.name.startsWith('new-connection')
    const agent = isKept ? new http.Agent({ keepAlive: true, maxSockets: 1 }) : undefined
    const path = client.name.startsWith('slow') ? '/slow?ms=500' : '/'
    while (this.#state === 'running') {
      client.ends.push(await this.#once(path, agent))
      await sleep(PAUSE_MS)
    }
    agent?.destroy()
  }

  async #once(path: string, agent: http.Agent | undefined): Promise<number | string> {
    const signal = AbortSignal.timeout(HUNG_MS)
    try {
      return (await request(this.#url, path, { signal, ...(agent && { agent }) })).status
    } catch (error) {
      return signal.aborted ? 'hung' : String((error as NodeJS.ErrnoException).code)
    }
  }
}

const named = (kind: string, count: number): Client[] =>
  Array.from({ length: count }, (_, i) => ({ name: `${kind} ${i}`, ends: [] }))
