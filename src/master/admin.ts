// The admin address: health checks, metrics, a page and its API, answered by the master alone, so that blocked workers make nobody
// wait. Loaded only where the settings ask for it. Runs in the master, beside its loop.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Server as NetServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { isLocal, tryAdminAddress, type AdminAddress } from '../admin-address.ts'
import { formatUrl } from '../address.ts'
import { fs } from '../builtin.ts'
import type { ControlRequest } from '../control-protocol.ts'
import type { Log } from '../log.ts'
import type { Settings } from '../settings.ts'
import { isAuthorized, refusalOf, type Access, type Door } from './admin-access.ts'
import { carryOut, problem, type Reply } from './admin-commands.ts'
import { DashboardDoor } from './admin-dashboard.ts'
import { pageFile } from './admin-page.ts'
import { isServed, listenAt } from './admin-listen.ts'
import { AdminStream } from './admin-stream.ts'
import type { Answering } from './commands.ts'
import type { Ledger } from './ledger.ts'
import type { Master } from './master.ts'
import { inodeOf } from './socket-file.ts'
import type { Sockets } from './sockets.ts'
import type { Status } from './status.ts'
import { WrongTokens } from './wrong-tokens.ts'

/** A client may take so long for the headers of a request, and for all of it, ms. */
const HEADERS_MS = 5_000
const REQUEST_MS = 10_000
const KEEP_ALIVE_MS = 5_000
/** A new master that is in charge replaces the file of a unix socket within this; so often we look, ms. */
const REPLACED_WITHIN_MS = 5_000
const LOOK_MS = 20
/** Then whoever came by the old file is let in for so long, ms: what waits in its queue when it is closed is reset. */
const LAST_GUESTS_MS = 250
/** What we have accepted may take so long, ms: a machine that boots a new master is busy. */
const LAST_ANSWERS_MS = 2_000
const MOST_CONNECTIONS = 256
/** Events that a new page begins with. */
const FIRST_EVENTS = 300

export interface AdminParts {
  readonly log: Log
  readonly master: Pick<Master, 'state'>
  readonly sockets: Sockets
  readonly status: Status
  readonly ledger: Ledger
  /** Carries out a command; rejects with a UserError. */
  readonly run: (request: ControlRequest, how: Answering) => Promise<unknown>
  /** For Prometheus. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>
}

interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly path: string
  readonly door: Door
}

interface Route {
  readonly access: Access
  readonly method: 'GET' | 'POST'
  /** Undefined: it answers by itself. */
  readonly reply: (asked: Asked) => Reply | undefined | Promise<Reply>
}

/** Of everything that is sent: nothing of it is kept, framed, or taken for something else. */
const HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'x-frame-options': 'DENY',
}

export class Admin {
  readonly #parts: AdminParts
  readonly #address: AdminAddress
  readonly #server: Server
  readonly #stream: AdminStream
  readonly #wrongTokens: WrongTokens
  readonly #dashboard: DashboardDoor
  #state: 'closed' | 'open' | 'succeeded' | 'over' = 'closed'
  /** The file of a unix socket as it was made; somebody else's later on stays. */
  #inode: number | undefined
  #leave: (() => void) | undefined
  /** After an upgrade: our last clients have their answers. */
  #left: Promise<void> | undefined

  constructor(parts: AdminParts, address: AdminAddress) {
    this.#parts = parts
    this.#address = address
    const { ledger, status } = parts
    this.#wrongTokens = new WrongTokens(parts.log)
    this.#dashboard = new DashboardDoor({
      path: () => this.#settings.jobs?.dashboard ?? '',
      token: () => this.#settings.adminToken,
      socket: () => parts.master.state.groups.board.dashboard,
      onWrongToken: (request, path) => this.#wrongTokens.count(request.socket.remoteAddress, path),
    })
    this.#stream = new AdminStream(ledger, () => ({
      status: status.server(),
      requests: status.requests(),
    }))
    this.#server = createServer(
      {
        headersTimeout: HEADERS_MS,
        requestTimeout: REQUEST_MS,
        keepAliveTimeout: KEEP_ALIVE_MS,
        connectionsCheckingInterval: 1_000,
      },
      (request, response) => void this.#serve(request, response),
    ).unref()
    this.#server.maxConnections = MOST_CONNECTIONS
    this.#server.on('connection', (socket) => socket.unref())
  }

  /** Never throws: where it can't be, a line in the log says so. `predecessor`: the master that this one replaces. */
  async open(predecessor?: number): Promise<void> {
    const { log, ledger, sockets } = this.#parts
    const address = this.#address
    try {
      if (address.type === 'unix' && predecessor === undefined && (await isServed(address.path)))
        throw new Error('another server has it')
      await listenAt(this.#server, address, sockets)
    } catch (error) {
      this.#server.close() // its file could not be renamed
      const why = (error as Error).message // EACCES, ENOENT, EROFS, EADDRINUSE
      return log.event('adminFailed', { url: formatUrl(address), why })
    }
    if (this.#state === 'over') return void this.#server.close()
    this.#state = 'open'
    if (address.type === 'unix') this.#inode = inodeOf(address.path)
    this.#leave = ledger.follow(({ name }) => {
      if (name === 'upgraded') this.#left = this.#succeeded()
    })
    log.event('adminListening', { url: this.#url })
  }

  /** In the end: whoever still waits is hung up on, after an upgrade in a moment. */
  async close(): Promise<void> {
    await this.#left
    this.#leave?.()
    this.#state = 'over'
    this.#server.close()
    this.#server.closeAllConnections()
    if (this.#address.type === 'unix' && inodeOf(this.#address.path) === this.#inode)
      fs.rmSync(this.#address.path, { force: true })
  }

  get #url(): string {
    const bound = this.#server.address() as AddressInfo | string
    if (typeof bound === 'string') return formatUrl(this.#address)
    return formatUrl({ type: 'tcp', host: bound.address, port: bound.port })
  }

  /** A new master listens on the same TCP socket; a file it is about to replace, and until then clients find us by it. */
  async #succeeded(): Promise<void> {
    this.#state = 'succeeded'
    const address = this.#address
    if (address.type === 'unix') await this.#replaced(address.path)
    // not http's own, which also ends connections that were made a moment ago and have not asked yet (Node 26)
    const ended = new Promise((resolve) => NetServer.prototype.close.call(this.#server, resolve))
    this.#stream.close()
    await Promise.race([ended, sleep(LAST_ANSWERS_MS)])
  }

  async #replaced(path: string): Promise<void> {
    const endAt = performance.now() + REPLACED_WITHIN_MS
    while (inodeOf(path) === this.#inode && performance.now() < endAt) await sleep(LOOK_MS)
    await sleep(LAST_GUESTS_MS)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined) // EPIPE, ECONNRESET: it left before it had its answer
    const path = (request.url ?? '/').split('?')[0]!
    const { adminToken: token } = this.#settings
    const asked = { request, response, path, door: { isLocal: isLocal(this.#address), token } }
    try {
      const reply = await this.#answer(asked)
      if (reply) send(response, reply, this.#state === 'succeeded')
    } catch (error) {
      if (response.headersSent) return void response.destroy()
      send(response, problem(500, 'FAILED', (error as Error).message), true)
    }
  }

  get #settings(): Settings {
    return this.#parts.master.state.config.settings
  }

  #answer(asked: Asked): Reply | undefined | Promise<Reply> {
    const { request, path, door } = asked
    const { authorization, host } = request.headers
    if (this.#dashboard.owns(path)) {
      protect(asked.response)
      return this.#dashboard.answer(request, asked.response, path)
    }
    const route = this.#route(path)
    if (!route) return problem(404, 'NOT_FOUND', `there is no ${path.slice(0, 100)}`)
    const methods = route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]
    if (!methods.includes(request.method!)) {
      const reply = problem(405, 'WRONG_METHOD', `${path} knows only ${methods.join(' and ')}`)
      return { ...reply, headers: { allow: methods.join(', ') } }
    }
    const refusal = refusalOf(route.access, { authorization, host }, door)
    if (!refusal) return route.reply(asked)
    const { status, code, message } = refusal
    if (code === 'WRONG_TOKEN') this.#wrongTokens.count(request.socket.remoteAddress, path)
    const headers = { 'www-authenticate': 'Bearer realm="nodicorn"' }
    return { ...problem(status, code, message), ...(status === 401 && { headers }) }
  }

  #route(path: string): Route | undefined {
    const view = (access: Access, reply: Route['reply']): Route => ({
      access,
      method: 'GET',
      reply,
    })
    switch (path) {
      case '/livez':
        return view('open', () => json(200, { status: 'ok' }))
      case '/readyz':
        return view('open', () => this.#readiness())
      case '/metrics':
        return view('view', () => this.#metrics())
      case '/api/session':
        return view('open', (asked) => json(200, this.#session(asked)))
      case '/api/status':
        return view('view', () => json(200, this.#parts.status.server()))
      case '/api/requests':
        return view('view', () => json(200, this.#parts.status.requests()))
      case '/api/events':
        return view('view', (asked) => this.#follow(asked))
      case '/api/dashboard':
        return this.#pass('action', 'enter')
      case '/api/dashboard/leave':
        return this.#pass('open', 'leave')
      default:
        return path.startsWith('/api/commands/') ? this.#command() : pageRoute(path)
    }
  }

  #session({ request, path, door }: Asked): object {
    const { authorization, host } = request.headers
    const isKnown = isAuthorized({ authorization, host }, door)
    if (authorization !== undefined && !isKnown)
      this.#wrongTokens.count(request.socket.remoteAddress, path)
    return { hasToken: door.token !== '', needsToken: !door.isLocal, isAuthorized: isKnown }
  }

  /** The old master of an upgrade speaks for the new one, which was ready before. */
  #readiness(): Reply {
    if (this.#state === 'succeeded') return json(200, { status: 'ok' })
    const reasons = this.#parts.status.unready()
    return reasons.length === 0
      ? json(200, { status: 'ok' })
      : json(503, { status: 'unavailable', reasons })
  }

  async #metrics(): Promise<Reply> {
    const { contentType, body } = await this.#parts.metrics()
    return { status: 200, type: contentType, body }
  }

  #follow({ request, response }: Asked): Reply | undefined {
    if (request.method === 'HEAD') return { status: 200, type: 'text/event-stream', body: '' }
    if (this.#stream.isFull) return problem(503, 'NOT_NOW', 'too many clients follow the events')
    protect(response)
    response.shouldKeepAlive = false // the connection ends with it
    this.#stream.add(response, FIRST_EVENTS)
    if (this.#state !== 'open') this.#stream.close()
    return undefined
  }

  #pass(access: Access, what: 'enter' | 'leave'): Route {
    return { access, method: 'POST', reply: ({ request }) => this.#dashboard.pass(request, what) }
  }

  #command(): Route {
    const { run } = this.#parts
    return {
      access: 'action',
      method: 'POST',
      reply: ({ request, response, path }) => carryOut(run, path, request, response),
    }
  }
}

/** Undefined if the settings ask for none. */
export function makeAdmin(parts: AdminParts): Admin | undefined {
  const address = tryAdminAddress(parts.master.state.config.settings.admin)
  return address && new Admin(parts, address)
}

function protect(response: ServerResponse): void {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
}

function pageRoute(path: string): Route | undefined {
  const file = pageFile(path)
  return file && { access: 'open', method: 'GET', reply: () => file }
}

const json = (status: number, value: unknown): Reply => ({
  status,
  type: 'application/json',
  body: `${JSON.stringify(value)}\n`,
})

function send(
  response: ServerResponse,
  { status, type, body, headers }: Reply,
  isLast: boolean,
): void {
  const length = Buffer.byteLength(body)
  response.writeHead(status, {
    ...HEADERS,
    'content-type': type,
    'content-length': length,
    ...headers,
    ...(isLast && { connection: 'close' }),
  })
  response.end(body)
}
