// What a response's headers said. Runs in every worker.

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
