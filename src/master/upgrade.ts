// A new master in place of this one (USR2): it inherits the listening sockets, and this one leaves only when it is in charge.
// Runs in the old master, loaded when it is asked for. The only file that starts and ends masters.

import { spawn, type ChildProcess } from 'node:child_process'
import { fs } from '../builtin.ts'
import type { StartCommand } from '../config.ts'
import type { DrainMode } from '../protocol.ts'
import { workerBounds } from '../cgroup.ts'
import { BEQUEST_VARIABLE, type Bequest, type FromHeir, type ToHeir } from './bequest.ts'
import type { MasterState } from './inputs.ts'
import { chooseNode } from './node-choice.ts'
import type { SuccessionParts } from './succession.ts'
import { Successor } from './successor.ts'
import { heirsEnvironment, tellMainPid } from './systemd.ts'

/** What a new master may take beyond `bootTimeout`: node, the package and the settings file are loaded, s. */
const OWN_SECONDS = 10
/** What it may take to end beyond `gracefulTimeout`, s. */
const END_SECONDS = 5
/** Its last message may be read a moment after its exit, ms. */
const LAST_MESSAGE_MS = 500

/** An init in a container that ends with the process it started. */
const INITS_OF_ONE = ['tini', 'docker-init', 'dumb-init', 'catatonit']

export interface Situation extends Pick<MasterState, 'step' | 'isReloading'> {
  readonly pid: number
  /** The name of the program that started us, if that is process 1. */
  readonly init: string | undefined
  readonly isCommand: boolean
  readonly socketOwner: 'owned' | 'cluster'
}

/** Why there can be no upgrade, now or ever; undefined if there can. */
export function obstacle(situation: Situation): string | undefined {
  const { pid, init = '', step, isReloading, isCommand, socketOwner } = situation
  if (pid === 1 || INITS_OF_ONE.includes(init))
    return 'a container ends with its first process, so that one cannot be replaced; start a new container, or send HUP for new code and settings'
  if (!isCommand)
    return 'this master is a program of yours, which cannot be started a second time; only the command supervisor can be upgraded'
  if (socketOwner === 'cluster')
    return 'node:cluster has the listening sockets (--sockets), so they cannot be inherited'
  if (step === 'starting') return 'the server is still starting'
  if (step !== 'running') return 'the server is stopping'
  return isReloading ? 'a reload is under way' : undefined
}

/** Starts a new master, or logs why not. `onInCharge`: it serves, this one may go. */
export function begin(parts: SuccessionParts, onInCharge: () => void): Upgrade | undefined {
  const { log, request, socketOwner } = parts
  const { command } = request
  const isCommand = command !== undefined
  const init = process.ppid === 1 ? nameOfInit() : undefined
  const { state } = parts.master()
  const why = obstacle({ pid: process.pid, init, isCommand, socketOwner, ...state })
  if (why === undefined) return new Upgrade(parts, command!, onInCharge)
  log.event('upgradeRefused', { why })
  return undefined
}

/** Where there is no /proc, there are no containers either. */
const nameOfInit = (): string | undefined =>
  fs.existsSync('/proc/1/comm') ? fs.readFileSync('/proc/1/comm', 'utf8').trim() : undefined

export class Upgrade {
  /** Its process is gone, or it is in charge. Never rejects. */
  readonly settled: Promise<void>
  readonly #parts: SuccessionParts
  readonly #command: StartCommand
  readonly #onInCharge: () => void
  readonly #beganAt = performance.now()
  #settle!: () => void
  #state: 'preparing' | 'booting' | 'handing-over' | 'stopping' | 'over' = 'preparing'
  #child: ChildProcess | undefined
  /** It has read its settings: from now on it can stop by itself. */
  #isAlive = false
  #stops = 0
  /** In its own words. */
  #error: string | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(parts: SuccessionParts, command: StartCommand, onInCharge: () => void) {
    this.#parts = parts
    this.#command = command
    this.#onInCharge = onInCharge
    this.settled = new Promise((resolve) => (this.#settle = resolve))
    this.#wait()
    void this.#start()
  }

  /** The old master stops, and so does the new one; told again, at once. */
  stop(mode: DrainMode): void {
    if (this.#state === 'over') return
    if (++this.#stops > 1 || (this.#child && !this.#isAlive)) this.#kill()
    this.#sendOff(mode)
  }

  async #start(): Promise<void> {
    const node = await this.#node()
    if (this.#state !== 'preparing') return
    const { directory } = this.#parts.request
    if (!fs.existsSync(directory)) return this.#fail(`the directory ${directory} is gone`)
    this.#state = 'booting'
    try {
      this.#watch(this.#spawn(node))
    } catch (error) {
      this.#fail((error as Error).message) // EACCES, E2BIG, EAGAIN: node throws what the system said at once
    }
  }

  /** The settings as they are now, if this version understands them; the new one may know more, and judges by itself. */
  async #node(): Promise<string> {
    const { request, master } = this.#parts
    const { config } = master().state
    const { settings } = await request.loadAgain().catch(() => config)
    return chooseNode({
      wanted: settings.node,
      typed: this.#command.node,
      execPath: process.execPath,
      directory: request.directory,
      path: this.#command.env['PATH'] ?? '',
    })
  }

  #spawn(node: string): ChildProcess {
    const { request, log, sockets } = this.#parts
    const { nodeArgs, script, words, env } = this.#command
    const { bound } = sockets
    log.event('upgrading', { node, script, sockets: bound.length })
    const bequest: Bequest = {
      pid: process.pid,
      sockets: bound.map(({ query }) => query),
      activated: sockets.activated,
      node: this.#command.node,
      ...this.#workers(),
    }
    return spawn(node, [...nodeArgs, script, ...words], {
      cwd: request.directory,
      env: {
        ...heirsEnvironment(env, process.pid),
        PWD: request.directory,
        [BEQUEST_VARIABLE]: JSON.stringify(bequest),
      },
      stdio: ['inherit', 'inherit', 'inherit', ...bound.map(({ fd }) => fd), 'ipc'],
    })
  }

  get #processes(): number[] {
    const { groups } = this.#parts.master().state
    return groups.status.map(({ pid }) => pid).filter((pid) => pid > 0)
  }

  #workers(): Pick<Bequest, 'workers'> {
    const { workers, config } = this.#parts.master().state
    return workers === workerBounds(config.settings.workers).min ? {} : { workers }
  }

  #watch(child: ChildProcess): void {
    this.#child = child
    // with a pid, it is a message that could not be sent or a process that is gone, which its exit tells
    child.on('error', (error) => {
      if (child.pid === undefined) this.#fail(`cannot start ${child.spawnfile}: ${error.message}`)
    })
    child.on('message', (message) => this.#hear(message as FromHeir))
    child.once('exit', (code, signal) => {
      const ended = signal ? `it was ended by ${signal}` : `it exited with code ${code}`
      const gone = (): void => this.#gone(`${ended} before it was in charge`)
      if (!child.connected) return gone()
      const timer = setTimeout(gone, LAST_MESSAGE_MS)
      child.once('disconnect', () => {
        clearTimeout(timer)
        gone()
      })
    })
  }

  #hear(message: FromHeir): void {
    switch (message.type) {
      case 'alive':
        this.#isAlive = true
        return this.#state === 'booting' ? this.#wait() : undefined
      case 'failed':
        this.#error = message.error
        return
      case 'ready':
        if (this.#state !== 'booting') return
        this.#state = 'handing-over'
        return this.#tell({ type: 'take-charge', processes: this.#processes })
      case 'in-charge':
        if (this.#state === 'handing-over') this.#handOver(message)
        return
      case 'taken': // for successor.ts, which hears it too
    }
  }

  #handOver({ version, node, takes }: Extract<FromHeir, { type: 'in-charge' }>): void {
    this.#state = 'over'
    clearTimeout(this.#timer)
    const child = this.#child!
    const { log, passage } = this.#parts
    if (takes && child.connected) passage.successor = new Successor(child, passage)
    else if (child.connected) child.disconnect()
    child.unref()
    const seconds = (performance.now() - this.#beganAt) / 1000
    log.event('upgraded', { master: child.pid!, version, node, seconds })
    this.#onInCharge()
    void tellMainPid(child.pid!, this.#command.env, log).then(() => this.#settle())
  }

  #wait(): void {
    const { bootTimeout } = this.#parts.master().state.config.settings
    if (bootTimeout > 0) this.#after(bootTimeout + OWN_SECONDS, () => this.#late())
  }

  #late(): void {
    const { bootTimeout } = this.#parts.master().state.config.settings
    const seconds = bootTimeout + OWN_SECONDS
    this.#report(`it was not ready within ${seconds} s (--boot-timeout, and ${OWN_SECONDS} s)`)
    this.#sendOff('graceful')
  }

  /** Its workers may have taken requests already: they finish them. */
  #sendOff(mode: DrainMode): void {
    if (!this.#child) return this.#end()
    this.#state = 'stopping'
    this.#tell({ type: 'stop', mode })
    const { gracefulTimeout } = this.#parts.master().state.config.settings
    this.#after(this.#isAlive ? gracefulTimeout + END_SECONDS : 0, () => this.#kill())
  }

  #after(seconds: number, then: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(then, seconds * 1000)
  }

  #tell(message: ToHeir): void {
    // an error is EPIPE or ERR_IPC_CHANNEL_CLOSED: it is gone, which its exit event tells
    if (this.#child?.connected) this.#child.send(message, () => undefined)
  }

  #kill(): void {
    this.#child?.kill('SIGKILL')
  }

  #gone(how: string): void {
    if (this.#state === 'over') return
    const pid = this.#child?.pid
    if (pid !== undefined) this.#parts.pidfile?.takeBack(pid)
    this.#fail(this.#error ?? how)
  }

  #fail(error: string): void {
    if (this.#state !== 'stopping') this.#report(error)
    this.#end()
  }

  #report(error: string): void {
    this.#parts.log.event('upgradeFailed', { error })
  }

  #end(): void {
    this.#state = 'over'
    clearTimeout(this.#timer)
    this.#settle()
  }
}
