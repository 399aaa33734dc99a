// One line for every response, in the combined format or as JSON, buffered and off the hot path. Runs in every worker
// that has `accessLog` set; sonic-boom is loaded only then.

import { createRequire } from 'node:module'
import type { SonicBoom } from 'sonic-boom'
import type { Entry } from './request-entry.ts'
import { headLength, sentHeader } from './sent-headers.ts'
import type { Standing } from './standing.ts'

const BUFFER_BYTES = 4_096
const FLUSH_MS = 200

export class AccessLog {
  readonly #out: SonicBoom
  readonly #line: (entry: Entry) => string

  /** `file`: a path, or `-` for stdout. */
  constructor(file: string, format: 'text' | 'json', standing: Standing) {
    const sonic = createRequire(import.meta.url)('sonic-boom') as { SonicBoom: typeof SonicBoom }
    const dest = file === '-' ? { fd: 1 } : { dest: file }
    this.#out = new sonic.SonicBoom({
      ...dest,
      sync: false,
      minLength: BUFFER_BYTES,
      maxLength: 4 << 20,
    } as never)
    // EPIPE, ENOSPC: the log's reader left or the disk is full; requests are served all the same
    this.#out.on('error', () => undefined)
    this.#line = format === 'json' ? (entry) => jsonLine(entry, standing.slot) : combinedLine
    setInterval(() => this.#out.flush(), FLUSH_MS).unref()
    process.on('exit', () => this.flush())
  }

  write(entry: Entry): void {
    this.#out.write(this.#line(entry))
  }

  /** For a request that nobody tracks. */
  writeAtEnd(entry: Entry): undefined {
    entry.res.on('close', () => this.write(entry))
  }

  flush(): void {
    try {
      this.#out.flushSync()
    } catch (error) {
      // EPIPE, ENOSPC as above; "not ready yet" when the file never opened: nothing to be done while exiting
      if (!(error instanceof Error)) throw error
    }
  }
}

const elapsed = (entry: Entry): number => (performance.now() - entry.startedAt) / 1000

/** Bytes of the body as announced, else as sent (chunks with their frames); null where nobody counted: HTTP/2. */
function bodyLength({ req, res, sentBefore }: Entry): number | null {
  const announced = sentHeader(res, 'content-length')
  if (announced !== undefined) return Number(announced)
  if (req.httpVersionMajor >= 2) return null
  return Math.max(0, req.socket.bytesWritten - sentBefore - headLength(res))
}

/** 499 as nginx has it: the client left before the response began. */
export const statusOf = ({ res }: Entry): number => (res.headersSent ? res.statusCode : 499)

function jsonLine(entry: Entry, slot: number): string {
  const { req } = entry
  const line = {
    time: new Date().toISOString(),
    event: 'request',
    pid: process.pid,
    slot,
    remote: req.socket?.remoteAddress ?? null,
    method: req.method,
    url: req.url,
    version: req.httpVersion,
    status: statusOf(entry),
    bytes: bodyLength(entry),
    seconds: Math.round(elapsed(entry) * 1e6) / 1e6,
    referer: req.headers.referer ?? null,
    agent: req.headers['user-agent'] ?? null,
  }
  return JSON.stringify(line) + '\n'
}

function combinedLine(entry: Entry): string {
  const { req } = entry
  const request = `${req.method} ${req.url} HTTP/${req.httpVersion}`
  const bytes = bodyLength(entry) ?? '-'
  return (
    `${req.socket?.remoteAddress ?? '-'} - - [${clfTime(new Date())}] "${quoted(request)}" ${statusOf(entry)} ${String(bytes)} ` +
    `"${quoted(req.headers.referer)}" "${quoted(req.headers['user-agent'])}" ${elapsed(entry).toFixed(6)}\n`
  )
}

/** No client can end the line or the quotes: log injection. */
const quoted = (text: string | undefined): string =>
  text === undefined
    ? '-'
    : text.replace(
        /["\\\x00-\x1f\x7f-\x9f]/g,
        (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
      )

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `23/Nov/2026:03:48:15 +0000`, in UTC. */
function clfTime(date: Date): string {
  const iso = date.toISOString()
  return `${iso.slice(8, 10)}/${MONTHS[date.getUTCMonth()]}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`
}
