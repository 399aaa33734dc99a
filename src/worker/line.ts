// The requests of one plain HTTP/1 connection, several if they are pipelined. There a response needs no listener and no mark to
// be found again: its connection knows it. Runs in the main thread of every worker.

import type net from 'node:net'
import type { Entry } from './request-entry.ts'
import type { Req, Res } from './requests.ts'

const LINE = Symbol('nodicorn.line')

export interface Line {
  /** On the scoreboard; -1 when the board is full. */
  readonly slot: number
  /** The one the board shows: it owns the socket, or will when what is before it has been sent. */
  first: Entry | undefined
  /** Made for the first pipeline. */
  others: Entry[] | undefined
  /** What the board says there: clients often ask the same again, and to write it is a fifth of what tracking costs. */
  method: string
  url: string
}

export type Lined = net.Socket & {
  [LINE]?: Line | undefined
  parser?: { incoming?: unknown } | null
}

export const lineOf = (socket: net.Socket | null | undefined): Line | undefined =>
  (socket as Lined | null | undefined)?.[LINE]

export function openLine(socket: net.Socket, slot: number): void {
  ;(socket as Lined)[LINE] = { slot, first: undefined, others: undefined, method: '', url: '' }
}

export function closeLine(socket: net.Socket): void {
  ;(socket as Lined)[LINE] = undefined
}

/** Node's parser has just read its headers, and calls us; false for what an application emits itself, which may be anything. */
export const isBeingParsed = (req: Req): boolean =>
  req.httpVersionMajor < 2 && (req.socket as Lined | null)?.parser?.incoming === req

/** The line that it is to stand in; undefined: node will not take this very response off this very connection. */
export function lineFor(req: Req): Line | undefined {
  const line = lineOf(req.socket)
  return line !== undefined && isBeingParsed(req) ? line : undefined
}

/** Either may be wrapped by the application. */
const isIt = (entry: Entry, req: Req, res: Res): boolean => entry.req === req || entry.res === res

export function isInLine(req: Req, res: Res): boolean {
  const line = lineOf(req.socket)
  if (line === undefined) return false
  return (
    (line.first !== undefined && isIt(line.first, req, res)) ||
    (line.others !== undefined && line.others.some((entry) => isIt(entry, req, res)))
  )
}

export const standsIn = (line: Line, entry: Entry): boolean =>
  line.first === entry || line.others?.includes(entry) === true

/** The one that `res` answers. */
export const findInLine = (line: Line, res: Res): Entry | undefined =>
  line.first !== undefined && line.first.res === res
    ? line.first
    : line.others?.find((entry) => entry.res === res)

export const allInLine = ({ first, others = [] }: Line): Entry[] =>
  first ? [first, ...others] : [...others]

/** In a pipeline, the responses before a new one may be with the kernel, or finished, although node has not said so yet. */
export const isAllSent = (line: Line): boolean =>
  allInLine(line).every(({ res }) => res.writableEnded && res.writableLength === 0)
