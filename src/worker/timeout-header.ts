// `X-Timeout: 30; route="POST /imports/*"`, for debugging: which timeout a request has, and why. Runs in every worker that
// has `timeoutHeader` on.

import type { Entry } from './request-entry.ts'

/** In lower case, as node lists the headers of a response. */
export const TIMEOUT_HEADER = 'x-timeout'

/** Seconds, 0 for none; the route whose setting it is, if it matched one. A bare HTTP/2 stream can't be given headers. */
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
