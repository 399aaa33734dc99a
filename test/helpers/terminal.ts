// A terminal as a page shows it: a shell command, its output, Ctrl-C; and the pages' way to say what it prints.
import { spawn, type ChildProcess } from 'node:child_process'
import { signalIfThere } from './process.ts'
import type { Teardown } from './temp.ts'
import { until } from './until.ts'

/** Numbers on a page that stand for others: pids, and in here the ports too. */
export type Numbers = Map<string, string>

/** What each page may show differently from what is printed, as the pattern it must have. */
const VARYING = [
  /\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+Z| [+-]\d{4})/,
  /\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}/,
  /(?<![\d.])\d+\.\d+\.\d+(?![\d.])/,
  /(?:after|for|taken) \d+(?:\.\d+)? s/,
]
const PID = /\d{4,}/
const PIECES = new RegExp(`(${[...VARYING, PID].map((piece) => piece.source).join('|')})`)

interface Found {
  /** Index of the line. */
  readonly at: number
  readonly learnt: ReadonlyMap<string, string>
}

/**
 * The line as a pattern. A number of four digits or more is looked up in `numbers`; one that is not there may be any
 * number, which match() then tells.
 */
export class ExpectedLine {
  readonly #pattern: RegExp
  readonly #unknown: string[] = []

  constructor(line: string, numbers: Numbers) {
    const isWhole = !line.endsWith('...')
    const pieces = (isWhole ? line.trimEnd() : line.slice(0, -3)).split(PIECES)
    const source = pieces.map((piece) => this.#source(piece, numbers)).join('')
    this.#pattern = new RegExp(`^${source}${isWhole ? '\\s*$' : ''}`)
  }

  /** The numbers it has, or undefined if it is another line. */
  match(line: string): ReadonlyMap<string, string> | undefined {
    const found = this.#pattern.exec(line)
    return found ? new Map(this.#unknown.map((name, i) => [name, found[i + 1] ?? ''])) : undefined
  }

  #source(piece: string, numbers: Numbers): string {
    const varying = VARYING.find((pattern) => new RegExp(`^${pattern.source}$`).test(piece))
    if (varying) return varying.source
    if (!new RegExp(`^${PID.source}$`).test(piece)) return escape(piece).replace(/ {2,}/g, ' +')
    const known = numbers.get(piece)
    if (known !== undefined) return known
    this.#unknown.push(piece)
    return '(\\d+)'
  }
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** A new store of jobs may take long on a busy machine, ms. */
const PATIENCE = 60_000

export class Terminal {
  readonly lines: string[] = []
  readonly command: string
  readonly pid: number
  /** The exit status; null if a signal ended it; undefined while it runs. */
  status: number | null | undefined
  #closed = false
  #read = 0

  /** Runs `words` in a process group of its own, as a shell in a terminal would. */
  constructor(
    t: Teardown,
    words: readonly [string, ...string[]],
    options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
  ) {
    const [program, ...args] = words
    const child = spawn(program, args, {
      ...options,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.command = args.at(-1) ?? program
    this.pid = child.pid ?? 0
    this.#listen(child)
    t.onTestFinished(() => this.#clearAway())
  }

  /** Whatever was printed, for messages. */
  get story(): string {
    return `\n--- ${this.command}\n${this.lines.join('\n')}\n--- status ${String(this.status)}`
  }

  /**
   * Waits until each of the lines, in any order, has been printed since the last time; others may be between them.
   * Learns the numbers that stand for others.
   */
  async prints(expected: readonly string[], numbers: Numbers): Promise<void> {
    const seen = new Set<number>()
    for (const line of expected) {
      const { at, learnt } = await this.#waitFor(`it prints ${JSON.stringify(line)}`, () =>
        this.#find(new ExpectedLine(line, numbers), seen),
      )
      seen.add(at)
      for (const [name, value] of learnt) numbers.set(name, value)
    }
    this.#read = Math.max(this.#read, ...[...seen].map((at) => at + 1))
  }

  #find(wanted: ExpectedLine, seen: ReadonlySet<number>): Found | undefined {
    for (let at = this.#read; at < this.lines.length; at++) {
      const learnt = seen.has(at) ? undefined : wanted.match(this.lines[at] ?? '')
      if (learnt) return { at, learnt }
    }
    return undefined
  }

  /** Waits until it has ended, or a server in it is ready. */
  async settles(): Promise<void> {
    await this.#waitFor(
      'it ends, or a server in it is ready',
      () => this.#closed || this.lines.some((line) => line.includes('Server is ready')),
    )
  }

  async ends(): Promise<void> {
    await this.#waitFor('it ends', () => this.#closed)
  }

  get hasEnded(): boolean {
    return this.#closed
  }

  /** To all processes in the terminal's foreground. */
  pressCtrlC(): void {
    signalIfThere(-this.pid, 'SIGINT')
  }

  #listen(child: ChildProcess): void {
    for (const stream of [child.stdout, child.stderr]) {
      let rest = ''
      stream?.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop() ?? ''
        this.lines.push(...lines)
      })
      stream?.on('end', () => rest && this.lines.push(rest))
    }
    child.once('close', (code) => {
      this.status = code
      this.#closed = true
    })
  }

  async #waitFor<T>(what: string, find: () => T | undefined): Promise<NonNullable<T>> {
    try {
      const look = (): T | undefined => {
        const found = find()
        if (!found && this.#closed) throw new Error(`it ended before ${what}`)
        return found
      }
      return await until(what, look, PATIENCE)
    } catch (error) {
      throw new Error(`${(error as Error).message}${this.story}`, { cause: error })
    }
  }

  /** Only after a failure is anything left. */
  #clearAway(): void {
    if (this.#closed) return
    signalIfThere(-this.pid, 'SIGKILL')
    for (const line of this.lines) {
      const worker = /Booting worker with pid: (\d+)/.exec(line)?.[1]
      if (worker) signalIfThere(-Number(worker), 'SIGKILL')
    }
  }
}
