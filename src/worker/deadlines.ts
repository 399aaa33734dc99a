// Where the request timeout is enforced while the event loop turns: one sweep over the requests in flight answers 504
// to those past their deadline. Its beat tells the watchdog thread that the loop turns at all. Runs in every worker.

import { HEAD, INTERRUPTED, type Scoreboard } from '../scoreboard.ts'
import type { Channel } from './channel.ts'
import type { HookSlot } from './hook-slot.ts'
import { Orphans } from './orphans.ts'
import { answer, cutOff, swallow } from './refuse.ts'
import type { Entry } from './request-entry.ts'
import type { Requests, Res } from './requests.ts'
import { sentHeader } from './sent-headers.ts'
import { timeoutAnswer } from './error-answer.ts'
import type { Tracker } from './tracker.ts'
import { Utilization } from './utilization.ts'

/** With requests in flight: a 504 comes at most this much late, ms. */
const SWEEP_MS = 50
/** Without: only the beat, ms. */
const IDLE_MS = 500
/** An upload may be this slow in its first seconds, while TCP finds its pace. */
const UPLOAD_GRACE_MS = 5_000
/** A sender silent for so long has stalled; packets may well be further apart than two sweeps. */
const UPLOAD_GAP_MS = 1_000

export interface DeadlineSettings {
  readonly slowRatio: number
  readonly minUploadRate: number
  readonly maxOrphans: number
}

export class Deadlines {
  readonly #requests: Requests
  readonly #channel: Channel
  readonly #board: Scoreboard
  readonly #tracker: Tracker
  readonly #hooks: HookSlot
  readonly #settings: DeadlineSettings
  readonly #orphans: Orphans
  readonly #utilization: Utilization
  #pace: 'idle' | 'busy' = 'idle'
  #timer: NodeJS.Timeout
  #sweptAt = performance.now()

  constructor(
    parts: {
      requests: Requests
      channel: Channel
      board: Scoreboard
      tracker: Tracker
      hooks: HookSlot
    },
    settings: DeadlineSettings,
  ) {
    this.#requests = parts.requests
    this.#channel = parts.channel
    this.#board = parts.board
    this.#tracker = parts.tracker
    this.#hooks = parts.hooks
    this.#settings = settings
    this.#utilization = new Utilization(parts.board)
    this.#orphans = new Orphans(parts.channel, parts.board, settings.maxOrphans)
    this.#timer = this.#tick(IDLE_MS)
  }

  /** A request came: the beat is exact from here on. */
  began(now: number): void {
    this.#beat(now)
    if (this.#pace === 'idle') this.#setPace('busy')
  }

  #beat(now: number): void {
    this.#board.setHead(HEAD.now, now - this.#tracker.epoch)
    this.#board.add(HEAD.beat, 1)
    const interrupted = this.#board.head(HEAD.interrupted)
    if (interrupted <= 0) return
    this.#board.setHead(HEAD.interrupted, 0)
    this.#board.setHead(HEAD.interrupted, this.#answerInterrupted(interrupted))
  }

  #setPace(pace: 'idle' | 'busy'): void {
    this.#pace = pace
    clearInterval(this.#timer)
    this.#timer = this.#tick(pace === 'busy' ? SWEEP_MS : IDLE_MS)
    this.#sweptAt = performance.now()
  }

  #tick(ms: number): NodeJS.Timeout {
    return setInterval(() => this.#sweep(), ms).unref()
  }

  #sweep(): void {
    const now = performance.now()
    this.#beat(now)
    this.#utilization.measure(now)
    const elapsed = now - this.#sweptAt
    this.#utilization.late(elapsed - (this.#pace === 'busy' ? SWEEP_MS : IDLE_MS))
    this.#sweptAt = now
    this.#requests.inFlight.each((entry) => this.#look(entry, now, elapsed))
    if (this.#requests.inFlight.size === 0 && this.#pace === 'busy') this.#setPace('idle')
  }

  #look(entry: Entry, now: number, elapsed: number): void {
    if (entry.state !== 'running' || entry.dueAt === Infinity) return
    if (entry.isReceiving && this.#isUploading(entry, now)) {
      entry.dueAt += elapsed
      this.#tracker.timed(entry)
    }
    const isLate = now >= entry.dueAt
    if (!isLate && !this.#isSlow(entry, now)) return
    if (isExempt(entry.res)) {
      entry.dueAt = Infinity
      this.#tracker.timed(entry)
    } else if (isLate) this.#expire(entry)
    else this.#warn(entry, now)
  }

  /** Time spent receiving the body is the client's, as long as it sends at a decent rate. */
  #isUploading(entry: Entry, now: number): boolean {
    const received = entry.req.socket?.bytesRead ?? 0
    const upload = (entry.upload ??= { receivedAtStart: received, received, receivedAt: now })
    if (received !== upload.received) upload.receivedAt = now
    upload.received = received
    if (now - upload.receivedAt > UPLOAD_GAP_MS) return false
    const ms = now - entry.startedAt
    return (
      ms < UPLOAD_GRACE_MS ||
      ((received - upload.receivedAtStart) / ms) * 1000 >= this.#settings.minUploadRate
    )
  }

  #isSlow({ warned, timeout, dueAt }: Entry, now: number): boolean {
    const { slowRatio } = this.#settings
    return !warned && slowRatio > 0 && dueAt - now <= timeout * 1000 * (1 - slowRatio)
  }

  #warn(entry: Entry, now: number): void {
    entry.warn()
    const { method, route } = entry
    this.#channel.tell({
      type: 'slow',
      method,
      url: entry.url.slice(0, MAX_URL),
      id: entry.id,
      ...(route && { route: route.pattern }),
      seconds: (now - entry.startedAt) / 1000,
      timeout: entry.timeout,
    })
  }

  #expire(entry: Entry): void {
    const { req, res } = entry
    const answered = !res.headersSent
    entry.timeOut()
    this.#board.add(HEAD.timeouts, 1)
    this.#channel.tell({
      type: 'timeout',
      method: entry.method,
      url: entry.url.slice(0, MAX_URL),
      id: entry.id,
      ...(entry.route && { route: entry.route.pattern }),
      seconds: entry.timeout,
      answered,
    })
    if (answered) {
      this.#say504(entry)
      this.#orphans.add(res)
    } else cutOff(req, res)
  }

  /** The watchdog stopped its code, and tells the log. Answers with one of INTERRUPTED. */
  #answerInterrupted(number: number): number {
    const entry = [...this.#requests.inFlight].find((one) => one.number === number)
    if (entry?.state !== 'running' || entry.res.writableEnded) return INTERRUPTED.complete
    const { req, res } = entry
    const answered = !res.headersSent
    entry.timeOut()
    this.#board.add(HEAD.timeouts, 1)
    if (answered) {
      this.#say504(
        entry,
        performance.now() < entry.dueAt ? 'it held up all other requests' : undefined,
      )
      swallow(res) // other code of the same request may go on
    } else cutOff(req, res)
    return answered ? INTERRUPTED.answered : INTERRUPTED.cut
  }

  #say504(entry: Entry, why?: string): void {
    const custom = this.#hooks.timeoutAnswer?.(entry)
    const { type, body, headers } = custom ?? timeoutAnswer(entry, why)
    const all = { 'content-type': type, 'x-request-id': entry.id, ...headers }
    answer(entry.req, entry.res, 504, body, all)
  }
}

const MAX_URL = 2_048

/** A stream of server-sent events is meant to stay open. */
export const isExempt = (res: Res): boolean =>
  res.headersSent && sentHeader(res, 'content-type')?.startsWith('text/event-stream') === true
