// What a process writes to stderr: passed on untouched, its end remembered for when it dies. Runs in the master, and in job processes.

import { sendSignal } from '../send-signal.ts'

/** Lines and bytes remembered per worker. */
const LINES = 20
const BYTES = 4_096
/** A worker told to be quiet is heard after this long all the same, ms: it may be explaining why it hangs. */
const QUIET_MS = 3_000

/** Pipes may be open a moment longer than the process lives, ms. */
const PIPES_MS = 100

export class LastWords {
  #tail = Buffer.alloc(0)
  #mode: 'through' | 'held' | 'dropped' = 'through'
  #held: Buffer[] = []
  #timer: NodeJS.Timeout | undefined

  /** `quiet`: held back until release(). */
  constructor(quiet: boolean) {
    if (!quiet) return
    this.#mode = 'held'
    this.#timer = setTimeout(() => this.release(), QUIET_MS)
  }

  hear(chunk: Buffer): void {
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-BYTES)
    if (this.#mode === 'held') this.#held.push(chunk)
    else if (this.#mode === 'through') process.stderr.write(chunk)
  }

  /** For the log alone: what the system says in its place. */
  note(line: string): void {
    this.#tail = Buffer.from(`${line}\n`)
  }

  /** What was held back is passed on, and from now on everything at once. */
  release(): void {
    if (this.#mode !== 'held') return
    clearTimeout(this.#timer)
    this.#mode = 'through'
    for (const chunk of this.#held.splice(0)) process.stderr.write(chunk)
  }

  /** What is held back was said by another worker already. */
  discard(): void {
    if (this.#mode !== 'held') return
    clearTimeout(this.#timer)
    this.#mode = 'dropped'
    this.#held = []
  }

  /** The last lines, without line ends. */
  get lines(): string[] {
    return this.#tail
      .toString('utf8')
      .split('\n')
      .map((line) => line.trimEnd())
      .filter(Boolean)
      .slice(-LINES)
  }
}

/** A ChildProcess that has ended. */
interface Ended {
  readonly pid?: number | undefined
  once(event: 'close', listener: () => void): unknown
}

/** What it started dies with it, and then its pipes end: only now are its last words complete. */
export function afterExit(child: Ended, report: () => void): void {
  sendSignal(-child.pid!, 'SIGKILL')
  let reported = false
  const once = (): void => {
    if (reported) return
    reported = true
    clearTimeout(timer)
    report()
  }
  const timer = setTimeout(once, PIPES_MS)
  child.once('close', once)
}
