// The server that the soak does harm to: started, deployed to, asked over its control socket, and what its log says of its workers.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand, type Said } from '../../test/helpers/command.ts'
import { childrenOf, isAlive } from '../../test/helpers/process.ts'
import { startServer, type LogLine, type Server } from '../../test/helpers/server.ts'
import { tempDir, type Teardown } from '../../test/helpers/temp.ts'
import { until } from '../../test/helpers/until.ts'
import type { ServerStatus } from '../../src/control-protocol.ts'
import { apps } from '../servers.ts'
import { Crew } from './crew.ts'

export const TIMEOUT_MS = 3_000
const WORKERS = 3

/** Quick, so that many faults fit into a minute. */
const FLAGS = [
  ['--workers', WORKERS],
  ['--timeout', TIMEOUT_MS / 1000],
  ['--graceful-timeout', 10],
  ['--backoff-max', 1],
  ['--stable-after', 2],
  ['--max-memory', '300mb'],
  ['--node-args', '--expose-gc'],
].map(([flag, value]) => `${flag}=${value}`)

const GOOD = `require(${JSON.stringify(join(apps, 'soak.cjs'))})\n`
const BROKEN = `throw new Error('a broken deploy')\n`

/** Debian's and Fedora's places; the dynamic linker knows no better. */
const FAKETIME = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib64/faketime/libfaketime.so.1',
].find((file) => existsSync(file))

export class Subject {
  readonly crew = new Crew()
  readonly server: Server
  readonly accessLog: string
  readonly #app: string
  readonly #clock: string
  readonly #env: Record<string, string>

  private constructor(server: Server, dir: string, env: Record<string, string>) {
    this.server = server
    this.#env = env
    this.#app = join(dir, 'app.cjs')
    this.#clock = join(dir, 'clock')
    this.accessLog = join(dir, 'access.log')
  }

  /** Ready. Its log may have errors: that is what it is for. */
  static async start(t: Teardown): Promise<Subject> {
    const dir = tempDir(t, { 'app.cjs': GOOD, clock: '+0\n' })
    const env = { XDG_RUNTIME_DIR: dir }
    const flags = [...FLAGS, '--access-log', join(dir, 'access.log')]
    const options = { cwd: dir, env: { ...env, ...fakeClock(join(dir, 'clock')) } }
    const server = await startServer(t, join(dir, 'app.cjs'), ...flags, options)
    server.expectLog(/./)
    return new Subject(server, dir, env)
  }

  get port(): number {
    return Number(new URL(this.server.url).port)
  }

  /** The one in charge: the youngest. */
  get master(): number {
    return this.server.masters().at(-1)!
  }

  /** How many workers there should be: a reload takes it back to what the settings say. */
  get target(): number {
    const last = this.server.lines.findLast(({ event }) => event === 'workersChanged')
    return (last?.['to'] as number | undefined) ?? WORKERS
  }

  /** Of ready workers. Oldest first. */
  ready(): number[] {
    this.crew.read(this.server.lines)
    return this.crew.ready().filter(isAlive)
  }

  deploy(what: 'good' | 'broken'): void {
    writeFileSync(this.#app, what === 'good' ? GOOD : BROKEN)
  }

  readonly hasFakeClock = FAKETIME !== undefined

  /** Everybody's wall clock, s from the true time. */
  setClock(offset: number): void {
    writeFileSync(this.#clock, `${offset < 0 ? '' : '+'}${offset}\n`)
  }

  /** A command of the CLI, to its end. */
  command(...words: string[]): Promise<Said> {
    return runCommand(this.#env, [...words, '--pid', String(this.master)])
  }

  /** Throws if the server does not answer. */
  async status(): Promise<ServerStatus> {
    const { code, stdout, stderr } = await this.command('status', '--json')
    if (code !== 0) throw new Error(`supervisor status ended with ${code}: ${stderr}`)
    return JSON.parse(stdout) as ServerStatus
  }

  /** Waits for an event after the line `from`; throws after `ms`. */
  event(name: string, from: number, ms = 20_000): Promise<LogLine> {
    const find = (): LogLine | undefined =>
      this.server.lines.slice(from).find(({ event }) => event === name)
    return until(`the log has ${name}`, find, ms)
  }

  /** When each master began, by its number: in half an hour the system gives a number to somebody else. */
  readonly #born = new Map<number, string | undefined>()

  #masters(): number[] {
    const alive = this.server.masters()
    for (const pid of alive) if (!this.#born.has(pid)) this.#born.set(pid, startOf(pid))
    this.#born.set(this.master, startOf(this.master))
    return alive.filter((pid) => this.#born.get(pid) === startOf(pid))
  }

  /** One master, with as many workers as there should be, all ready, none of them leaving, and no other child. */
  async settles(ms: number): Promise<void> {
    const isSettled = (): boolean =>
      this.ready().length === this.target &&
      this.crew.alive().length === this.target &&
      this.#masters().length === 1 &&
      childrenOf(this.master).length === this.target
    await until(`${this.target} workers are ready, and nobody else is there`, isSettled, ms)
  }
}

/** In ticks since the boot of the machine; undefined if it is gone. */
function startOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19]
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/** Timers must not jump: only the wall clock is faked. */
const fakeClock = (file: string): Record<string, string> =>
  FAKETIME === undefined
    ? {}
    : {
        LD_PRELOAD: FAKETIME,
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_CACHE_DURATION: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        FAKETIME_DISABLE_SHM: '1',
      }
