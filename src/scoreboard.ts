// The scoreboard (Apache's word): shared memory that says what this worker is doing, a slot for each connection or HTTP/2 stream.
// A leaf. Written by the worker's main thread (but for HEAD.interrupted), read by its watchdog thread, which must never need the main thread.

/** Int32 fields at the start. Times are ms of the main thread's clock since its board was made; they wrap after 24 days: see msBetween. */
const HEADER_FIELDS = 16
export const HEAD = {
  beat: 0,
  now: 1,
  overflow: 2,
  used: 3,
  debugged: 4,
  orphans: 5,
  timeouts: 6,
  /** Set by the watchdog to the request whose code it stopped; the main thread answers it and says, below 0, how. */
  interrupted: 7,
  /** Of the event loop, in thousandths. */
  utilization: 8,
  /** The longest that the loop's beat was late since the watchdog looked, tenths of ms. */
  loopDelay: 9,
  /** Of V8, kB. */
  heapUsed: 10,
  heapLimit: 11,
} as const

/** How the main thread answered such a request: a 504, a cut connection, or not at all, for its response was complete. */
export const INTERRUPTED = { answered: -1, cut: -2, complete: -3 } as const

/** Int32 fields of a slot, then its text. */
const SLOT_FIELDS = 8
export const SLOT = {
  state: 0,
  fd: 1,
  startedAt: 2,
  deadline: 3,
  id: 4,
  kind: 5,
  length: 6,
} as const
const TEXT_BYTES = 224
const SLOT_BYTES = SLOT_FIELDS * 4 + TEXT_BYTES

/** What a connection is at: free slot, idle keep-alive, request in flight, response begun, left HTTP. */
export const STATE = { free: 0, idle: 1, inFlight: 2, begun: 3, upgraded: 4 } as const
/** Only on a plain HTTP/1 connection can another thread write an answer. */
export const KIND = { opaque: 0, plain: 1 } as const

/** 1 MB of address space; the kernel gives memory only to slots that are used. */
export const SLOTS = 4_096

/** Right across the wrap, for times less than 24 days apart. */
export const msBetween = (earlier: number, later: number): number => (later - earlier) | 0

export interface SlotView {
  readonly state: number
  /** -1 when nothing can be written to it. */
  readonly fd: number
  readonly startedAt: number
  /** 0: none. */
  readonly deadline: number
  readonly id: number
  readonly kind: number
  /** `GET /path`, truncated. */
  readonly text: string
}

export class Scoreboard {
  readonly buffer: SharedArrayBuffer
  readonly #ints: Int32Array
  readonly #bytes: Buffer
  readonly #free: number[] = []
  #fresh = 0

  /** Without an argument: a new board; else the same board as seen from another thread. */
  constructor(buffer = new SharedArrayBuffer(HEADER_FIELDS * 4 + SLOTS * SLOT_BYTES)) {
    this.buffer = buffer
    this.#ints = new Int32Array(buffer)
    this.#bytes = Buffer.from(buffer)
  }

  /** Bytes up to the slot's fields, or -1 when all are taken: then the watchdog does not see this connection. */
  take(): number {
    const slot =
      this.#free.pop() ??
      (this.#fresh < SLOTS ? HEADER_FIELDS + (this.#fresh++ * SLOT_BYTES) / 4 : -1)
    if (slot < 0) this.#ints[HEAD.overflow]!++
    else this.#ints[HEAD.used]!++
    return slot
  }

  give(slot: number): void {
    if (slot < 0) return
    Atomics.store(this.#ints, slot, STATE.free)
    this.#ints[HEAD.used]!--
    this.#free.push(slot)
  }

  set(slot: number, field: number, value: number): void {
    if (slot >= 0) this.#ints[slot + field] = value
  }

  /** Written without a fence, like all of a slot: nobody acts on it before the writer has stood still for half a second. */
  setState(slot: number, state: number): void {
    if (slot >= 0) this.#ints[slot] = state
  }

  /** A loop, because Buffer.write() crosses into C++, which costs more than a usual URL has characters. */
  setText(slot: number, method: string, url: string): void {
    if (slot < 0) return
    const start = (slot + SLOT_FIELDS) * 4
    const end = start + TEXT_BYTES
    let at = start
    for (let n = 0; n < method.length && at < end; n++) this.#bytes[at++] = method.charCodeAt(n)
    if (at < end) this.#bytes[at++] = 0x20
    for (let n = 0; n < url.length && at < end; n++) this.#bytes[at++] = url.charCodeAt(n)
    this.#ints[slot + SLOT.length] = at - start
  }

  head(field: number): number {
    return Atomics.load(this.#ints, field)
  }

  setHead(field: number, value: number): void {
    this.#ints[field] = value
  }

  add(field: number, by: number): void {
    this.#ints[field]! += by
  }

  /** The slots in use. From another thread. */
  *slots(): Generator<SlotView & { at: number }> {
    const used = this.head(HEAD.used)
    for (let n = 0, seen = 0; n < SLOTS && seen < used; n++) {
      const at = HEADER_FIELDS + (n * SLOT_BYTES) / 4
      const state = Atomics.load(this.#ints, at)
      if (state === STATE.free) continue
      seen++
      yield { at, ...this.view(at, state) }
    }
  }

  view(at: number, state = Atomics.load(this.#ints, at)): SlotView {
    const int = (field: number): number => this.#ints[at + field]!
    const text = this.#bytes.toString(
      'latin1',
      (at + SLOT_FIELDS) * 4,
      (at + SLOT_FIELDS) * 4 + int(SLOT.length),
    )
    return {
      state,
      fd: int(SLOT.fd),
      startedAt: int(SLOT.startedAt),
      deadline: int(SLOT.deadline),
      id: int(SLOT.id),
      kind: int(SLOT.kind),
      text,
    }
  }
}
