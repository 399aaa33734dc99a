// What a request may not be: too many headers, two Hosts, a line or a body too long. Runs in every worker.
// Node alone truncates headers in silence at maxHeadersCount and accepts a duplicate Host (measured on 20 and 26).

import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { WorkerSettings } from '../protocol.ts'
import type { Req } from './requests.ts'

export interface Refusal {
  readonly status: 400 | 413 | 414 | 431
  readonly text: string
}

const DUPLICATE_HOST: Refusal = { status: 400, text: 'Duplicate Host header' }

/** Why the request is refused before the application sees it, or undefined. */
export function whyRefused(req: Req, s: WorkerSettings, maxBody: number): Refusal | undefined {
  const raw = req.rawHeaders
  if (s.limitRequestFields > 0 && raw.length > 2 * s.limitRequestFields)
    return { status: 431, text: `More than ${s.limitRequestFields} header fields` }
  if (hasTwoHosts(raw)) return DUPLICATE_HOST
  if (s.limitRequestLine > 0 && lineLength(req) > s.limitRequestLine)
    return { status: 414, text: `Request line longer than ${s.limitRequestLine} bytes` }
  if (maxBody > 0 && Number(req.headers['content-length'] ?? 0) > maxBody) return tooLarge(maxBody)
  return undefined
}

export const tooLarge = (maxBody: number): Refusal => ({
  status: 413,
  text: `Body larger than ${maxBody} bytes`,
})

function hasTwoHosts(raw: readonly string[]): boolean {
  let hosts = 0
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!
    if (name.length === 4 && (name === 'Host' || name === 'host' || name.toLowerCase() === 'host'))
      hosts++
  }
  return hosts > 1
}

/** `GET /path HTTP/1.1` without its line end, as Gunicorn counts it. */
const lineLength = (req: IncomingMessage | Http2ServerRequest): number =>
  (req.method ?? '').length + 1 + (req.url ?? '').length + 1 + 'HTTP/1.1'.length
