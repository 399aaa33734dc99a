// Clients in closed loops: each sends its next request when its last one has ended, never tries again, and notes every failure.
// They know where the server is and what it speaks, and nothing of what happens to it.

import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Target {
  /** http://..., https://... or unix:/path. */
  readonly base: string
  readonly speaks: 'HTTP/1.1' | 'HTTP/2'
}

/** What a client does over and over. */
interface Habit {
  /** Between an answer and the next request, ms. */
  readonly think: number
  readonly path?: string
  readonly body?: Buffer
  /** A connection for each request. */
  readonly fresh?: boolean
}

const BODY = Buffer.alloc(16_384, 'x')
const habits: Readonly<Record<string, Habit>> = {
  'think 0 ms': { think: 0 },
  'think 2 ms': { think: 2 },
  'think 100 ms': { think: 100 },
  'new connections': { think: 2, fresh: true },
  '800 ms requests': { think: 0, path: '/slow' },
  '16 kB POSTs': { think: 2, body: BODY },
}

export interface Tally {
  readonly habit: string
  answered: number
  failed: number
  /** Connections beyond the first one of each client. */
  reconnects: number
  readonly errors: Map<string, number>
}

/** A connection that is opened when it is needed. */
interface Line {
  /** Rejects with what went wrong. */
  ask(habit: Habit): Promise<void>
  readonly opened: number
  close(): void
}

export class Crowd {
  readonly tallies: readonly Tally[]
  readonly #running: Promise<void>
  #state: 'running' | 'stopping' = 'running'

  /** `each`: how many clients of each kind. */
  constructor(target: Target, each: number) {
    const all = Object.entries(habits).map(([name, habit]) => {
      const tally = { habit: name, answered: 0, failed: 0, reconnects: 0, errors: new Map() }
      const clients = Array.from({ length: each }, () => this.#run(target, habit, tally))
      return { tally, clients }
    })
    this.tallies = all.map(({ tally }) => tally)
    this.#running = Promise.all(all.flatMap(({ clients }) => clients)).then(() => undefined)
  }

  get answered(): number {
    return this.tallies.reduce((sum, tally) => sum + tally.answered, 0)
  }

  /** Lets the requests under way end. */
  stop(): Promise<void> {
    this.#state = 'stopping'
    return this.#running
  }

  async #run(target: Target, habit: Habit, tally: Tally): Promise<void> {
    let line = lineTo(target)
    while (this.#state === 'running') {
      try {
        await line.ask(habit)
        tally.answered++
      } catch (error) {
        tally.failed++
        const what = (error as NodeJS.ErrnoException).code ?? String(error)
        const when = new Date().toISOString().slice(11, 23)
        console.error(`${when} ${tally.habit}: ${String(error)} (${what})`)
        tally.errors.set(what, (tally.errors.get(what) ?? 0) + 1)
      }
      if (habit.fresh) {
        line.close()
        line = lineTo(target)
      }
      await sleep(habit.think)
    }
    tally.reconnects += Math.max(0, line.opened - 1)
    line.close()
  }
}

const lineTo = (target: Target): Line =>
  target.speaks === 'HTTP/2' ? new Http2Line(target.base) : new Http1Line(target.base)

class Http1Line implements Line {
  opened = 0
  readonly #base: string
  readonly #agent: http.Agent

  constructor(base: string) {
    this.#base = base
    const Agent = base.startsWith('https:') ? https.Agent : http.Agent
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const create = this.#agent.createConnection.bind(this.#agent)
    this.#agent.createConnection = (...args) => {
      this.opened++
      return create(...args)
    }
  }

  ask({ path = '/', body }: Habit): Promise<void> {
    const { promise, end, fail } = answer()
    const socketPath = /^unix:(.+)$/.exec(this.#base)?.[1]
    const url = socketPath ? undefined : new URL(this.#base)
    const where = url ? { host: url.hostname, port: url.port } : { socketPath }
    const method = body ? 'POST' : 'GET'
    const module = url?.protocol === 'https:' ? https : http
    const options = { ...where, path, method, agent: this.#agent, rejectUnauthorized: false }
    const request = module.request(options, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('error', fail)
      response.on('end', () => end(response.statusCode, text))
    })
    request.on('error', fail)
    request.end(body)
    return promise
  }

  close(): void {
    this.#agent.destroy()
  }
}

class Http2Line implements Line {
  opened = 0
  readonly #base: string
  #session: http2.ClientHttp2Session | undefined
  #trouble: Error | undefined

  constructor(base: string) {
    this.#base = base
  }

  ask({ path = '/', body }: Habit): Promise<void> {
    const { promise, end, fail } = answer()
    const stream = this.#usable().request({ ':path': path, ':method': body ? 'POST' : 'GET' })
    let [status, text] = [0, '']
    stream.on('response', (headers) => (status = headers[':status'] ?? 0))
    stream.on('data', (chunk) => (text += String(chunk)))
    stream.on('error', fail)
    stream.on('close', () => (this.#trouble ? fail(this.#trouble) : end(status, text)))
    stream.end(body)
    return promise
  }

  close(): void {
    this.#session?.close()
  }

  /** After GOAWAY, or when the connection has ended, a new one: that is what GOAWAY is for. */
  #usable(): http2.ClientHttp2Session {
    if (this.#session && !this.#session.closed && !this.#session.destroyed) return this.#session
    this.opened++
    this.#trouble = undefined
    const session = http2.connect(this.#base, { rejectUnauthorized: false })
    session.on('error', (error) => (this.#trouble = error))
    return (this.#session = session)
  }
}

interface Pending {
  readonly promise: Promise<void>
  readonly end: (status: number | undefined, text: string) => void
  readonly fail: (error: Error) => void
}

/** A whole answer is a 200 with the right text. */
function answer(): Pending {
  let [resolve, reject] = [(): void => undefined, (_: Error): void => undefined]
  const promise = new Promise<void>((...functions) => ([resolve, reject] = functions))
  const end = (status: number | undefined, text: string): void =>
    status === 200 && text === 'hello'
      ? resolve()
      : reject(new Error(`${status} ${text.slice(0, 40)}`))
  return { promise, end, fail: reject }
}
