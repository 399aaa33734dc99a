// A line for each request that is over, in the form that was asked for. Runs in every worker that has `accessLog` set.

import type { WorkerInit } from '../protocol.ts'
import { Finished, type FactSources } from './access-facts.ts'
import { formatter, type Formatter } from './access-line.ts'
import type { Channel } from './channel.ts'
import { ClientAddress } from './client-address.ts'
import type { Drain } from './drain.ts'
import { LogFile } from './log-file.ts'
import type { Entry } from './request-entry.ts'
import type { Req, Requests, Res } from './requests.ts'
import type { Standing } from './standing.ts'

export interface AccessLogParts {
  readonly channel: Channel
  readonly standing: Standing
  readonly requests: Requests
  readonly drain: Drain
  readonly env: Readonly<NodeJS.ProcessEnv>
}

/** Undefined unless it was asked for. */
export const accessLog = (init: WorkerInit, parts: AccessLogParts): AccessLog | undefined =>
  init.settings.accessLog === '' ? undefined : new AccessLog(init, parts)

/** Where a line has to be short, its values are cut to so many characters, until it is. */
const SHORTER = [1_024, 256, 64]

export class AccessLog {
  readonly #file: LogFile
  readonly #format: Formatter
  readonly #sources: FactSources
  readonly #peers = new WeakMap<Res, string>()
  /** Ms that they waited for room on their route. */
  readonly #queued = new WeakMap<Entry, number>()

  constructor({ settings, accessLogFormat }: WorkerInit, parts: AccessLogParts) {
    const { channel, standing, requests, drain, env } = parts
    const file = settings.accessLog
    this.#file = new LogFile(file, {
      fails: (why) => channel.tell({ type: 'access-log-fails', file, why }),
      lost: (lines) => channel.tell({ type: 'access-log-lost', file, lines }),
    })
    this.#format = formatter(accessLogFormat, { pid: process.pid, env })
    this.#sources = {
      clients: new ClientAddress(settings.forwardedAllowIps),
      slot: () => standing.slot,
      peer: ({ req, res }) => this.#peers.get(res) ?? req.socket?.remoteAddress,
      queued: (entry) => this.#queued.get(entry),
    }
    drain.onCleanUp(() => this.#file.flush())
    process.on('exit', () => {
      for (const entry of requests.inFlight) this.write(entry) // the application ended the process
      this.#file.end()
    })
  }

  /** A request's headers are here. Its address is asked for now: a connection that was reset has none. */
  began(req: Req, res: Res): void {
    const { socket } = req
    const address = socket?.remoteAddress
    if (address !== undefined) {
      if (req.httpVersionMajor >= 2) this.#peers.set(res, address)
    } else if (socket?.localAddress !== undefined) this.#peers.set(res, '') // no unix socket, and gone already
  }

  /** For a request whose route has a limit: `admit` calls what it is given when it lets the request in, now or later. */
  timing(entry: Entry, go: () => void, admit: (letIn: () => void) => void): void {
    let since = 0
    admit(() => {
      if (since > 0) this.#queued.set(entry, performance.now() - since)
      go()
    })
    since = performance.now()
  }

  write(entry: Entry): void {
    const facts = new Finished(entry, this.#sources)
    const most = this.#file.longest
    let line = this.#format(facts, Infinity)
    for (const longest of SHORTER)
      if (line.length * 4 > most && Buffer.byteLength(line) > most)
        line = this.#format(facts, longest)
    this.#file.write(line)
  }

  /** For a request that nobody tracks. */
  writeAtEnd(entry: Entry): undefined {
    entry.res.on('close', () => this.write(entry))
  }

  /** Its file was moved away. */
  reopen(): void {
    this.#file.reopen()
  }
}
