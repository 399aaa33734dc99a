// Answers in place of a main thread that can't: raw bytes to the sockets of plain HTTP/1 connections, just before the
// process is killed. Runs in the watchdog thread, while the main thread stands still.

import { KIND, STATE, msBetween, type Scoreboard, type SlotView } from '../scoreboard.ts'
import { fs } from '../builtin.ts'

export type Outcome = '504' | '503' | 'reset' | 'idle'

export interface Answered {
  readonly slot: SlotView
  readonly outcome: Outcome
}

const response = (status: string, text: string, more = ''): Buffer =>
  Buffer.from(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${text.length + 1}\r\n` +
      `Connection: close\r\n${more}\r\n${text}\n`,
  )

const TIMED_OUT = response('504 Gateway Timeout', 'Gateway Timeout')
const UNLUCKY = response(
  '503 Service Unavailable',
  'Service Unavailable: try again',
  'Retry-After: 1\r\n',
)
const junk = Buffer.alloc(65_536)

/** 504 for what is past its deadline at `clock` and for the `culprit` (a slot's id; 0: unknown), 503 for its neighbours; nothing where a response has begun. */
export function answerAll(board: Scoreboard, clock: number, culprit: number): Answered[] {
  const all = [...board.slots()].map((slot): Answered => ({
    slot,
    outcome: answerOne(slot, clock, culprit),
  }))
  return all.map(finish)
}

/** What arrived meanwhile would turn the close into a reset; and on an idle connection it was a request. */
function finish({ slot, outcome }: Answered): Answered {
  if (!canWrite(slot)) return { slot, outcome }
  const arrived = drain(slot.fd) > 0
  if (outcome !== 'idle') return { slot, outcome }
  const last = arrived ? say(slot, UNLUCKY, '503') : 'idle'
  close(slot.fd)
  return { slot, outcome: last }
}

/** The kernel takes its time to end a process (measured: 100 ms on a busy machine). A client that asks meanwhile would be reset; so it hears now that nobody is there. */
function close(fd: number): void {
  try {
    fs.closeSync(fd)
  } catch (error) {
    // EBADF: it is closed already
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
  }
}

const canWrite = (slot: SlotView): boolean => slot.kind === KIND.plain && slot.fd >= 0

function answerOne(slot: SlotView, clock: number, culprit: number): Outcome {
  if (!canWrite(slot)) return slot.state === STATE.idle ? 'idle' : 'reset'
  if (slot.state === STATE.idle) return drain(slot.fd) > 0 ? say(slot, UNLUCKY, '503') : 'idle'
  if (slot.state !== STATE.inFlight) return 'reset'
  const late = slot.deadline !== 0 && msBetween(slot.deadline, clock) >= 0
  // a 503 would make its client try again
  const outcome =
    late || slot.id === culprit ? say(slot, TIMED_OUT, '504') : say(slot, UNLUCKY, '503')
  drain(slot.fd)
  return outcome
}

/** A fresh response fits the socket's buffer: EAGAIN needs 4 MB that the client has not read (measured). */
function say({ fd }: SlotView, bytes: Buffer, outcome: Outcome): Outcome {
  try {
    return fs.writeSync(fd, bytes) === bytes.length ? outcome : 'reset'
  } catch (error) {
    // EPIPE, ECONNRESET: the client left; EAGAIN: it does not read
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return 'reset'
  }
}

/** Reads what waits in the kernel, because unread bytes turn a close into a reset. Answers how many there were. */
function drain(fd: number): number {
  let total = 0
  try {
    for (let n = 1; n > 0 && total < 64 << 20; total += n)
      n = fs.readSync(fd, junk, 0, junk.length, null)
  } catch (error) {
    // EAGAIN: that was all; ECONNRESET: the client left
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
  }
  return total
}
