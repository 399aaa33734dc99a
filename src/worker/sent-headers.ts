// What a response's headers said, and the one that we add. Runs in every worker.

import type { Entry } from './request-entry.ts'
import type { Res } from './requests.ts'

/** A header of the response, also one that was given to writeHead() alone, which getHeader() does not know. */
export function sentHeader(res: Res, name: string): string | undefined {
  const set = res.getHeader(name)
  if (set !== undefined) return String(set)
  const head = (res as { _header?: string | null })._header
  return head ? new RegExp(`\\r\\n${name}: ?([^\\r]*)`, 'i').exec(head)?.[1] : undefined
}

/** Bytes of the response's head; 0 before it was sent and for HTTP/2, which compresses it. */
export const headLength = (res: Res): number =>
  (res as { _header?: string | null })._header?.length ?? 0

/** In lower case, as node lists the headers of a response. */
export const TIMEOUT_HEADER = 'x-timeout'

/**
 * `X-Timeout: 30; route="POST /imports/*"`, for debugging (`timeoutHeader`): seconds, 0 for none, and the route that the request
 * matched. A bare HTTP/2 stream can't be given headers.
 */
export function stampTimeout({ res, timeout, route }: Entry): void {
  if (!('setHeader' in res)) return
  res.setHeader(
    'X-Timeout',
    route ? `${timeout}; route="${printable(route.pattern)}"` : `${timeout}`,
  )
}

/** Escaped as in a URL, where a header can't have it. */
const printable = (pattern: string): string =>
  pattern.replace(/[^ -~]|["\\%]/gu, (c) => Buffer.from(c).toString('hex').replace(/../g, '%$&'))
