// One request in flight: its clock, its id, its signal. Runs in every worker.

import type { RequestContext } from './context.ts'
import { clocks } from './in-flight.ts'
import { ours } from './own-aborts.ts'
import type { Req, Res } from './requests.ts'
import type { Route } from '../routes.ts'

const STATES = ['running', 'queued', 'timed-out', 'failed', 'over'] as const
export type EntryState = (typeof STATES)[number]

/** Of a route, or of all requests without one: shared by those they are for, who know their index alone. */
export class Limits {
  readonly route: Route | undefined
  /** Seconds; 0: no deadline. */
  readonly timeout: number
  readonly index: number
  static readonly all: Limits[] = []

  constructor(route: Route | undefined, timeout: number) {
    this.route = route
    this.timeout = timeout
    this.index = Limits.all.push(this) - 1
  }
}

/** Of what is over, if nobody asked for more than its id before. */
const NONE = new Limits(undefined, 0)

/** What the sweep knows of an upload. */
export interface Upload {
  /** Bytes its connection had received when the sweep first and last looked. */
  readonly receivedAtStart: number
  received: number
  /** When the sweep last saw more of it; ms of performance.now(). */
  receivedAt: number
}

/** What few requests have. */
interface Extras {
  id: string | undefined
  controller: AbortController | undefined
  upload: Upload | undefined
  /** Once it is over: its last. In ms of performance.now(). */
  deadline: number
  state: EntryState
  limits: Limits
}

const ID_HEADER = 'x-request-id'
/** What a client may choose as an id: it ends up in logs and headers. */
const USABLE_ID = /^[\w.:+/=@-]{1,128}$/

/** Looked up once, because that takes longer than to make one. */
let randomUUID: (() => string) | undefined
const newId = (): string => (randomUUID ??= process.getBuiltinModule('node:crypto').randomUUID)()

/** Unique as well, and easy to guess: for what only the log will ever see. Some hundred ns less for each line of the access log. */
let plainIds = 0
let plainPrefix = ''
const plainId = (count: number): string =>
  (plainPrefix ||= newId().slice(0, 14)) + count.toString(36).padStart(4, '0')

const QUEUED = STATES.indexOf('queued')
const OVER = STATES.indexOf('over')
/** What is in the marks of a place: the index of its state, two flags, and above them the index of its limits. */
const MARK = { state: 7, entered: 8, warned: 16 } as const
const LIMITS_SHIFT = 5

/** One is made for each request: fields are what it weighs, and #private ones take longer to make. Its numbers are in `clocks`. */
export class Entry implements RequestContext {
  readonly req: Req
  readonly res: Res
  /** Of its clocks, and nobody else's in this worker while it is in flight: what the scoreboard knows it by. */
  readonly number: number
  /** A number: it has none, but the log called it by its plain id of that number. */
  private extras: Extras | number | undefined = undefined

  constructor(req: Req, res: Res, limits: Limits) {
    const now = performance.now()
    this.req = req
    this.res = res
    const { timeout, index } = limits
    const deadline = timeout > 0 ? now + timeout * 1000 : Infinity
    this.number = clocks.take(now, deadline, index << LIMITS_SHIFT)
  }

  private get at(): number {
    return clocks.at(this.number)
  }

  get state(): EntryState {
    if (this.isOver) return this.known?.state ?? 'over'
    return STATES[clocks.marks(this.at) & MARK.state]!
  }

  private set state(state: EntryState) {
    const { at } = this
    clocks.setMarks(at, (clocks.marks(at) & ~MARK.state) | STATES.indexOf(state))
  }

  private get limits(): Limits {
    if (this.isOver) return this.known?.limits ?? NONE
    return Limits.all[clocks.marks(this.at) >> LIMITS_SHIFT]!
  }

  /** Also of its place: nobody tracks it any more. */
  get isOver(): boolean {
    return clocks.isOver(this.number)
  }

  get route(): Route | undefined {
    return this.limits.route
  }

  /** Seconds; 0: no deadline. */
  get timeout(): number {
    return this.limits.timeout
  }

  /** Ms of performance.now(). Not known any more once it is over. */
  get startedAt(): number {
    return clocks.startedAt(this.at)
  }

  /** Ms of performance.now(); Infinity without one, and once it is over. */
  get dueAt(): number {
    return clocks.deadline(this.at)
  }

  set dueAt(ms: number) {
    clocks.setDeadline(this.at, ms)
  }

  /** For its handler, who may go on asking when it is over. */
  get deadline(): number {
    const { deadline } = this.more()
    return this.isOver ? deadline : this.dueAt
  }

  /** Its own place on the scoreboard, or -1: it has that of its connection, or none. */
  get slot(): number {
    return clocks.slot(this.at)
  }

  set slot(slot: number) {
    clocks.setSlot(this.at, slot)
  }

  /** It counts against the concurrency of its route. */
  get entered(): boolean {
    return (clocks.marks(this.at) & MARK.entered) !== 0
  }

  enter(): void {
    clocks.setMarks(this.at, clocks.marks(this.at) | MARK.entered)
  }

  /** `slow` was logged. */
  get warned(): boolean {
    return (clocks.marks(this.at) & MARK.warned) !== 0
  }

  warn(): void {
    clocks.setMarks(this.at, clocks.marks(this.at) | MARK.warned)
  }

  get upload(): Upload | undefined {
    return this.known?.upload
  }

  set upload(upload: Upload) {
    this.more().upload = upload
  }

  private get known(): Extras | undefined {
    return typeof this.extras === 'object' ? this.extras : undefined
  }

  private more(): Extras {
    const { extras } = this
    if (typeof extras === 'object') return extras
    return (this.extras = {
      id: extras === undefined ? undefined : plainId(extras),
      controller: undefined,
      upload: undefined,
      deadline: Infinity,
      state: 'over',
      limits: NONE,
    })
  }

  /** The client's X-Request-Id if it is usable, else one made when first asked for. */
  get id(): string {
    return (this.more().id ??= this.givenId ?? newId())
  }

  /** The same, made more cheaply if it has to be made: for the log of a request that is over, whose id no client will see. */
  get loggedId(): string {
    const { extras, givenId } = this
    if (typeof extras === 'object') return (extras.id ??= givenId ?? plainId(plainIds++))
    return givenId ?? plainId((this.extras = extras ?? plainIds++))
  }

  private get givenId(): string | undefined {
    const given = this.req.headers[ID_HEADER]
    return typeof given === 'string' && USABLE_ID.test(given) ? given : undefined
  }

  get method(): string {
    return this.req.method ?? ''
  }

  get url(): string {
    return this.req.url ?? ''
  }

  /** Made when first asked for: most handlers never do. */
  get signal(): AbortSignal {
    const extras = this.more()
    if (!extras.controller) {
      extras.controller = new AbortController()
      if (this.state === 'timed-out') extras.controller.abort(timeoutError(this))
      else if (this.state === 'failed') extras.controller.abort(handlerFailed())
      else if (this.state === 'over' && !this.res.writableFinished)
        extras.controller.abort(clientLeft())
    }
    return extras.controller.signal
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
    if (this.dueAt !== Infinity && this.state === 'running')
      this.dueAt = Math.max(this.dueAt, Math.min(ceiling, performance.now() + seconds * 1000))
  }

  /** There is no room on its route: until there is, no clock runs. */
  wait(): void {
    this.state = 'queued'
    this.dueAt = Infinity
  }

  start(): void {
    this.state = 'running'
    if (this.timeout > 0) this.dueAt = performance.now() + this.timeout * 1000
  }

  /** Its deadline passed: the handler may find out and stop. */
  timeOut(): void {
    this.state = 'timed-out'
    this.known?.controller?.abort(timeoutError(this))
  }

  /** Its handler threw where nobody caught it: whatever else works for it may stop. */
  fail(): void {
    this.state = 'failed'
    this.known?.controller?.abort(handlerFailed())
  }

  /** Its response is finished, or its client left. */
  end(): void {
    const { at } = this
    const marks = clocks.marks(at)
    if ((marks & MARK.state) > QUEUED) return
    clocks.setMarks(at, (marks & ~MARK.state) | OVER)
    const controller = this.known?.controller
    if (controller !== undefined && !this.res.writableFinished) controller.abort(clientLeft())
  }

  /** After all who want to know when it began and ended. Its handler may go on, above all if nobody heard what it answered. */
  release(): void {
    if (this.isOver) return
    const isEnded = (clocks.marks(this.at) & MARK.state) === OVER
    if (this.known !== undefined || !isEnded || !this.res.writableFinished)
      Object.assign(this.more(), {
        deadline: this.dueAt,
        state: this.state,
        limits: this.limits,
      })
    clocks.give(this.number)
  }
}

const timeoutError = ({ timeout, method, url }: Entry): DOMException =>
  ours(new DOMException(`${method} ${url} took longer than ${timeout} s`, 'TimeoutError'))

const handlerFailed = (): DOMException =>
  ours(new DOMException('the request ended with an uncaught error', 'AbortError'))

const clientLeft = (): DOMException =>
  ours(new DOMException('the client closed the connection', 'AbortError'))
