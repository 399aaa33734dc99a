// Keeps the processes of the jobs running where there is no master: fork, wait until ready, restart with back-off, drain. Runs in
// `supervisor jobs`. The master's process groups are to take its place.
import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { environment } from '../config.ts'
import { type Deferred, deferred } from '../deferred.ts'
import type { EventName, Facts } from '../events.ts'
import type { ProcessSpec } from './groups.ts'
import type { Drain, FromJobs } from './master-channel.ts'

/** The waits before a restart, ms: doubled each time, and forgotten after it was up for long enough. */
const BACKOFF_MS = { first: 200, most: 5_000, stable: 5_000 }
const BOOT_MS = 60_000
/** A process whose loop has stood still for so long is killed, ms. */
const SILENT_MS = 15_000
const LOOK_MS = 1_000
/** What a process may take beyond the grace of its jobs, ms. */
const BEYOND_MS = 8_000

export type Tell = <E extends EventName>(name: E, facts: Facts<E>) => void

type State = 'booting' | 'ready' | 'waiting' | 'draining' | 'gone'

/** One process and its successors. */
class Kept {
  readonly #spec: ProcessSpec
  readonly #tell: Tell
  readonly first: Deferred<void> = deferred()
  #state: State = 'gone'
  #child: ChildProcess | undefined
  #since = 0
  #heard = 0
  #wait = BACKOFF_MS.first
  #why = ''
  #gone: Deferred<void> = deferred()
  #restart: NodeJS.Timeout | undefined

  constructor(spec: ProcessSpec, tell: Tell) {
    this.#spec = spec
    this.#tell = tell
  }

  get pid(): number | undefined {
    return this.#state === 'ready' ? this.#child?.pid : undefined
  }

  start(): void {
    const child = fork(this.#spec.file, {
      // an option of ours for the application's Node would be one for these, too
      execArgv: [],
      env: { ...environment(), ...this.#spec.env },
      serialization: 'advanced',
    })
    this.#child = child
    this.#state = 'booting'
    this.#since = this.#heard = performance.now()
    this.#why = ''
    this.#gone = deferred()
    this.#tell('jobProcessStarted', { group: this.#spec.name, worker: child.pid ?? 0 })
    child.on('message', (message: FromJobs) => this.#hear(message))
    child.on('error', (error) => (this.#why = error.message)) // EAGAIN: it could not be forked; ESRCH: it has just ended
    child.once('exit', (code, signal) => this.#exited(code, signal))
  }

  /** Ends it when it has nothing left to do, by force after the grace. Resolves when it is gone. */
  async drain(grace: number): Promise<void> {
    clearTimeout(this.#restart)
    if (this.#state === 'waiting' || this.#state === 'gone') return void (this.#state = 'gone')
    this.#state = 'draining'
    const message: Drain = { type: 'drain', grace }
    this.#child?.send(message, () => undefined) // EPIPE: it is about to end
    const late = sleep(grace * 1000 + BEYOND_MS, 'late' as const, { ref: false })
    if ((await Promise.race([this.#gone.promise, late])) === 'late')
      this.#kill('it did not end in time')
    await this.#gone.promise
  }

  /** Kills what does not become ready, or has gone silent. */
  look(): void {
    const now = performance.now()
    if (this.#state === 'booting' && now - this.#since > BOOT_MS)
      this.#kill(`it was not ready within ${BOOT_MS / 1000} s`)
    else if (this.#state === 'ready' && now - this.#heard > SILENT_MS)
      this.#kill(`nothing was heard from it for ${SILENT_MS / 1000} s`)
  }

  /** After the machine was asleep, silence means nothing. */
  forgive(): void {
    this.#since = this.#heard = performance.now()
  }

  #hear(message: FromJobs): void {
    this.#heard = performance.now()
    switch (message.type) {
      case 'ready':
        if (this.#state === 'booting') this.#state = 'ready'
        return this.first.resolve()
      case 'event':
        return this.#tell(message.name, message.facts as never)
      case 'fatal':
        this.#why = message.message
        if (message.final) this.first.reject(new Error(message.message))
        return
      case 'beat':
      case 'digest':
      case 'queue':
      case 'listening':
        return
    }
  }

  #exited(code: number | null, signal: string | null): void {
    const uptime = (performance.now() - this.#since) / 1000
    const how = signal ? `it was ended by ${signal}` : `it exited with code ${code}`
    const reason = this.#why || how
    const facts = { group: this.#spec.name, worker: this.#child?.pid ?? 0, reason, uptime }
    this.#gone.resolve()
    if (this.#state === 'draining') {
      this.#state = 'gone'
      return this.#tell('jobProcessExited', facts)
    }
    if (uptime * 1000 > BACKOFF_MS.stable) this.#wait = BACKOFF_MS.first
    this.#tell('jobProcessDied', { ...facts, wait: this.#wait / 1000 })
    this.#state = 'waiting'
    this.#restart = setTimeout(() => this.start(), this.#wait)
    this.#wait = Math.min(this.#wait * 2, BACKOFF_MS.most)
  }

  #kill(why: string): void {
    const worker = this.#child?.pid ?? 0
    this.#tell('jobProcessKilled', { group: this.#spec.name, worker, why })
    this.#why = why
    this.#child?.kill('SIGKILL')
  }
}

/** Keeps all of `specs` running. */
export class JobSupervisor {
  readonly #groups: { spec: ProcessSpec; kept: Kept[] }[]
  readonly #looking: NodeJS.Timeout
  #looked = performance.now()

  constructor(specs: readonly ProcessSpec[], tell: Tell) {
    this.#groups = specs.map((spec) => ({
      spec,
      kept: Array.from({ length: spec.count }, () => new Kept(spec, tell)),
    }))
    this.#looking = setInterval(() => this.#look(), LOOK_MS)
  }

  /** One group after the other. Rejects with the sentence of a process that could never start. */
  async start(): Promise<void> {
    for (const { kept } of this.#groups) {
      kept.forEach((one) => one.start())
      await Promise.all(kept.map((one) => one.first.promise))
    }
  }

  /** The last group first: a store must outlive its clients. */
  async stop(grace: number): Promise<void> {
    for (const { kept } of this.#groups.toReversed())
      await Promise.all(kept.map((one) => one.drain(grace)))
    clearInterval(this.#looking)
  }

  #look(): void {
    const now = performance.now()
    const slept = now - this.#looked > 3 * LOOK_MS
    this.#looked = now
    for (const one of this.#groups.flatMap(({ kept }) => kept))
      if (slept) one.forgive()
      else one.look()
  }
}
