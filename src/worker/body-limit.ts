// Counts the bytes of a body whose length was not announced, and stops it at `maxBody`. Runs in every worker.

import type { Req, Res } from './requests.ts'
import { answer, cutOff, swallow } from './refuse.ts'
import { tooLarge } from './limits.ts'

/** For a request without Content-Length: answers 413 at the first byte too many; if the response has begun, cuts the connection. */
export function limitBody(req: Req, res: Res, maxBody: number): void {
  if (req.headers['content-length'] !== undefined) return
  const push = req.push
  let size = 0
  req.push = function (chunk: Buffer | null, encoding?: BufferEncoding) {
    size += chunk?.length ?? 0
    if (size <= maxBody) return push.call(this, chunk, encoding)
    if (res.headersSent && !res.writableEnded) cutOff(req, res)
    else if (!res.headersSent) {
      const { status, text } = tooLarge(maxBody)
      answer(req, res, status, `${text}\n`)
      swallow(res)
    }
    return true
  }
}
