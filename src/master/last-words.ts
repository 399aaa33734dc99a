// What a worker writes to stderr: passed on untouched, its end remembered for the log when it dies. Runs in the master.

/** Lines and bytes remembered per worker. */
const LINES = 20
const BYTES = 4_096
/** A worker told to be quiet is heard after this long all the same, ms: it may be explaining why it hangs. */
const QUIET_MS = 3_000

export class LastWords {
  #tail = Buffer.alloc(0)
  #held: Buffer[] | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(quiet: boolean) {
    if (!quiet) return
    this.#held = []
    this.#timer = setTimeout(() => this.release(), QUIET_MS)
  }

  hear(chunk: Buffer): void {
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-BYTES)
    if (this.#held) this.#held.push(chunk)
    else process.stderr.write(chunk)
  }

  /** From now on, and for what was held back: straight through. */
  release(): void {
    clearTimeout(this.#timer)
    const held = this.#held
    this.#held = undefined
    for (const chunk of held ?? []) process.stderr.write(chunk)
  }

  /** What was held back was said by another worker already. */
  discard(): void {
    if (!this.#held) return
    clearTimeout(this.#timer)
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
