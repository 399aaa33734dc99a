// The whole terminal: another screen than the shell's, drawn on and read from until it is closed, and then as it was before,
// however the command ends. Runs in the CLI.

import { STATUS, onSignal, suspend } from './signals.ts'

/** The other screen, without a cursor and without wrapping lines; and back. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l'
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H'
const CLEAR_LINE = '\x1b[K'
const CLEAR_REST = '\x1b[J'

const STYLES = { bold: '\x1b[1m', reverse: '\x1b[7m', dim: '\x1b[2m', red: '\x1b[31;1m' }
const PLAIN = '\x1b[0m'

export interface Line {
  /** No wider than the screen. */
  readonly text: string
  readonly style?: keyof typeof STYLES
}

export interface Size {
  readonly columns: number
  readonly rows: number
}

const NAMES: Readonly<Record<string, string>> = {
  '\x1b[A': 'up',
  '\x1bOA': 'up',
  '\x1b[B': 'down',
  '\x1bOB': 'down',
  '\x1b': 'escape',
  '\x03': 'ctrl-c',
  '\x0c': 'ctrl-l',
  '\x1a': 'ctrl-z',
}

/** The keys in what a terminal has sent: letters as they are, others by name. */
export const keysIn = (text: string): string[] =>
  (text.match(/\x1b\[[\d;]*[A-Za-z~]|\x1bO[A-Za-z]|[^]/gu) ?? []).map((key) => NAMES[key] ?? key)

export class Screen {
  /** The exit status, when a signal has ended it or close() was called. */
  readonly closed: Promise<number>
  #state: 'open' | 'away' | 'closed' = 'closed'
  #end!: (status: number) => void
  readonly #undo: (() => void)[] = []
  #ignoreStop: () => void = () => undefined

  /** `redraw`: the size has changed, or something else was on the screen. `press`: a key, by name. */
  constructor(redraw: () => void, press: (key: string) => void) {
    this.closed = new Promise((resolve) => (this.#end = resolve))
    const { stdin, stdout } = process
    const hear = (text: string): void => {
      for (const key of keysIn(text)) {
        if (key === 'ctrl-z') this.#suspend(redraw)
        else press(key)
      }
    }
    stdin.setEncoding('utf8').on('data', hear)
    stdout.on('resize', redraw)
    const giveUp = (): void => this.close()
    // what ends the process prints its reason after this, where it can be read
    process.on('uncaughtExceptionMonitor', giveUp).on('exit', giveUp)
    this.#undo.push(
      () => void stdin.off('data', hear),
      () => void stdout.off('resize', redraw),
      () => void process.off('uncaughtExceptionMonitor', giveUp).off('exit', giveUp),
      onSignal('SIGINT', () => this.close(STATUS.SIGINT)),
      onSignal('SIGTERM', () => this.close(STATUS.SIGTERM)),
      onSignal('SIGCONT', () => this.#return(redraw)),
      () => this.#ignoreStop(),
    )
    this.#hearStop(redraw)
    this.#enter()
  }

  get size(): Size {
    const { columns, rows } = process.stdout
    return { columns, rows }
  }

  draw(lines: readonly Line[]): void {
    if (this.#state !== 'open') return
    const { columns, rows } = this.size
    const drawn = lines.slice(0, rows).map(({ text, style }) => {
      const cut = text.slice(0, columns)
      if (!style) return cut + CLEAR_LINE
      return `${STYLES[style]}${style === 'reverse' ? cut.padEnd(columns) : cut}${PLAIN}${CLEAR_LINE}`
    })
    process.stdout.write(HOME + drawn.join('\r\n') + CLEAR_REST)
  }

  /** Again it does nothing. */
  close(status = 0): void {
    if (this.#state === 'closed') return
    if (this.#state === 'open') this.#leave()
    this.#state = 'closed'
    for (const undo of this.#undo.splice(0)) undo()
    this.#end(status)
  }

  #enter(): void {
    this.#state = 'open'
    process.stdin.setRawMode(true).resume()
    process.stdout.write(ENTER)
  }

  #leave(): void {
    this.#state = 'away'
    process.stdout.write(LEAVE)
    process.stdin.setRawMode(false).pause()
  }

  #hearStop(redraw: () => void): void {
    this.#ignoreStop = onSignal('SIGTSTP', () => this.#suspend(redraw))
  }

  #suspend(redraw: () => void): void {
    if (this.#state !== 'open') return
    this.#leave()
    this.#ignoreStop()
    suspend()
    this.#hearStop(redraw)
    this.#return(redraw)
  }

  /** A shell has used the terminal meanwhile, and has set it up for itself. */
  #return(redraw: () => void): void {
    if (this.#state === 'closed') return
    if (this.#state === 'open') process.stdin.setRawMode(false)
    this.#enter()
    redraw()
  }
}
