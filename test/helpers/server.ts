// A real server: the built CLI with an app, its log read line by line, ended and checked after the test.
import { spawn, type ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { request, type Answer, type RequestOptions } from './client.ts'
import { isAlive, signalIfThere } from './process.ts'
import { tempDir, type Teardown } from './temp.ts'
import { PATIENCE, until, within } from './until.ts'

export const cli = fileURLToPath(new URL('../../dist/cli.cjs', import.meta.url))
export const fixtures = fileURLToPath(new URL('../fixtures', import.meta.url))

export interface ServerOptions {
  /** Added to a bare environment: nothing of ours, such as PORT, leaks in. */
  readonly env?: Readonly<Record<string, string>>
  /** Default: the fixtures' directory. */
  readonly cwd?: string
  /** Written to a JSON file that is passed with -c. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Default 127.0.0.1:0; false passes no --bind at all. */
  readonly bind?: string | false
  /** After `--`, for the app. */
  readonly appArgs?: readonly string[]
  /** File descriptors that it inherits, as 3, 4, ... */
  readonly fds?: readonly number[]
  /** What stands for `supervisor`. Default: this node and the built CLI of this checkout. */
  readonly command?: readonly [program: string, ...args: string[]]
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warning' | 'error' | 'critical'
  readonly time: string
  readonly pid: number
  readonly event: string
  readonly msg: string
  readonly [fact: string]: unknown
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** Milliseconds since the last signal we sent, or since the start. */
  readonly ms: number
}

/** Flags, and options as the last one. */
export type StartArgs = readonly (string | ServerOptions)[]

/**
 * Starts the app (a fixture's name, or a path; `:export` may follow) and waits until all workers are ready.
 * Throws with the whole log if it ends before.
 */
export async function startServer(t: Teardown, app: string, ...args: StartArgs): Promise<Server> {
  const server = spawnServer(t, app, ...args)
  await server.log(/^Server is ready/)
  return server
}

/** Like startServer, but waits for nothing: for what fails to start. */
export function spawnServer(t: Teardown, app: string, ...args: StartArgs): Server {
  const { flags, options } = splitArgs(args)
  const words = ['start', app, '--log-format', 'json']
  if (options.bind !== false) words.push('--bind', options.bind ?? '127.0.0.1:0')
  if (options.config) words.push('-c', configFile(t, options.config))
  words.push(...flags, ...(options.appArgs ? ['--', ...options.appArgs] : []))
  const [program, ...before] = options.command ?? [process.execPath, cli]
  const child = spawn(program, [...before, ...words], {
    cwd: options.cwd ?? fixtures,
    env: { ...bareEnvironment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', ...(options.fds ?? [])],
    detached: true,
  })
  const server = new Server(child)
  t.onTestFinished(() => server.tearDown())
  return server
}

/** What a program needs, and nothing that a setting could come from. Caches are kept out of the user's own. */
export function bareEnvironment(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'NODE_EXTRA_CA_CERTS']
  const theirs = names.flatMap((n) => (process.env[n] ? [[n, process.env[n]]] : []))
  return { ...Object.fromEntries(theirs), XDG_CACHE_HOME: join(tmpdir(), 'nodicorn-tests') }
}

export class Server {
  /** Every line of the log so far. */
  readonly lines: LogLine[] = []
  /** What the app, or anything else, wrote to stdout. */
  readonly output: string[] = []
  readonly stderrLines: string[] = []
  readonly #child: ChildProcess
  /** The process we started: the master, or what runs it. Leads a process group. */
  readonly #leader: number
  readonly #expected: RegExp[] = []
  readonly #exited: Promise<void>
  #since = performance.now()
  #exit: Exit | undefined

  constructor(child: ChildProcess) {
    this.#child = child
    this.#leader = child.pid ?? 0
    eachLine(child.stdout!, (line) => this.#hear(line))
    eachLine(child.stderr!, (line) => this.stderrLines.push(line))
    this.#exited = new Promise((resolve) => {
      // Not 'exit': the last lines may still be in the pipe.
      child.once('close', (code, signal) => {
        this.#exit ??= { code, signal, ms: performance.now() - this.#since }
        resolve()
      })
      child.once('exit', (code, signal) => {
        this.#exit = { code, signal, ms: performance.now() - this.#since }
      })
    })
  }

  /** The master's, as it says itself: `npx` and others stand before it. */
  get pid(): number {
    return this.lines[0]?.pid ?? this.#leader
  }

  /** The first address it listens at: http://127.0.0.1:43211 or unix:/path. */
  get url(): string {
    const [first] = this.urls
    if (first === undefined) throw new Error(`it does not listen yet${this.#story()}`)
    return first
  }

  get urls(): string[] {
    const urls = this.lines.flatMap((line) => /^Listening at: (\S+)/.exec(line.msg)?.[1] ?? [])
    return [...new Set(urls)]
  }

  get stderr(): string {
    return this.stderrLines.join('\n')
  }

  /**
   * The first log line, past or future, whose sentence matches; `from` skips that many lines.
   * Throws with the whole log after `ms` milliseconds, or as soon as the server has ended.
   */
  log(sentence: RegExp, { from = 0, ms = PATIENCE } = {}): Promise<LogLine> {
    const find = (): LogLine | undefined =>
      this.lines.slice(from).find((line) => sentence.test(line.msg))
    return this.#waitFor(`the log says ${sentence}`, find, ms)
  }

  /** Waits until so many log lines match. */
  logTimes(sentence: RegExp, count: number, ms = PATIENCE): Promise<LogLine[]> {
    const find = (): LogLine[] | undefined => {
      const found = this.lines.filter((line) => sentence.test(line.msg))
      return found.length >= count ? found : undefined
    }
    return this.#waitFor(`the log says ${sentence} ${count} times`, find, ms)
  }

  /** Waits for a line that the app wrote to stdout. */
  prints(pattern: RegExp, ms = PATIENCE): Promise<string> {
    const find = (): string | undefined => this.output.find((line) => pattern.test(line))
    return this.#waitFor(`stdout has ${pattern}`, find, ms)
  }

  /** Waits until what was written to stderr matches. */
  complains(pattern: RegExp, ms = PATIENCE): Promise<RegExpExecArray> {
    return this.#waitFor(`stderr has ${pattern}`, () => pattern.exec(this.stderr) ?? undefined, ms)
  }

  /** Errors in the log that this test wants; all others fail it. */
  expectLog(...sentences: RegExp[]): void {
    this.#expected.push(...sentences)
  }

  get(path: string, options?: RequestOptions): Promise<Answer> {
    return request(this.url, path, options)
  }

  /** Workers that were started and have not ended, oldest first. */
  pids(): number[] {
    return this.allPids().filter(isAlive)
  }

  /** Every worker there ever was. */
  allPids(): number[] {
    return this.lines.flatMap((line) => {
      const pid = /^Booting worker with pid: (\d+)/.exec(line.msg)?.[1]
      return pid === undefined ? [] : [Number(pid)]
    })
  }

  /** Masters that live, oldest first: an upgrade puts another one in the place of the first. */
  masters(): number[] {
    const starts = this.lines.filter(({ event }) => event === 'starting')
    return [...new Set(starts.map(({ pid }) => pid))].filter(isAlive)
  }

  signal(signal: NodeJS.Signals): void {
    this.#since = performance.now()
    process.kill(this.pid, signal)
  }

  /** Waits until it has ended and everything it wrote was read. */
  async exit(ms = PATIENCE): Promise<Exit> {
    await within('the server ended', this.#exited, ms).catch((error: unknown) => {
      throw new Error(`${String(error)}${this.#story()}`)
    })
    return this.#exit!
  }

  /** How the process that we started ended, though another master may go on and have its output. */
  async left(ms = PATIENCE): Promise<Exit> {
    return this.#waitFor('the first master ended', () => this.#exit, ms)
  }

  /** SIGTERM, then SIGKILL; fails if a worker outlives the master or the log has an error nobody expected. */
  async tearDown(): Promise<void> {
    try {
      if (!this.#exit) signalIfThere(this.pid, 'SIGTERM')
      for (const pid of this.masters()) if (pid !== this.pid) signalIfThere(pid, 'SIGTERM')
      const hasEnded = (): boolean => Boolean(this.#exit) && this.masters().length === 0
      await until('the master ended on SIGTERM', hasEnded, 10_000)
      await until('all workers ended with it', () => this.pids().length === 0, 3_000)
    } catch (error) {
      throw new Error(`${String(error)}${this.#story()}`)
    } finally {
      this.#killAll()
    }
    this.#checkForSurprises()
  }

  #killAll(): void {
    for (const pid of this.masters()) if (pid !== this.#leader) signalIfThere(pid, 'SIGKILL')
    for (const pid of this.pids()) signalIfThere(-pid, 'SIGKILL')
    for (const pid of this.pids()) signalIfThere(pid, 'SIGKILL')
    if (!this.#exit) signalIfThere(-this.#leader, 'SIGKILL')
    this.#child.stdout?.destroy()
    this.#child.stderr?.destroy()
  }

  #checkForSurprises(): void {
    const surprises = this.lines
      .filter(({ level }) => level === 'error' || level === 'critical')
      .filter(({ msg }) => !this.#expected.some((sentence) => sentence.test(msg)))
    if (surprises.length === 0) return
    throw new Error(`errors nobody expected: ${surprises.map(({ msg }) => msg).join(' | ')}`)
  }

  async #waitFor<T>(what: string, find: () => T | undefined, ms: number): Promise<NonNullable<T>> {
    let ended = false
    void this.#exited.then(() => (ended = true))
    try {
      return await until(
        what,
        () => {
          const found = find()
          if (found === undefined && ended) throw new Error(`the server ended before: ${what}`)
          return found
        },
        ms,
      )
    } catch (error) {
      throw new Error(`${(error as Error).message}${this.#story()}`, { cause: error })
    }
  }

  #hear(line: string): void {
    const parsed = line.startsWith('{') ? tryJson(line) : undefined
    if (parsed) this.lines.push(parsed)
    else this.output.push(line)
  }

  #story(): string {
    const log = this.lines.map(({ level, msg }) => `${level.padEnd(8)} ${msg}`).join('\n')
    const ended = this.#exit ? `, ended with ${JSON.stringify(this.#exit)}` : ''
    return `\n--- log of ${this.pid}${ended}\n${log}\n--- stdout\n${this.output.join('\n')}\n--- stderr\n${this.stderr}`
  }
}

// --- internal ---

function splitArgs(args: StartArgs): { flags: string[]; options: ServerOptions } {
  const last = args.at(-1)
  const options = typeof last === 'object' ? last : {}
  return { flags: args.filter((arg): arg is string => typeof arg === 'string'), options }
}

function configFile(t: Teardown, config: object): string {
  const file = join(tempDir(t), 'supervisor.config.json')
  writeFileSync(file, JSON.stringify(config))
  return file
}

function eachLine(stream: Readable, hear: (line: string) => void): void {
  createInterface({ input: stream }).on('line', hear)
}

/** A line of the log; undefined for whatever else looks like JSON. */
function tryJson(line: string): LogLine | undefined {
  try {
    const value = JSON.parse(line) as Partial<LogLine>
    return typeof value.msg === 'string' && value.event ? (value as LogLine) : undefined
  } catch {
    // SyntaxError: text that merely starts with a brace.
    return undefined
  }
}
