// Writes lines to a file, a pipe or a terminal into which other processes write too: whole lines only, many at a time, never at the
// cost of the event loop. Runs in the workers that have an access log. Not sonic-boom: what it splits, others may write between
// (a partial write; more than 4 kB into a pipe), and at the exit it waits for ever for a reader that does not read.

import { resolve } from 'node:path'
import { fs, util } from '../builtin.ts'

/** Lines wait so long for others to be written with, ms. */
const FLUSH_MS = 150
/** How often a file is looked for under its name, while there are lines to write, ms. */
const LOOK_MS = 1_000
/** Until the next try, ms: of a file that can't be written, and of a pipe that is full. */
const RETRY_MS = { file: 1_000, pipe: 10 }
/** One write: what nobody can write between. A file is locked by each write, a pipe only takes so much in one piece (PIPE_BUF of Linux). */
const CHUNK_BYTES = { file: 65_536, pipe: 4_096 }
/** What waits when nothing can be written; more is dropped. */
const MAX_BYTES = 4 << 20
/** How long the last lines may take at the end, ms. */
const FLUSH_AT_END_MS = 1_000

export interface LogFileEvents {
  /** It can't be written; told once until it can again. */
  fails(why: string): void
  /** So many lines were dropped, told when it can be written again or at the end. */
  lost(lines: number): void
}

/** `waits`: a pipe that could not be opened anew, so that a write to it waits for its reader, in a thread. */
interface Output {
  readonly fd: number
  readonly kind: 'file' | 'pipe'
  readonly waits: boolean
  /** Which file it is. */
  readonly identity: string
}

interface Chunk {
  readonly data: Buffer
  readonly lines: number
}

const LINE_END = Buffer.from('\n')

const { constants } = fs
/** A fifo without a reader is an error instead of a long wait. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK | constants.O_NOCTTY
const stat = util.promisify(fs.stat)
const open = util.promisify(fs.open)
const write = util.promisify(fs.write)

export class LogFile {
  /** Undefined: standard output. */
  readonly #path: string | undefined
  readonly #events: LogFileEvents
  #output: Output | undefined
  readonly #chunks: Chunk[] = []
  /** The chunk that is being filled: as bytes, because strings that live for a while cost more than all else here. */
  #buffer: Buffer | undefined
  #length = 0
  #lines = 0
  /** For the next one. */
  #spare: Buffer | undefined
  /** Of all that waits. */
  #waiting = 0
  #state: 'idle' | 'writing' | 'ended' = 'idle'
  /** The chunk that a thread is writing. */
  #underWay: Chunk | undefined
  #timer: NodeJS.Timeout | undefined
  #fault: string | undefined
  #dropped = 0
  /** When it is to be looked for next, ms of performance.now(). */
  #lookAt = 0

  /** `file`: a path, or `-` for standard output. What can't be opened is tried again. */
  constructor(file: string, events: LogFileEvents) {
    this.#path = file === '-' ? undefined : resolve(file)
    this.#events = events
    try {
      this.#output = openNow(this.#path)
      this.#lookAt = performance.now() + LOOK_MS
    } catch (error) {
      this.#fails(error)
    }
  }

  /** The longest line, in bytes, that nobody can write into. */
  get longest(): number {
    return this.#output?.kind === 'pipe' ? CHUNK_BYTES.pipe : Infinity
  }

  /** `line` with its line end. */
  write(line: string): void {
    if (this.#waiting > MAX_BYTES) {
      this.#fails(new Error('nobody reads it'))
      this.#dropped++
      return
    }
    const buffer = this.#roomFor(line)
    const bytes = buffer.write(line, this.#length)
    this.#length += bytes
    this.#waiting += bytes
    this.#lines++
    if (this.#timer === undefined) this.#wake(FLUSH_MS)
  }

  /** A character may be three bytes; whether they are is asked only when it matters. */
  #roomFor(line: string): Buffer {
    const buffer = (this.#buffer ??= this.#newBuffer(0))
    const room = buffer.length - this.#length
    if (line.length * 3 <= room) return buffer
    const bytes = Buffer.byteLength(line)
    if (bytes <= room) return buffer
    this.#seal()
    if (this.#fault === undefined) this.#start()
    return (this.#buffer = this.#newBuffer(bytes))
  }

  #newBuffer(bytes: number): Buffer {
    const size = Math.max(bytes, CHUNK_BYTES[this.#output?.kind ?? 'file'])
    const spare = this.#spare
    this.#spare = undefined
    return spare?.length === size ? spare : Buffer.allocUnsafeSlow(size)
  }

  /** It is another file by now: the next line goes to that. */
  reopen(): void {
    this.#lookAt = 0
    this.#start()
  }

  /** Writes what there is, within a second; what could not be written before is only tried once more. */
  async flush(): Promise<void> {
    const end = performance.now() + (this.#fault === undefined ? FLUSH_AT_END_MS : 0)
    do {
      this.#start()
      await new Promise((done) => setTimeout(done, RETRY_MS.pipe))
    } while (this.#waiting > 0 && performance.now() < end)
    this.#drop()
    this.#tellLost()
  }

  /** The process ends: what waits is written now, as far as it can be. What a thread is writing it finishes. */
  end(): void {
    this.#state = 'ended'
    clearTimeout(this.#timer)
    this.#seal()
    if (this.#underWay && this.#output?.waits) return
    if (this.#underWay) this.#chunks.shift()
    try {
      this.#output ??= openNow(this.#path)
      for (const { data } of this.#chunks) fs.writeSync(this.#output.fd, data)
    } catch (error) {
      // EAGAIN, EPIPE, ENOSPC: its reader or the disk had its time
      if ((error as NodeJS.ErrnoException).code === undefined) throw error
    }
  }

  #wake(ms: number): void {
    if (this.#timer || this.#state !== 'idle') return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#start()
    }, ms).unref()
  }

  #seal(): void {
    if (this.#lines === 0) return
    this.#chunks.push({ data: this.#buffer!.subarray(0, this.#length), lines: this.#lines })
    this.#buffer = undefined
    this.#length = this.#lines = 0
  }

  #start(): void {
    if (this.#state !== 'idle') return
    this.#state = 'writing'
    void this.#writeAll().then((retryMs) => {
      if (this.#state !== 'writing') return
      this.#state = 'idle'
      if (this.#waiting > 0) this.#wake(retryMs)
    })
  }

  /** Answers when to go on, ms. */
  async #writeAll(): Promise<number> {
    try {
      await this.#look()
      while (this.#waiting > 0 && this.#state === 'writing') {
        if (this.#chunks.length === 0) this.#seal()
        await this.#writeOne(this.#output!, this.#chunks[0]!)
      }
      this.#fault = undefined
      this.#tellLost()
      return FLUSH_MS
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EAGAIN') return RETRY_MS.pipe
      this.#fails(error)
      this.#lookAt = 0
      if (code === 'EPIPE') this.#drop() // nobody will ever read it
      return RETRY_MS.file
    }
  }

  /** Opens it if it is not open, or if another file has its name. */
  async #look(): Promise<void> {
    const path = this.#path
    const now = performance.now()
    if (this.#output && (path === undefined || now < this.#lookAt)) return
    this.#lookAt = now + LOOK_MS
    const old = this.#output
    if (old && (await identityOf(path!)) === old.identity) return
    this.#output =
      path === undefined ? openNow(path) : outputOf(await open(path, FLAGS | constants.O_CREAT))
    if (old) fs.close(old.fd, () => undefined) // EIO: what it was about is in the hands of the system
  }

  async #writeOne({ fd, kind, waits }: Output, chunk: Chunk): Promise<void> {
    const { data } = chunk
    let written: number
    if (kind === 'pipe' && !waits) written = fs.writeSync(fd, data)
    else {
      this.#underWay = chunk
      try {
        written = (await write(fd, data, 0, data.length, null)).bytesWritten
      } finally {
        this.#underWay = undefined
      }
      if (this.#chunks[0] !== chunk) return // meanwhile all was given up, or has ended
    }
    this.#chunks.shift()
    this.#waiting -= data.length
    if (written < data.length) this.#putBack(data, written)
    else this.#spare = Buffer.from(data.buffer)
  }

  /** A disk that was full in the middle of a line: that line is written again, on a line of its own. */
  #putBack(data: Buffer, written: number): void {
    const whole = data.lastIndexOf(10, written - 1) + 1
    const rest = data.subarray(whole)
    const again = whole === written ? rest : Buffer.concat([LINE_END, rest])
    this.#chunks.unshift({ data: again, lines: rest.filter((byte) => byte === 10).length })
    this.#waiting += again.length
  }

  #fails(error: unknown): void {
    if (this.#fault !== undefined) return
    this.#fault = (error as Error).message
    this.#events.fails(this.#fault)
  }

  #drop(): void {
    this.#dropped += this.#chunks.reduce((sum, { lines }) => sum + lines, this.#lines)
    this.#chunks.length = 0
    this.#length = this.#lines = this.#waiting = 0
  }

  #tellLost(): void {
    const lines = this.#dropped
    this.#dropped = 0
    if (lines > 0) this.#events.lost(lines)
  }
}

/** Throws the system's error. */
function openNow(path: string | undefined): Output {
  return path === undefined
    ? standardOutput()
    : outputOf(fs.openSync(path, FLAGS | constants.O_CREAT))
}

function outputOf(fd: number): Output {
  // In numbers, Node 20 would remember the pipe, and realpathSync give up on links, such as packages of a workspace.
  const found = fs.fstatSync(fd, { bigint: true })
  return {
    fd,
    kind: found.isFile() ? 'file' : 'pipe',
    waits: false,
    identity: `${found.dev} ${found.ino}`,
  }
}

/** Opened anew, because not to wait for the reader is a property that all who share it would get. */
function standardOutput(): Output {
  const shared = { ...outputOf(1), waits: true }
  if (shared.kind === 'file') return shared
  try {
    return outputOf(fs.openSync('/proc/self/fd/1', FLAGS))
  } catch (error) {
    // ENXIO: a socket; EACCES: somebody else's pipe; ENOENT: no Linux
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return shared
  }
}

async function identityOf(path: string): Promise<string> {
  try {
    const { dev, ino } = await stat(path, { bigint: true })
    return `${dev} ${ino}`
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
