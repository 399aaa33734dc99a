// The server's log: one line an event, JSON or readable, to stdout or a file. Runs in the master.
// Lines wait in memory until open() has loaded pino, so that loading it does not delay the first worker.

import { createRequire } from 'node:module'
import { fs } from './builtin.ts'
import { events, type EventName, type Facts, type Level, type LogEvent } from './events.ts'
import { UserError } from './errors.ts'
import { localTime } from './local-time.ts'
import type { Logger } from 'pino'

export interface LogSettings {
  logLevel: Level
  /** A path, or `-` for stdout. */
  logFile: string
  logFormat: 'auto' | 'text' | 'json'
}

/** How much each weighs, the least important first. */
export const levels: Readonly<Record<Level, number>> = {
  debug: 20,
  info: 30,
  warning: 40,
  error: 50,
  critical: 60,
}
const COLOURS: Record<string, string> = { warning: '33', error: '31', critical: '31;1' }
/** Beyond this many unwritten bytes, lines are dropped: a stuck reader must not fill the master's memory. */
const MAX_BUFFERED = 4 << 20
const STUCK_MS = 1_000
/** How long loading pino may wait for the workers to be ready, ms. */
const OPEN_MS = 150

interface Sink {
  write(text: string): void
  flush(done: (error?: Error) => void): void
  /** Throws where there is no file. */
  reopen(): void
  /** Writes what it has, then closes its file; standard output stays open. */
  end(): void
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): void
}

export class Log {
  /** With the time, ms: to make a date of it may take 5 ms the first time, for the time zone's data. */
  #waiting: [Level, number, object, string][] = []
  #logger: Logger<Level> | undefined
  #sink: Sink | undefined
  #settings: LogSettings | undefined
  #opening: NodeJS.Timeout | undefined
  /** Hears of every event, whatever the level of the log. */
  onEvent: ((event: LogEvent) => void) | undefined

  event<E extends EventName>(name: E, facts: Facts<E>): void {
    const { level, say } = events[name] as { level: Level; say: (facts: Facts<E>) => string }
    const text = say(facts)
    this.onEvent?.({ name, level, at: Date.now(), facts, text })
    this.#line(level, { event: name, ...rounded(facts) }, text)
  }

  #line(level: Level, facts: object, sentence: string): void {
    if (this.#logger) this.#logger[level](facts, sentence)
    else this.#waiting.push([level, Date.now(), facts, sentence])
  }

  /** Throws a UserError when the file can't be written: pino opens it later, when nobody is left to tell. */
  check({ logFile }: LogSettings): void {
    if (logFile === '-') return
    try {
      fs.closeSync(fs.openSync(logFile, 'a'))
    } catch (error) {
      const { message } = error as Error
      throw new UserError(
        'NO_PERMISSION',
        `cannot write the log file ${logFile} (--log-file): ${message}`,
      )
    }
  }

  /** Opens when told, or in a moment: loading pino takes as long as half a boot, and would take it from a worker. */
  openSoon(settings: LogSettings): void {
    this.#opening = setTimeout(() => this.open(settings), OPEN_MS)
  }

  /** Loads pino and writes what has waited; again it does nothing. */
  open(settings: LogSettings): void {
    clearTimeout(this.#opening)
    if (this.#logger) return
    // require() and not import(): the ESM loader's pass over a CommonJS package costs another 8 ms (Node 20)
    const pino = createRequire(import.meta.url)('pino') as typeof import('pino').default
    const sink = openSink(pino, settings.logFile)
    const readable = isReadable(settings)
    const colour = isTerminal(settings.logFile)
    this.#sink = sink
    this.#settings = settings
    this.#logger = pino(
      {
        level: settings.logLevel,
        customLevels: levels,
        useOnlyCustomLevels: true,
        base: { pid: process.pid },
        timestamp: false,
        formatters: {
          level: (label) => ({ level: label }),
          log: (facts) => ('time' in facts ? facts : { time: new Date().toISOString(), ...facts }),
        },
      },
      readable
        ? { write: (line: string) => sink.write(readableLine(line, colour)) }
        : (sink as never),
    ) as unknown as Logger<Level>
    for (const [level, ms, facts, sentence] of this.#waiting.splice(0))
      this.#logger[level]({ time: new Date(ms).toISOString(), ...facts }, sentence)
  }

  /** What a reload brought: the next line has the new level, and is in the new file and form. */
  change(settings: LogSettings): void {
    const { logFile, logFormat } = this.#settings ?? {}
    if (logFile !== settings.logFile || logFormat !== settings.logFormat) {
      const old = this.#sink
      this.#logger = undefined
      this.open(settings)
      old?.end()
    }
    if (this.#logger) this.#logger.level = settings.logLevel
  }

  /** Its file was moved away: the next lines go to a new one. */
  reopen(): void {
    if (this.#settings && this.#settings.logFile !== '-') this.#sink?.reopen()
  }

  /** Resolves when everything is on disk or in the pipe, or when a reader has been stuck for a second. */
  close(): Promise<void> {
    const sink = this.#sink
    if (!sink) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, STUCK_MS)
      sink.flush(() => {
        // an error is the reader that left, which ignoreClosedReader() has heard of
        clearTimeout(timer)
        resolve()
      })
    })
  }
}

/** Milliseconds are exact enough. */
export const rounded = (facts: object): object =>
  Object.fromEntries(
    Object.entries(facts).map(([key, value]) => [
      key,
      typeof value === 'number' ? Math.round(value * 1000) / 1000 : value,
    ]),
  )

function openSink(pino: typeof import('pino').default, file: string): Sink {
  const dest = file === '-' ? 1 : file
  const sink = pino.destination({ dest, sync: false, maxLength: MAX_BUFFERED }) as unknown as Sink
  sink.on('error', ignoreClosedReader)
  return sink
}

/** EPIPE, EBADF, ENOSPC: the log's reader left or the disk is full; serving goes on without a log. */
function ignoreClosedReader(error: NodeJS.ErrnoException): void {
  if (error.code === undefined) throw error
}

/** Text for people; else it is JSON. */
export const isReadable = ({ logFile, logFormat }: LogSettings): boolean =>
  logFormat === 'text' || (logFormat === 'auto' && isTerminal(logFile))

const isTerminal = (file: string): boolean => file === '-' && process.stdout.isTTY === true

/** `[2026-11-23 03:48:15 +0000] [4299] [INFO] Listening at: ...`, Gunicorn's form. */
export function readableLine(json: string, colour: boolean): string {
  const { level, time, pid, msg, stderr } = JSON.parse(json) as {
    level: string
    time: string
    pid: number
    msg: string
    stderr?: string[]
  }
  const paint = colour && COLOURS[level] ? [`\x1b[${COLOURS[level]}m`, '\x1b[0m'] : ['', '']
  const { iso, zone } = localTime(Date.parse(time))
  const head = `[${iso.slice(0, 10)} ${iso.slice(11, 19)} ${zone}] [${pid}] [${level.toUpperCase()}] ${paint[0]}${msg}${paint[1]}\n`
  return head + (stderr ?? []).map((line) => `    | ${line}\n`).join('')
}
