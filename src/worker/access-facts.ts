// A request that is over, as the access log and the hooks see it. Runs in every worker that has one of them.

import type { ClientAddress } from './client-address.ts'
import type { Entry } from './request-entry.ts'
import { headLength, sentHeader } from './sent-headers.ts'

/** `ok`: its response was sent to the end; `shed`: it waited too long for its route; `error`: nobody caught one. */
export type Outcome = 'ok' | 'timeout' | 'aborted' | 'shed' | 'error'

/** What a line is made of. Names of headers in lower case. */
export interface AccessFacts {
  /** Ms since 1970. */
  readonly time: number
  /** Undefined: a unix socket, or nobody knows. */
  readonly remote: string | undefined
  readonly remotePort: number | undefined
  readonly method: string
  readonly url: string
  /** `1.1` */
  readonly version: string
  readonly isEncrypted: boolean
  readonly status: number
  /** Of the response's body; undefined where nobody counted: HTTP/2. */
  readonly bytes: number | undefined
  /** From its headers to the end of its response. */
  readonly ms: number
  /** How much of that it waited for room on its route. */
  readonly queuedMs: number
  readonly outcome: Outcome
  readonly route: string | undefined
  readonly id: string
  readonly slot: number
  received(header: string): string | undefined
  sent(header: string): string | undefined
}

/** 499 as nginx has it: the client left before the response began. */
export const statusOf = ({ res }: Entry): number => (res.headersSent ? res.statusCode : 499)

/** Everything sent, and node knows it, or will in a moment: the process is about to end. */
const isSent = ({ req, res }: Entry): boolean =>
  res.writableFinished || (res.writableEnded && req.socket?.writableLength === 0)

export function outcomeOf(entry: Entry): Outcome {
  const { state, route } = entry
  if (state === 'timed-out') return 'timeout'
  if (state === 'failed') return 'error'
  if (!isSent(entry)) return 'aborted'
  return route?.concurrency !== undefined && !entry.entered ? 'shed' : 'ok'
}

/** For each connection: bytes that it had sent when its last response was over, reckoned where that is quicker than to ask. */
const SENT = Symbol('nodicorn.sent')
type Counted = { [SENT]?: number; readonly bytesWritten: number }

/** As announced if it was sent to the end, else as sent (chunks with their frames). To be asked once for each response. */
function bodyLength(entry: Entry): number | undefined {
  const { req, res } = entry
  const length = isSent(entry) ? announced(entry) : undefined
  if (req.httpVersionMajor >= 2) return length
  const socket = req.socket as Counted
  const before = (socket[SENT] ?? 0) + headLength(res)
  const known = hasNoBody(res) ? 0 : length
  socket[SENT] = known === undefined ? socket.bytesWritten : before + known
  return known ?? Math.max(0, socket[SENT] - before)
}

/** HEAD, 204, 304; or nothing was sent at all. */
const hasNoBody = (res: Entry['res']): boolean =>
  !res.headersSent || (res as { _hasBody?: boolean })._hasBody === false

/** Node has parsed, or counted, what it announced; null where it announced nothing. */
function announced({ res }: Entry): number | undefined {
  const counted = (res as { _contentLength?: number | null })._contentLength
  if (counted !== undefined) return counted ?? undefined
  const length = sentHeader(res, 'content-length')
  return length === undefined ? undefined : Number(length)
}

/** What a line needs beside the request itself. */
export interface FactSources {
  readonly clients: ClientAddress
  readonly slot: () => number
  /** Of the connection; '' if it was gone before anybody asked. */
  readonly peer: (entry: Entry) => string | undefined
  /** Ms; undefined: it was never let in. */
  readonly queued: (entry: Entry) => number | undefined
}

/** Getters, because no format asks for all of it. */
export class Finished implements AccessFacts {
  // #private fields would take longer to make
  private readonly entry: Entry
  private readonly sources: FactSources
  readonly time = Date.now()
  readonly ms: number
  readonly bytes: number | undefined

  constructor(entry: Entry, sources: FactSources) {
    this.entry = entry
    this.sources = sources
    this.ms = performance.now() - entry.startedAt
    this.bytes = bodyLength(entry)
  }

  get remote(): string | undefined {
    const entry = this.entry
    return this.sources.clients.of(this.sources.peer(entry), forwardedFor(entry))
  }

  get remotePort(): number | undefined {
    return this.entry.req.socket?.remotePort
  }

  get method(): string {
    return this.entry.method
  }

  get url(): string {
    return this.entry.url
  }

  get version(): string {
    return this.entry.req.httpVersion
  }

  get isEncrypted(): boolean {
    const { socket, httpVersionMajor } = this.entry.req
    return httpVersionMajor >= 2 || (socket as { encrypted?: boolean }).encrypted === true
  }

  get status(): number {
    return statusOf(this.entry)
  }

  get queuedMs(): number {
    const entry = this.entry
    if (entry.route?.concurrency === undefined) return 0
    return this.sources.queued(entry) ?? (entry.entered ? 0 : this.ms)
  }

  get outcome(): Outcome {
    return outcomeOf(this.entry)
  }

  get route(): string | undefined {
    return this.entry.route?.pattern
  }

  get id(): string {
    return this.entry.loggedId
  }

  get slot(): number {
    return this.sources.slot()
  }

  received(header: string): string | undefined {
    return textOf(this.entry.req.headers[header])
  }

  sent(header: string): string | undefined {
    return sentHeader(this.entry.res, header)
  }
}

/** A name of a header may be that of something objects inherit. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return Array.isArray(value) ? value.join(', ') : undefined
}

const forwardedFor = ({ req }: Entry): string | undefined => textOf(req.headers['x-forwarded-for'])
