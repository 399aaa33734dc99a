// TLS for an application that exports its handler or a server without TLS (--certfile): makes the server, or puts TLS in
// front of the one there is, and changes the certificate of both while they run. Runs in every worker.

import type http from 'node:http'
import type { Http2Session, SecureServerOptions } from 'node:http2'
import type net from 'node:net'
import type { TLSSocket, TlsOptions } from 'node:tls'
import { http as nodeHttp } from '../builtin.ts'
import { deferred } from '../deferred.ts'
import { UserError } from '../errors.ts'
import type { Credentials, TlsInit, WorkerSettings } from '../protocol.ts'

/** A server whose certificate can be changed. */
type Renewable = net.Server & { setSecureContext(options: TlsOptions): void }
type Listener = (this: net.Server, ...args: unknown[]) => void

export class Tls {
  readonly #init: TlsInit
  readonly #times: Pick<WorkerSettings, 'keepAlive' | 'headersTimeout'>
  readonly #notice: (text: string) => void
  readonly #told = deferred<void>()
  #credentials: Credentials | undefined
  readonly #servers: Renewable[] = []

  /** `notice`: tells the log. */
  constructor(
    init: TlsInit,
    times: Pick<WorkerSettings, 'keepAlive' | 'headersTimeout'>,
    notice: (text: string) => void,
  ) {
    this.#init = init
    this.#times = times
    this.#notice = notice
  }

  /** The certificate of all connections from now on; those there are keep theirs. */
  use(credentials: Credentials): void {
    this.#credentials = credentials
    this.#told.resolve()
    for (const server of this.#servers) server.setSecureContext(this.#context(credentials))
  }

  /** A server for the handler. Throws BAD_SETTING if the handler can't be served over HTTP/2. */
  async serve(handler: http.RequestListener): Promise<net.Server> {
    const options = await this.#options()
    const server = this.#init.http2
      ? this.#http2(options, handler)
      : process.getBuiltinModule('node:https').createServer(options, handler)
    this.#checkClients(server)
    this.#servers.push(server)
    return server
  }

  /** The server with TLS in front, unless it has its own. Throws BAD_SETTING if it can't have it. */
  async cover(server: net.Server): Promise<net.Server> {
    if (hasTls(server)) {
      this.#notice(OWN_TLS)
      return server
    }
    if (!(server instanceof nodeHttp().Server))
      throw refusal('--certfile', 'the app exports a server that is no http.Server')
    if (this.#init.http2) throw refusal('--http2', 'the app brings a server of its own')
    const options = { ...(await this.#options()), ALPNProtocols: ['http/1.1'] }
    const front = process.getBuiltinModule('node:tls').createServer(options)
    putInFront(front, server)
    this.#checkClients(front)
    this.#servers.push(front)
    return server
  }

  /** An application that listens by itself: undefined if it may. */
  faultOf(server: net.Server): UserError | undefined {
    if (!hasTls(server)) return refusal('--certfile', 'the app listens by itself, without TLS')
    this.#notice(OWN_TLS)
    return undefined
  }

  async #options(): Promise<TlsOptions> {
    const { certReqs } = this.#init
    const { headersTimeout } = this.#times
    await this.#told.promise
    return {
      ...this.#context(this.#credentials!),
      requestCert: certReqs !== 'none',
      rejectUnauthorized: certReqs === 'required',
      ...(headersTimeout > 0 && { handshakeTimeout: headersTimeout * 1000 }),
    }
  }

  #context({ cert, key, ca, ticketKeys }: Credentials): TlsOptions {
    const { ciphers, minVersion } = this.#init
    return {
      cert,
      key,
      minVersion,
      ticketKeys: Buffer.from(ticketKeys, 'base64'),
      ...(ca !== undefined && { ca }),
      ...(ciphers && { ciphers }),
    }
  }

  #http2(options: TlsOptions, handler: http.RequestListener): Renewable {
    if ('engine' in handler && 'render' in handler)
      throw refusal('--http2', 'Express does not work with it')
    const server = process
      .getBuiltinModule('node:http2')
      .createSecureServer(
        { ...(options as SecureServerOptions), allowHTTP1: true },
        handler as never,
      )
    const { keepAlive } = this.#times
    if (keepAlive > 0) server.on('session', (session) => endIdle(session, keepAlive * 1000))
    return server as unknown as Renewable
  }

  /** To node, `optional` lets bad certificates in as well. */
  #checkClients(server: net.Server): void {
    if (this.#init.certReqs !== 'optional') return
    const listeners = server.listeners('secureConnection') as Listener[]
    server.removeAllListeners('secureConnection')
    server.on('secureConnection', (socket: TLSSocket) => {
      const isBad = !socket.authorized && Object.keys(socket.getPeerCertificate()).length > 0
      if (isBad) socket.destroy()
      else for (const listener of listeners) listener.call(server, socket)
    })
  }
}

const OWN_TLS = '--certfile has no effect: the application has TLS of its own'

/** Told by what it has: see listening.ts. */
const hasTls = (server: net.Server): boolean => 'setSecureContext' in server

const refusal = (flag: string, why: string): UserError =>
  new UserError(
    'BAD_SETTING',
    `${flag} cannot be used: ${why}; export the handler instead, such as (req, res) => { ... }, or leave ${flag} out`,
  )

/**
 * What https.Server does at its birth, for a http.Server that has none of it: connections are for `front` first, and what it
 * has deciphered is for the server's own first listener, which is node's. It then counts as one with TLS, here and elsewhere.
 */
function putInFront(front: Renewable, server: net.Server): void {
  const [accept] = server.listeners('connection') as Listener[]
  const [handshake] = front.listeners('connection') as Listener[]
  server.removeListener('connection', accept as never)
  server.prependListener('connection', (socket) => handshake!.call(front, socket))
  front.on('secureConnection', (socket: TLSSocket) => accept!.call(server, socket))
  front.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    if (!server.emit('clientError', error, socket)) socket.destroy()
  })
  const inner = server as Renewable & { allowHalfOpen: boolean }
  inner.allowHalfOpen = false // a client that leaves in its handshake would stay
  inner.setSecureContext = (options) => front.setSecureContext(options)
}

/** Node never ends a session that is idle. One whose request takes its time is not. */
function endIdle(session: Http2Session, ms: number): void {
  let open = 0
  session.on('stream', (stream) => {
    open++
    stream.once('close', () => open--)
  })
  session.setTimeout(ms, () => {
    if (open === 0) session.close()
  })
}
