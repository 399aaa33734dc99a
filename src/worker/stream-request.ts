// A bare HTTP/2 stream in the clothes of a request and its response, as far as this runtime asks. Runs in every worker.

import type { ServerHttp2Stream } from 'node:http2'
import type { Req, Res } from './requests.ts'

type Headers = Record<string, string | string[] | undefined>

/** For applications that listen for 'stream' and never see a request object. */
export function asRequest(stream: ServerHttp2Stream, headers: Headers): [Req, Res] {
  const req = {
    method: headers[':method'],
    url: headers[':path'],
    headers,
    rawHeaders: [],
    httpVersionMajor: 2,
    httpVersion: '2.0',
    get complete() {
      return stream.endAfterHeaders || stream.readableEnded
    },
    get socket() {
      return stream.session?.socket
    },
  }
  const res = {
    stream,
    get headersSent() {
      return stream.headersSent
    },
    get writableEnded() {
      return stream.writableEnded
    },
    get writableFinished() {
      return stream.writableFinished
    },
    get statusCode() {
      return Number(stream.sentHeaders?.[':status'] ?? 0)
    },
    getHeader: (name: string) => stream.sentHeaders?.[name],
    getHeaderNames: () => [],
    writeHead: (status: number, more: Headers) => stream.respond({ ':status': status, ...more }),
    end: (body?: string) => (body === undefined ? stream.close() : stream.end(body)),
    on: (event: string, listener: () => void) =>
      stream.on(event, () => Reflect.apply(listener, res, [])),
  }
  return [req as unknown as Req, res as unknown as Res]
}
