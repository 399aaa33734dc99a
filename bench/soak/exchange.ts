// One HTTP exchange as the soak's clients do it, and everything that can become of it.

import http from 'node:http'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** How it ended. Times in ms of Date.now(), because the server's log has those. */
export interface Outcome {
  readonly startedAt: number
  readonly endedAt: number
  /** Undefined: no response. */
  readonly status?: number
  readonly body: string
  readonly retryAfter?: string | undefined
  /** The code of an error, `hung`, or `left` if the client went away on purpose. */
  readonly error?: string
  /** The connection had carried a request before. */
  readonly reused: boolean
}

export interface Piece {
  readonly bytes: number
  /** Before the next one, ms. */
  readonly pause: number
}

export interface Exchange {
  readonly path: string
  readonly agent: http.Agent | false
  /** An upload of this length, in these pieces; it may stop before its end. */
  readonly upload?: { readonly length: number; readonly pieces: readonly Piece[] }
  /** The client leaves after so long, ms. */
  readonly leaveAfter?: number
  /** After so long nobody waits any more, ms. */
  readonly patience: number
}

export function exchange(port: number, what: Exchange): Promise<Outcome> {
  const startedAt = Date.now()
  const { path, agent, upload } = what
  const headers = upload ? { 'content-length': upload.length } : {}
  const method = upload ? 'POST' : 'GET'
  return new Promise((resolve) => {
    const req = http.request({ host: '127.0.0.1', port, path, agent, method, headers })
    let response: http.IncomingMessage | undefined
    let body = ''
    let why: string | undefined
    const end = (error?: string): void => {
      timers.forEach(clearTimeout)
      req.destroy()
      const { statusCode: status, headers: received } = response ?? {}
      const failure = why ?? error
      resolve({
        startedAt,
        endedAt: Date.now(),
        body,
        reused: req.reusedSocket,
        ...(status !== undefined && { status, retryAfter: received?.['retry-after'] }),
        ...(failure !== undefined && { error: failure }),
      })
    }
    const giveUp = (after: number | undefined, reason: string): NodeJS.Timeout =>
      setTimeout(
        () => {
          why = reason
          end()
        },
        after ?? 2 ** 30,
      )
    const timers = [giveUp(what.leaveAfter, 'left'), giveUp(what.patience, 'hung')]
    req.on('response', (res) => {
      response = res
      res.setEncoding('latin1').on('data', (text: string) => (body += text))
      res.on('end', () => complete(res, req, end))
      res.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
    })
    req.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
    if (upload) void send(req, upload.pieces, upload.length)
    else req.end()
  })
}

/** The agent must have its socket back before we say that it is over. */
function complete(res: http.IncomingMessage, req: http.ClientRequest, end: () => void): void {
  if (!req.writableEnded || res.headers.connection === 'close') return end()
  req.destroyed ? end() : req.once('close', () => end())
}

async function send(
  req: http.ClientRequest,
  pieces: readonly Piece[],
  length: number,
): Promise<void> {
  let sent = 0
  for (const { bytes, pause } of pieces) {
    if (req.destroyed) return
    req.write('x'.repeat(bytes))
    sent += bytes
    await sleep(pause)
  }
  if (sent === length && !req.destroyed) req.end()
}

/** Bytes as they are, several requests in one; resolves when the server has closed or `isEnough`. */
export function raw(
  port: number,
  bytes: string,
  {
    isEnough,
    leaveAfter,
    patience,
  }: { isEnough: (received: string) => boolean; leaveAfter?: number; patience: number },
): Promise<Outcome> {
  const startedAt = Date.now()
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    let body = ''
    const end = (error?: string): void => {
      timers.forEach(clearTimeout)
      socket.destroy()
      resolve({ startedAt, endedAt: Date.now(), body, reused: false, ...(error && { error }) })
    }
    const timers = [
      setTimeout(() => end('left'), leaveAfter ?? 2 ** 30),
      setTimeout(() => end('hung'), patience),
    ]
    socket.on('data', (chunk: Buffer) => {
      body += chunk.toString('latin1')
      if (isEnough(body)) end()
    })
    socket.on('end', () => end())
    socket.on('close', () => end())
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
    socket.write(bytes)
  })
}
