// The watchdog's line to the master: JSON, a line a message, in both directions. Runs in the watchdog thread. The descriptor
// is the process's, and does not block: what the master is too slow to read is kept from being torn, or dropped.

import type { Socket } from 'node:net'
import { fs, net } from '../builtin.ts'
import type { ToWatchdog } from '../inspection.ts'
import { WATCHDOG_PIPE, type FromWatchdog } from '../protocol.ts'
import { sleep } from './sleep.ts'

/** A master that stands still gets this long to read what it must know, ms. */
const TELL_MS = 1_000
const AGAIN_MS = 5
/** A question has a path at most; anything longer is not from the master. */
const MAX_LINE = 65_536

type Bytes = Buffer<ArrayBuffer>
const lineOf = (message: FromWatchdog): Bytes => Buffer.from(`${JSON.stringify(message)}\n`)

export class MasterPipe {
  /** What is left of a line that was begun. */
  #rest = Buffer.alloc(0)
  #state: 'open' | 'gone' = 'open'
  readonly #onGone: () => void

  /** `onGone` is called once, when the master is dead. */
  constructor(onGone: () => void) {
    this.#onGone = onGone
  }

  /** Drops it if the pipe is full: another one like it comes soon. */
  mention(message: FromWatchdog): void {
    if (this.#flush()) this.#begin(lineOf(message))
  }

  /** Resolves when all of it is written, or with false if that was not possible within a second. */
  async tell(message: FromWatchdog): Promise<boolean> {
    const line = lineOf(message)
    const limit = performance.now() + TELL_MS
    for (let begun = false; this.#state === 'open';) {
      if (this.#flush() && !begun) begun = this.#begin(line)
      if (begun && this.#rest.length === 0) return true
      if (performance.now() > limit) return false
      await sleep(AGAIN_MS)
    }
    return false
  }

  /** From now on, questions are heard. */
  listen(hear: (question: ToWatchdog) => void): void {
    let rest = ''
    const socket = open()
    socket?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!.slice(-MAX_LINE)
      for (const line of lines) hear(JSON.parse(line) as ToWatchdog)
    })
    // ECONNRESET: the master is dead; 'close' follows
    socket?.on('error', () => undefined)
    socket?.on('close', () => this.#lost())
  }

  /** Whether nothing is left of lines begun before. */
  #flush(): boolean {
    if (this.#rest.length > 0) this.#rest = this.#write(this.#rest)
    return this.#rest.length === 0
  }

  /** Whether any of it was written; the rest follows. */
  #begin(line: Bytes): boolean {
    const rest = this.#write(line)
    if (rest.length === line.length) return false
    this.#rest = rest
    return true
  }

  /** What could not be written. */
  #write(bytes: Bytes): Bytes {
    let rest = bytes
    try {
      while (rest.length > 0 && this.#state === 'open')
        rest = rest.subarray(fs.writeSync(WATCHDOG_PIPE, rest))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === undefined) throw error
      if (code === 'EPIPE') this.#lost()
      // EAGAIN: the pipe is full; EBADF and others: the application closed it
    }
    return rest
  }

  #lost(): void {
    if (this.#state === 'gone') return
    this.#state = 'gone'
    this.#onGone()
  }
}

/** Undefined: the application has closed the descriptor, or put another thing in its place. */
function open(): Socket | undefined {
  const { Socket } = net()
  try {
    // half open, or it would close the descriptor at its end: then a write could end up in somebody's file
    const options = { readable: true, writable: true, allowHalfOpen: true }
    return new Socket({ fd: WATCHDOG_PIPE, ...options })
  } catch (error) {
    // ERR_INVALID_FD_TYPE, EBADF, EINVAL: the watchdog does without questions
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return undefined
  }
}
