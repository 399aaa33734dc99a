// Answers a request in the application's stead: a small text, then the connection ends in a way the client can read.
// Runs in every worker; used by limits (400, 413, 414, 431) and deadlines (504).

import type net from 'node:net'
import type { Req, Res } from './requests.ts'
import { TIMEOUT_HEADER } from './sent-headers.ts'

/** How long a client may go on sending after our FIN before its connection is cut, ms. */
export const LINGER_MS = 2_000

/** Sends `status` with `body` and ends the connection. The response must not have begun. `more`: headers beside or instead of ours. */
export function answer(
  req: Req,
  res: Res,
  status: number,
  body: string,
  more: Readonly<Record<string, string>> = {},
): void {
  // what the handler meant for its own answer
  for (const name of res.getHeaderNames()) if (name !== TIMEOUT_HEADER) res.removeHeader(name)
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...more,
  }
  if (req.httpVersionMajor >= 2) {
    res.writeHead(status, headers)
    res.end(body)
    return
  }
  if (!req.complete) linger(req.socket as net.Socket)
  res.writeHead(status, { ...headers, connection: 'close' })
  res.end(body)
}

/** A response that has begun can't become another one: the client must see that it is cut. */
export function cutOff(req: Req, res: Res): void {
  if ('stream' in res) res.stream.close(INTERNAL_ERROR)
  else req.socket.destroy()
}

/** RFC 9113, 7. */
const INTERNAL_ERROR = 2

/**
 * A close with unread bytes in the kernel is a reset, which can overtake the answer: so half-close, read on for a while, then close.
 * (nginx calls this lingering_close.)
 */
export function linger(socket: net.Socket): void {
  socket.destroySoon = function () {
    this.end()
    this.resume()
    const timer = setTimeout(() => this.destroy(), LINGER_MS)
    timer.unref()
    this.once('close', () => clearTimeout(timer))
  }
}

/** From now on the application may write to `res` what it likes: nothing is sent and nothing throws. `onEnd`: it says it has finished, perhaps twice. */
export function swallow(res: Res, onEnd: () => void = () => undefined): void {
  const chain = function (this: Res): Res {
    return this
  }
  const done = function (this: Res, ...args: unknown[]): Res {
    const callback = args.find((arg) => typeof arg === 'function') as (() => void) | undefined
    if (callback) process.nextTick(callback)
    onEnd()
    return this
  }
  Object.assign(res, {
    writeHead: chain,
    setHeader: chain,
    appendHeader: chain,
    setHeaders: chain,
    removeHeader: () => undefined,
    flushHeaders: () => undefined,
    writeContinue: () => undefined,
    writeProcessing: () => undefined,
    writeEarlyHints: () => undefined,
    addTrailers: () => undefined,
    write: () => true,
    end: done,
    destroy: done,
  })
  if ('stream' in res) Object.assign(res.stream, streamSilence, { end: done })
}

/** An application that works with bare HTTP/2 streams holds this, not the response. */
const streamSilence = {
  respond: () => undefined,
  respondWithFD: () => undefined,
  respondWithFile: () => undefined,
  additionalHeaders: () => undefined,
  write: () => true,
}
