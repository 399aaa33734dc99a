// A web-standard `fetch(request)` application behind node:http. Runs in workers that serve a Hono app or any
// { fetch }; imported only then. Streams both ways with backpressure and follows the client's disconnect.

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'

/** `env` is what Hono's Node helpers (`getConnInfo`) look for. */
export interface FetchApp {
  fetch(request: Request, env: { incoming: IncomingMessage; outgoing: ServerResponse }): unknown
}

/**
 * Answers 500 and prints the error if the app throws or returns no Response, 400 if the request cannot be a `Request`
 * (a Host that is none). The request's signal aborts when the client leaves before the response is complete.
 */
export function fetchHandler(app: FetchApp): RequestListener {
  return (req, res) => {
    const gone = new AbortController()
    res.once('close', () => {
      if (!res.writableFinished) gone.abort()
    })
    const request = toRequest(req, res, gone.signal)
    if (!request) return void res.writeHead(400).end('Bad Request')
    answer(app, request, req, res).catch((error: unknown) => fail(res, gone.signal, error))
  }
}

async function answer(
  app: FetchApp,
  request: Request,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const response = await app.fetch(request, { incoming: req, outgoing: res })
  if (!isResponse(response))
    throw new TypeError(`fetch() returned ${String(response)}; it must return a Response`)
  if (res.headersSent || res.destroyed) return void (await response.body?.cancel())
  writeHead(res, response)
  if (!response.body) return void res.end()
  if (req.method === 'HEAD') {
    res.end()
    return response.body.cancel()
  }
  await pump(response.body.getReader(), res)
}

function fail(res: ServerResponse, signal: AbortSignal, error: unknown): void {
  if (signal.aborted) return
  console.error(error)
  if (res.headersSent) return void res.destroy()
  for (const name of res.getHeaderNames()) res.removeHeader(name)
  res.statusMessage = ''
  res.writeHead(500, { 'content-type': 'text/plain' }).end('Internal Server Error')
}

// --- the request ---

function toRequest(
  req: IncomingMessage,
  res: ServerResponse,
  signal: AbortSignal,
): Request | undefined {
  try {
    const bodyless = req.method === 'GET' || req.method === 'HEAD'
    const init = { method: req.method ?? 'GET', headers: headersOf(req), signal }
    return new Request(
      urlOf(req),
      bodyless ? init : { ...init, body: bodyOf(req, res), duplex: 'half' },
    )
  } catch (error) {
    // TypeError: a Host, a header or a method (TRACE) that the web standard refuses
    if (error instanceof TypeError) return undefined
    throw error
  }
}

function urlOf(req: IncomingMessage): string {
  const target = req.url ?? '/'
  if (/^https?:\/\//i.test(target)) return target
  const scheme = (req.socket as Partial<TLSSocket>).encrypted ? 'https' : 'http'
  const host = req.headers[':authority'] ?? req.headers.host ?? 'localhost'
  return `${scheme}://${String(host)}${target.startsWith('/') ? '' : '/'}${target}`
}

function headersOf(req: IncomingMessage): Headers {
  const headers = new Headers()
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i]!
    if (!name.startsWith(':')) headers.append(name, req.rawHeaders[i + 1]!)
  }
  return headers
}

/**
 * Not `Readable.toWeb`: cancelling that destroys the socket, and with it the response. Nothing is read before it is
 * asked for, so Node still discards a body that the app ignores.
 */
function bodyOf(req: IncomingMessage, res: ServerResponse): ReadableStream<Uint8Array> {
  let ended = false
  const start = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    const end = (act: () => void) => () => {
      if (ended) return
      ended = true
      act()
    }
    req.on('data', (chunk: Buffer) => {
      if (ended) return
      controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength))
      req.pause()
    })
    req.pause()
    req.once(
      'end',
      end(() => controller.close()),
    )
    req.once(
      'error',
      end(() =>
        controller.error(new DOMException('The client closed the connection', 'AbortError')),
      ),
    )
    // A body half read must not block the connection's next request.
    res.once(
      'close',
      end(() => void controller.error(new DOMException('The response is complete', 'AbortError'))),
    )
    res.once('close', () => req.resume())
  }
  const pull = (): void => void req.resume()
  const cancel = (): void => {
    ended = true
    req.resume()
  }
  return new ReadableStream({ start, pull, cancel }, { highWaterMark: 0 })
}

// --- the response ---

const isResponse = (value: unknown): value is Response =>
  typeof value === 'object' &&
  value !== null &&
  'status' in value &&
  'headers' in value &&
  'body' in value

/** Set but not sent yet: a body that is complete at once then gets its Content-Length from Node. */
function writeHead(res: ServerResponse, response: Response): void {
  const http1 = res.req.httpVersionMajor === 1
  res.statusCode = response.status
  if (http1 && response.statusText) res.statusMessage = response.statusText
  response.headers.forEach((value, name) => {
    if (name !== 'set-cookie' && (http1 || !connectionHeaders.has(name))) res.setHeader(name, value)
  })
  const cookies = response.headers.getSetCookie()
  if (cookies.length > 0) res.setHeader('set-cookie', cookies)
}

/** HTTP/2 has none of them, and Node throws. */
const connectionHeaders = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])

type Reader = ReadableStreamDefaultReader<Uint8Array>

async function pump(reader: Reader, res: ServerResponse): Promise<void> {
  const cancel = (): void => {
    reader.cancel().catch(() => {
      // The stream has failed by itself: whoever waits in read() hears of it.
    })
  }
  res.once('close', cancel)
  const first = await sendHeadersUnlessSoon(reader.read(), res)
  if (first.done) return void res.end()
  let next = reader.read()
  const second = await soon(next)
  if (second?.done) return void res.end(first.value)
  await write(res, first.value)
  for (let chunk = await next; !chunk.done && !res.destroyed; chunk = await next) {
    await write(res, chunk.value)
    next = reader.read()
  }
  res.end()
}

/** An event stream's client waits for the headers, long before the first event. */
async function sendHeadersUnlessSoon<T>(read: Promise<T>, res: ServerResponse): Promise<T> {
  if ((await soon(read)) === undefined) res.flushHeaders()
  return read
}

/** What the promise gives within this turn of the event loop, else undefined. */
const soon = <T>(promise: Promise<T>): Promise<T | undefined> =>
  Promise.race([promise, new Promise<undefined>((resolve) => setImmediate(resolve, undefined))])

async function write(res: ServerResponse, chunk: Uint8Array): Promise<void> {
  if (res.destroyed || res.write(chunk)) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      res.off('drain', done)
      res.off('close', done)
      resolve()
    }
    res.on('drain', done)
    res.on('close', done)
  })
}
