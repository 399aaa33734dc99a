// One request in flight: its clock, its id, its signal. Runs in every worker.

import type { RequestContext } from './context.ts'
import { ours } from './own-aborts.ts'
import type { Req, Res } from './requests.ts'
import type { Route } from '../routes.ts'

export type EntryState = 'queued' | 'running' | 'timed-out' | 'failed' | 'over'

/** Seconds. */
export interface Limits {
  /** 0: no deadline. */
  readonly timeout: number
}

/** What the sweep knows of an upload. */
export interface Upload {
  /** Bytes its connection had received when the sweep first and last looked. */
  readonly receivedAtStart: number
  received: number
  /** When the sweep last saw more of it; ms of performance.now(). */
  receivedAt: number
}

/** Where a response has its entry. */
export const ENTRY = Symbol('nodicorn.entry')
export type Marked = Res & { [ENTRY]?: Entry }

const ID_HEADER = 'x-request-id'
/** What a client may choose as an id: it ends up in logs and headers. */
const USABLE_ID = /^[\w.:+/=@-]{1,128}$/

/** Looked up once, because that takes longer than to make one. */
let randomUUID: (() => string) | undefined
const newId = (): string => (randomUUID ??= process.getBuiltinModule('node:crypto').randomUUID)()

let sequence = 0

/** One is made for each request: fields are what it weighs, and #private ones take longer to make. */
export class Entry implements RequestContext {
  readonly req: Req
  readonly res: Res
  readonly route: Route | undefined
  /** Seconds; 0: no deadline. */
  readonly timeout: number
  /** Ms of performance.now(). */
  readonly startedAt: number
  /** Small and unique in this worker: what the scoreboard knows it by. */
  readonly number = (sequence = (sequence + 1) & 0x7fffffff)
  state: EntryState = 'running'
  /** It counts against the concurrency of its route. */
  entered = false
  /** Ms of performance.now(); Infinity without one. */
  deadline: number
  /** Its place on the scoreboard, or -1. */
  slot = -1
  upload: Upload | undefined = undefined
  /** `slow` was logged. */
  warned = false
  /** For in-flight.ts. */
  next: Entry | undefined = undefined
  previous: Entry | undefined = undefined
  private givenId: string | undefined = undefined
  private controller: AbortController | undefined = undefined

  constructor(req: Req, res: Res, route: Route | undefined, limits: Limits) {
    this.req = req
    this.res = res
    this.route = route
    this.timeout = route?.timeout ?? limits.timeout
    this.startedAt = performance.now()
    this.deadline = this.timeout > 0 ? this.startedAt + this.timeout * 1000 : Infinity
  }

  /** The client's X-Request-Id if it is usable, else one made when first asked for. */
  get id(): string {
    if (this.givenId === undefined) {
      const given = this.req.headers[ID_HEADER]
      const usable = typeof given === 'string' && USABLE_ID.test(given)
      this.givenId = usable ? given : newId()
    }
    return this.givenId
  }

  get method(): string {
    return this.req.method ?? ''
  }

  get url(): string {
    return this.req.url ?? ''
  }

  /** Made when first asked for: most handlers never do. */
  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController()
      if (this.state === 'timed-out') this.controller.abort(timeoutError(this))
      else if (this.state === 'failed') this.controller.abort(handlerFailed())
      else if (this.state === 'over' && !this.res.writableFinished)
        this.controller.abort(clientLeft())
    }
    return this.controller.signal
  }

  /** Its body is still on its way. */
  get isReceiving(): boolean {
    const { req } = this
    // HTTP/2 calls a request complete only when somebody has read its body to the end
    return !req.complete && !('stream' in req && req.stream.endAfterHeaders)
  }

  /** To `seconds` from now, if that is later, and at most to `ceiling` seconds after it began. */
  extend(seconds: number, timeoutCeiling: number): void {
    const ceiling = this.startedAt + timeoutCeiling * 1000
    if (this.deadline !== Infinity && this.state === 'running')
      this.deadline = Math.max(this.deadline, Math.min(ceiling, performance.now() + seconds * 1000))
  }

  /** There is no room on its route: until there is, no clock runs. */
  wait(): void {
    this.state = 'queued'
    this.deadline = Infinity
  }

  start(): void {
    this.state = 'running'
    if (this.timeout > 0) this.deadline = performance.now() + this.timeout * 1000
  }

  /** Its deadline passed: the handler may find out and stop. */
  timeOut(): void {
    this.state = 'timed-out'
    this.controller?.abort(timeoutError(this))
  }

  /** Its handler threw where nobody caught it: whatever else works for it may stop. */
  fail(): void {
    this.state = 'failed'
    this.controller?.abort(handlerFailed())
  }

  /** Its response is finished, or its client left. */
  end(): void {
    if (this.state === 'running' || this.state === 'queued') {
      this.state = 'over'
      if (!this.res.writableFinished) this.controller?.abort(clientLeft())
    }
  }
}

const timeoutError = ({ timeout, method, url }: Entry): DOMException =>
  ours(new DOMException(`${method} ${url} took longer than ${timeout} s`, 'TimeoutError'))

const handlerFailed = (): DOMException =>
  ours(new DOMException('the request ended with an uncaught error', 'AbortError'))

const clientLeft = (): DOMException =>
  ours(new DOMException('the client closed the connection', 'AbortError'))
