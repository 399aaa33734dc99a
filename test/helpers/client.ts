// HTTP as clients speak it: one request, a kept-alive connection, or bytes by hand.
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { until } from './until.ts'

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
  /** The port of our end: two answers with the same one came over one connection. */
  readonly localPort: number | undefined
  json<T = unknown>(): T
}

export interface RequestOptions {
  readonly method?: string
  readonly headers?: http.OutgoingHttpHeaders
  readonly body?: string | Buffer
  /** Without one, the request has a connection of its own and says `Connection: close`. */
  readonly agent?: http.Agent
  readonly signal?: AbortSignal
  /** Where it comes from, such as 127.0.0.2. */
  readonly localAddress?: string
}

/**
 * The whole answer to one request. `base` is http://..., https://... (any certificate will do) or unix:/path.
 * Rejects with the socket's error.
 */
export function request(base: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  const { body, agent, ...rest } = options
  const unix = /^unix:(.+)$/.exec(base)?.[1]
  const target = unix ? { socketPath: unix, path } : urlParts(base, path)
  const module = base.startsWith('https:') ? https : http
  const all = { ...target, ...rest, agent: agent ?? false, rejectUnauthorized: false }
  return new Promise((resolve, reject) => {
    const req = module.request(all, (res) => {
      const { localPort } = res.socket
      collect(res, localPort).then(resolve, reject)
    })
    req.on('error', reject)
    req.end(body)
  })
}

const urlParts = (base: string, path: string): http.RequestOptions => {
  const url = new URL(base)
  const hostname = url.hostname.replace(/^\[|\]$/g, '')
  return { hostname: hostname === '0.0.0.0' ? '127.0.0.1' : hostname, port: url.port, path }
}

async function collect(res: http.IncomingMessage, localPort: number | undefined): Promise<Answer> {
  const chunks: Buffer[] = []
  for await (const chunk of res) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  const json = <T>(): T => JSON.parse(text) as T
  return { status: res.statusCode ?? 0, headers: res.headers, text, localPort, json }
}

/** Requests one after another over one connection, as long as the server keeps it. Destroy it when done. */
export function keepAliveClient(base: string): {
  get(path: string, options?: RequestOptions): Promise<Answer>
  destroy(): void
} {
  const Agent = base.startsWith('https:') ? https.Agent : http.Agent
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return {
    get: (path, options) => request(base, path, { ...options, agent }),
    destroy: () => agent.destroy(),
  }
}

/** A connection on which the test writes and reads bytes itself. */
export class RawClient {
  readonly socket: net.Socket
  received = ''
  error: NodeJS.ErrnoException | undefined
  #ended = false

  private constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => (this.received += chunk.toString('latin1')))
    socket.on('error', (error) => (this.error = error))
    socket.on('end', () => (this.#ended = true))
    socket.on('close', () => (this.#ended = true))
  }

  /** Connected to http://host:port or unix:/path. Rejects with the socket's error. */
  static async connect(base: string): Promise<RawClient> {
    const unix = /^unix:(.+)$/.exec(base)?.[1]
    const url = unix ? undefined : new URL(base)
    const socket = url
      ? net.connect(Number(url.port), url.hostname.replace(/^\[|\]$/g, ''))
      : net.connect(unix!)
    const client = new RawClient(socket)
    await until(`connected to ${base}`, () => socket.readyState === 'open' || client.error)
    if (client.error) throw client.error
    return client
  }

  send(bytes: string | Buffer): void {
    this.socket.write(bytes)
  }

  /** Waits until what was received matches. */
  async receives(pattern: RegExp, ms?: number): Promise<RegExpExecArray> {
    return until(
      `received ${pattern}`,
      () => pattern.exec(this.received) ?? this.#mustBeOpen(pattern),
      ms,
    )
  }

  /** Waits until the server has closed its end, cleanly or not (then `error` says how). */
  async closed(ms?: number): Promise<void> {
    await until('the server closed the connection', () => this.#ended, ms)
  }

  destroy(): void {
    this.socket.destroy()
  }

  #mustBeOpen(pattern: RegExp): undefined {
    if (!this.#ended) return undefined
    throw new Error(`closed before ${pattern} was received; got ${JSON.stringify(this.received)}`)
  }
}
