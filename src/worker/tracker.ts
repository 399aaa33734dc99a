// Keeps the scoreboard true: which connection is at what, with which request. Runs in the main thread of every worker.

import type net from 'node:net'
import { KIND, SLOT, STATE, type Scoreboard } from '../scoreboard.ts'
import { http } from '../builtin.ts'
import { ENTRY, type Entry } from './request-entry.ts'

const PLACE = Symbol('nodicorn.place')

/** A plain HTTP/1 connection: its slot, and its requests, several if they are pipelined. Only the first one owns the socket. */
interface Place {
  /** -1 when the board is full. */
  readonly slot: number
  first: Entry | undefined
  /** Made for the first pipeline. */
  others: Entry[] | undefined
  /** What the board says there: clients often ask the same again, and to write it is a fifth of what tracking costs. */
  method: string
  url: string
}
type Placed = net.Socket & {
  [PLACE]?: Place | undefined
  encrypted?: boolean
  _handle?: { fd?: number } | null
}

export class Tracker {
  readonly #board: Scoreboard
  /** All times on the board are ms since then. */
  readonly epoch = performance.now()

  constructor(board: Scoreboard) {
    this.#board = board
  }

  /** The response's first byte is the moment after which nobody else may answer. */
  hookResponses(): void {
    const { prototype } = http().ServerResponse
    const { writeHead } = prototype
    const board = this.#board
    prototype.writeHead = function (this: { [ENTRY]?: Entry }) {
      const entry = this[ENTRY]
      if (entry !== undefined) board.setState(entry.slot, STATE.begun)
      return Reflect.apply(writeHead, this, arguments as never) as never
    } as typeof writeHead
  }

  /** Only HTTP/1 without TLS: on any other connection bytes of ours would mean nothing. */
  connected(server: net.Server, socket: Placed): void {
    if (!('keepAliveTimeout' in server) || 'setSecureContext' in server || socket.encrypted) return
    const slot = this.#board.take()
    socket[PLACE] = { slot, first: undefined, others: undefined, method: '', url: '' }
    this.#board.set(slot, SLOT.fd, socket._handle?.fd ?? -1)
    this.#board.set(slot, SLOT.kind, KIND.plain)
    this.#board.setState(slot, STATE.idle)
  }

  /** Its requests hear of the end later than we: by then the slot may be somebody else's. */
  disconnected(socket: Placed): void {
    const place = socket[PLACE]
    if (!place) return
    forget(place)
    socket[PLACE] = undefined
    this.#board.give(place.slot)
  }

  upgraded(socket: Placed): void {
    this.#board.setState(socket[PLACE]?.slot ?? -1, STATE.upgraded)
  }

  began(entry: Entry): void {
    const place = (entry.req.socket as Placed | null)?.[PLACE]
    if (!place) return this.#showAlone(entry, this.#board.take())
    if (place.first && isAllSent(place, entry)) forget(place)
    if (place.first) (place.others ??= []).push(entry)
    else this.#showAt(place, (place.first = entry))
  }

  ended(entry: Entry): void {
    const place = (entry.req.socket as Placed | null)?.[PLACE]
    if (!place) return this.#board.give(entry.slot)
    if (place.first !== entry) return leaveLine(place, entry)
    entry.slot = -1
    place.first = place.others?.shift()
    if (place.first) return this.#showAt(place, place.first)
    // bytes still in our buffer belong to the response that ended: not ours to write after
    const isUnsent = entry.req.socket.writableLength > 0
    this.#board.setState(place.slot, isUnsent ? STATE.begun : STATE.idle)
  }

  /** Its deadline moved. */
  timed(entry: Entry): void {
    this.#board.set(entry.slot, SLOT.deadline, this.#deadlineOf(entry))
  }

  #showAlone(entry: Entry, slot: number): void {
    this.#board.setText(slot, entry.method, entry.url)
    this.#show(entry, slot, KIND.opaque)
  }

  #showAt(place: Place, entry: Entry): void {
    const { method, url } = entry
    if (place.url !== url || place.method !== method) {
      place.method = method
      place.url = url
      this.#board.setText(place.slot, method, url)
    }
    this.#show(entry, place.slot, kindOf(entry))
  }

  #show(entry: Entry, slot: number, kind: number): void {
    entry.slot = slot
    if (slot < 0) return
    this.#board.set(slot, SLOT.kind, kind)
    this.#board.set(slot, SLOT.startedAt, entry.startedAt - this.epoch)
    this.#board.set(slot, SLOT.deadline, this.#deadlineOf(entry))
    this.#board.set(slot, SLOT.id, entry.number)
    this.#board.setState(slot, entry.res.headersSent ? STATE.begun : STATE.inFlight)
  }

  /** 0 for none; a deadline that would be 0 is a millisecond late. */
  #deadlineOf({ deadline }: Entry): number {
    return deadline === Infinity ? 0 : (deadline - this.epoch) | 0 || 1
  }
}

const kindOf = ({ req }: Entry): number =>
  req.socket.writableLength > 0 ? KIND.opaque : KIND.plain

/** In a pipeline, the responses before this one may be over although node has not said so yet. */
const isAllSent = ({ first, others = [] }: Place, { req }: Entry): boolean =>
  req.socket.writableLength === 0 && [first!, ...others].every(({ res }) => res.writableEnded)

/** Whatever they do from now on is not to be seen on the board. */
function forget(place: Place): void {
  if (place.first) place.first.slot = -1
  for (const entry of place.others ?? []) entry.slot = -1
  place.first = place.others = undefined
}

function leaveLine({ others }: Place, entry: Entry): void {
  const at = others?.indexOf(entry) ?? -1
  if (at >= 0) others!.splice(at, 1)
}
