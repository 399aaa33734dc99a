// Keeps the scoreboard true: which connection is at what, with which request. Runs in the main thread of every worker.

import type { ServerResponse } from 'node:http'
import type net from 'node:net'
import { KIND, SLOT, STATE, type Scoreboard } from '../scoreboard.ts'
import { http } from '../builtin.ts'
import {
  allInLine,
  closeLine,
  findInLine,
  isAllSent,
  lineFor,
  lineOf,
  openLine,
  type Line,
} from './line.ts'
import type { Entry } from './request-entry.ts'
import type { Req } from './requests.ts'

type Handled = net.Socket & { encrypted?: boolean; _handle?: { fd?: number } | null }

type WriteHead = (this: ServerResponse, status: number, ...more: [unknown, unknown]) => never

export class Tracker {
  readonly #board: Scoreboard
  /** All times on the board are ms since then. */
  readonly epoch = performance.now()

  constructor(board: Scoreboard) {
    this.#board = board
  }

  /**
   * The response's first byte is the moment after which nobody else may answer; on other connections than these, nobody else can.
   * `over`: node takes the response to this request off its connection, for it has been sent. That comes just before its 'close',
   * and costs a request neither a listener nor a property by which to find it.
   */
  hookResponses(over: (entry: Entry) => void): void {
    const { prototype } = http().ServerResponse
    const { detachSocket } = prototype
    const writeHead = prototype.writeHead as unknown as WriteHead
    const board = this.#board
    // with all that it takes, for to pass on `arguments` costs more
    const patched: WriteHead = function (status, reason, more) {
      const line = lineOf(this.socket ?? (this.req as Req | undefined)?.socket)
      if (line?.first !== undefined && line.first.res === this)
        board.setState(line.slot, STATE.begun)
      return writeHead.call(this, status, reason, more)
    }
    prototype.writeHead = patched as never
    prototype.detachSocket = function (socket) {
      detachSocket.call(this, socket)
      const line = lineOf(socket)
      const entry = line && findInLine(line, this)
      if (entry !== undefined) over(entry)
    }
  }

  /** Only HTTP/1 without TLS: on any other connection bytes of ours would mean nothing. */
  connected(server: net.Server, socket: Handled): void {
    if (!('keepAliveTimeout' in server) || 'setSecureContext' in server || socket.encrypted) return
    if (lineOf(socket)) return // one server of the application passed it on to another
    const slot = this.#board.take()
    openLine(socket, slot)
    this.#board.set(slot, SLOT.fd, socket._handle?.fd ?? -1)
    this.#board.set(slot, SLOT.kind, KIND.plain)
    this.#board.setState(slot, STATE.idle)
  }

  /** Its requests are over by now. */
  disconnected(socket: net.Socket): void {
    const line = lineOf(socket)
    if (!line) return
    closeLine(socket)
    this.#board.give(line.slot)
  }

  upgraded(socket: net.Socket): void {
    this.#board.setState(lineOf(socket)?.slot ?? -1, STATE.upgraded)
  }

  began(entry: Entry): void {
    const line = lineFor(entry.req)
    if (!line) return this.#showAlone(entry, this.#board.take())
    if (line.first && isAllSent(line)) leaveBoard(line)
    if (line.first) (line.others ??= []).push(entry)
    else this.#showAt(line, (line.first = entry))
  }

  ended(entry: Entry): void {
    const line = lineOf(entry.req.socket)
    if (line === undefined || line.first !== entry) {
      if (!line || !leaveLine(line, entry)) this.#board.give(entry.slot)
      return
    }
    line.first = line.others?.shift()
    if (line.first) return this.#showAt(line, line.first)
    // bytes still in our buffer belong to the response that ended: not ours to write after
    const isUnsent = entry.req.socket.writableLength > 0
    this.#board.setState(line.slot, isUnsent ? STATE.begun : STATE.idle)
  }

  /** Its deadline moved. */
  timed(entry: Entry): void {
    const line = lineOf(entry.req.socket)
    const slot = line?.first === entry ? line.slot : entry.slot
    this.#board.set(slot, SLOT.deadline, this.#deadlineOf(entry))
  }

  #showAlone(entry: Entry, slot: number): void {
    entry.slot = slot
    this.#board.setText(slot, entry.method, entry.url)
    this.#show(entry, slot, KIND.opaque)
  }

  #showAt(line: Line, entry: Entry): void {
    const { method, url } = entry
    if (line.url !== url || line.method !== method) {
      line.method = method
      line.url = url
      this.#board.setText(line.slot, method, url)
    }
    this.#show(entry, line.slot, kindOf(entry))
  }

  #show(entry: Entry, slot: number, kind: number): void {
    if (slot < 0) return
    this.#board.set(slot, SLOT.kind, kind)
    this.#board.set(slot, SLOT.startedAt, entry.startedAt - this.epoch)
    this.#board.set(slot, SLOT.deadline, this.#deadlineOf(entry))
    this.#board.set(slot, SLOT.id, entry.number)
    this.#board.setState(slot, entry.res.headersSent ? STATE.begun : STATE.inFlight)
  }

  /** 0 for none; a deadline that would be 0 is a millisecond late. */
  #deadlineOf({ dueAt }: Entry): number {
    return dueAt === Infinity ? 0 : (dueAt - this.epoch) | 0 || 1
  }
}

const kindOf = ({ req }: Entry): number =>
  req.socket.writableLength > 0 ? KIND.opaque : KIND.plain

/** Whatever they do from now on is not to be seen on the board. */
function leaveBoard(line: Line): void {
  line.others = allInLine(line)
  line.first = undefined
}

/** False: it was not in it. */
function leaveLine({ others }: Line, entry: Entry): boolean {
  const at = others?.indexOf(entry) ?? -1
  if (at >= 0) others!.splice(at, 1)
  return at >= 0
}
