// The groups of processes beside the workers: started with the server, started again after an end, replaced at a reload, stopped
// with it. A group that fails never stops the server. Runs in the master.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config.ts'
import type { FromJobs } from '../jobs/master-channel.ts'
import { BEYOND_GRACE } from '../jobs-setting.ts'
import type { ProcessStatus } from '../control-protocol.ts'
import { isAlive } from '../is-alive.ts'
import type { EventName } from '../events.ts'
import type { Log } from '../log.ts'
import type { DrainMode } from '../protocol.ts'
import { Alarm } from './alarm.ts'
import { CrashBook } from './crash-book.ts'
import { setpriv } from '../setpriv.ts'
import { JobBoard } from './job-board.ts'
import { SideProcess, type GroupSpec } from './side-process.ts'

/** A quick stop, s; and what job processes may take longer, to give their jobs back to the queue, ms. */
const QUICK_SECONDS = 2
const RETURN_MS = 3_000
/** Whatever a SIGKILL did not end gets another one, ms. */
const KILL_AGAIN_MS = 1_000
/** How often we look whether those of an old master are gone, ms. */
const LOOK_MS = 50
/** A job process may take so long to be ready, and may be silent for so long, ms. */
const BOOT_MS = 60_000
const SILENT_MS = 15_000
/** Before it is killed, what its channel holds is read: the silence may have been our own. */
const CONFIRM_MS = 1_000

/** Each process of the jobs says them; one is enough. */
const OF_THE_STORE: ReadonlySet<EventName> = new Set(['jobsRemote', 'jobsForgetful'])

/** Why one was killed that nobody had told to end. */
type Fault = 'silent' | 'boot-failed'
const isFault = (reason: string): reason is Fault => reason === 'silent' || reason === 'boot-failed'

/** Without what the system knows of it. */
type GroupProcess = Omit<ProcessStatus, 'rss'>
/** What has become of the processes in a slot of a group. */
type Fate = Pick<ProcessStatus, 'restarts' | 'lastRestart'>

export class Groups {
  /** Processes that were told to end and had to be killed. */
  killed = 0
  /** What one of them has said that would end in the same way again. */
  hopeless: string | undefined
  readonly #log: Log
  /** Since the start or the last reload. */
  readonly #said = new Set<EventName>()
  readonly #specsOf: (config: Config) => readonly GroupSpec[]
  readonly #books = new Map<string, CrashBook>()
  /** By group and slot. */
  readonly #fates = new Map<string, Fate>()
  readonly #alarm = new Alarm(() => this.#turn())
  readonly #all = new Set<SideProcess>()
  readonly board = new JobBoard(() => [...this.#all].filter(knowsQueue))
  #changed: () => void = () => undefined
  #specs: readonly GroupSpec[] = []
  #config: Config
  #generation = 0
  #step: 'waiting' | 'running' | 'stopping' = 'waiting'
  /** A stop may be in a hurry; ms of performance.now(). */
  #quickEnd = Infinity

  /** `specs` of the settings, at the start and at each reload. */
  constructor(config: Config, log: Log, specs: (config: Config) => readonly GroupSpec[]) {
    this.#config = config
    this.#log = log
    this.#specsOf = specs
  }

  /** `changed`: one of them is ready, or gone, and with it perhaps what a stop waits for. */
  onChange(changed: () => void): void {
    this.#changed = changed
  }

  /** `predecessors`: pids of those that an old master has told to end; no two schedulers are to run at a time. */
  async start(predecessors: readonly number[] = []): Promise<void> {
    while (predecessors.some(isAlive) && this.#step === 'waiting') await sleep(LOOK_MS)
    if (this.#step !== 'waiting') return
    this.#step = 'running'
    this.#begin()
  }

  /** Each process is replaced: one at a time in its group, the old one first, for two schedulers would do all twice. */
  reload(config: Config): void {
    this.#config = config
    if (this.#step === 'running') this.#begin()
  }

  stop(mode: DrainMode): void {
    this.#step = 'stopping'
    const quickEnd = performance.now() + QUICK_SECONDS * 1000
    this.#quickEnd = mode === 'quick' ? quickEnd : Infinity
    for (const one of this.#all) if (one.spec.order === 'rest') this.#retire(one, 'stop')
    this.#turn()
  }

  /** The workers are gone. True if all of ours are, too; the store has been told to end when nobody else needs it. */
  finish(): boolean {
    const others = [...this.#all].some(({ spec }) => spec.order === 'rest')
    if (!others) for (const one of this.#all) this.#retire(one, 'stop')
    this.#turn()
    return this.#all.size === 0
  }

  killAll(why: string): void {
    for (const one of this.#all) this.#kill(one, why)
  }

  /** Each of them is. */
  get areReady(): boolean {
    const count = this.#specs.reduce((sum, spec) => sum + spec.count, 0)
    const all = [...this.#all]
    return (
      this.#step === 'running' && all.length >= count && all.every(({ state }) => state === 'ready')
    )
  }

  get status(): GroupProcess[] {
    const alive = [...this.#all].map((one): GroupProcess => {
      const { pid, slot, uptime: age, state, spec } = one
      const shown = state === 'draining' || state === 'killed' ? state : 'running'
      const running = this.board.running(pid)
      const fate = this.#fate(spec.name, slot)
      return { group: spec.name, slot, pid, state: shown, age, running, ...fate }
    })
    return [...alive, ...this.#waiting()]
  }

  #waiting(): GroupProcess[] {
    if (this.#step !== 'running') return []
    const isFilled = (group: string, slot: number): boolean =>
      [...this.#all].some((one) => one.spec.name === group && one.slot === slot)
    const slots = this.#specs.flatMap(({ name: group, count }) =>
      Array.from({ length: count }, (_, slot) => ({ group, slot })),
    )
    return slots
      .filter(({ group, slot }) => !isFilled(group, slot))
      .map(({ group, slot }) => {
        const fate = this.#fate(group, slot)
        return { group, slot, pid: 0, state: 'waiting', age: 0, running: [], ...fate }
      })
  }

  #begin(): void {
    this.#generation++
    this.#said.clear()
    this.#specs = this.#specsOf(this.#config)
    if (!this.#config.settings.jobs) this.board.end()
    for (const { name } of this.#specs) this.#books.get(name)?.forgive()
    const unguarded = this.#specs.find(({ kind }) => kind === 'program')
    if (this.#generation === 1 && unguarded && !setpriv())
      this.#log.event('processUnguarded', { group: unguarded.name })
    this.#turn()
  }

  #turn(): void {
    const now = performance.now()
    for (const one of this.#all)
      if (now >= one.deadline) this.#expire(one)
      else if (now >= dueAt(one)) this.#suspect(one, now)
    const starts = this.#step === 'running' ? this.#specs.map((spec) => this.#fill(spec, now)) : []
    if (this.#step === 'running') this.#dropOthers()
    const deadlines = [...this.#all].map((one) => Math.min(one.deadline, dueAt(one)))
    this.#alarm.set(Math.min(...starts, ...deadlines, Infinity))
  }

  /** Answers when it is to be looked at again; ms of performance.now(). */
  #fill(spec: GroupSpec, now: number): number {
    const own = [...this.#all].filter((one) => one.spec.name === spec.name)
    const stale = own.find(({ generation }) => generation < this.#generation)
    const isStore = spec.order === 'store'
    if (stale && !isStore && own.every(({ state }) => state === 'ready'))
      this.#retire(stale, 'reload')
    if (!isStore && !this.#hasStore) return Infinity
    let wakeAt = Infinity
    for (let slot = 0; slot < spec.count; slot++) {
      if (own.some((one) => one.slot === slot)) continue
      const notBefore = this.#book(spec.name).notBefore.get(slot) ?? 0
      if (notBefore > now) wakeAt = Math.min(wakeAt, notBefore)
      else this.#spawn(spec, slot)
    }
    return wakeAt
  }

  /** Ready, or not needed. */
  get #hasStore(): boolean {
    const names = this.#specs.flatMap(({ name, order }) => (order === 'store' ? [name] : []))
    const isReady = ({ spec, state }: SideProcess): boolean =>
      names.includes(spec.name) && state === 'ready'
    return names.length === 0 || [...this.#all].some(isReady)
  }

  /** The settings no longer have them. */
  #dropOthers(): void {
    for (const one of this.#all) {
      const spec = this.#specs.find(({ name }) => name === one.spec.name)
      if (!spec || one.slot >= spec.count) this.#retire(one, 'scale')
    }
  }

  #spawn(spec: GroupSpec, slot: number): void {
    const one: SideProcess = new SideProcess(spec, slot, this.#generation, {
      ready: () => this.#ready(one),
      message: (message) => this.#hear(one, message),
      exit: (code, signal) => this.#exited(one, code, signal),
    })
    this.#all.add(one)
    if (one.pid > 0) this.#log.event('processBooting', one.facts)
  }

  #ready(one: SideProcess): void {
    if (one.advance('ready') !== 'announce') return
    this.#turn()
    this.#changed()
    if (knowsQueue(one)) this.board.begin()
  }

  #hear(one: SideProcess, message: FromJobs): void {
    if (message.type === 'event') this.#pass(message)
    this.board.hear(one.pid, message)
    if (!this.#all.has(one)) this.board.gone(one.pid) // its last word came after its end
    if (message.type !== 'fatal') return
    one.why = message.message
    one.lastWords.note(message.message)
    if (!message.final) return
    this.hopeless = message.message
    this.#changed()
  }

  #pass({ name, facts }: Extract<FromJobs, { type: 'event' }>): void {
    if (OF_THE_STORE.has(name)) {
      if (this.#said.has(name)) return
      this.#said.add(name)
    }
    this.#log.event(name, facts as never)
  }

  #suspect(one: SideProcess, now: number): void {
    if (one.suspectedAt === undefined || one.suspectedAt < one.heardAt) {
      one.suspectedAt = now
      return
    }
    const isBooting = one.state === 'booting'
    this.#kill(
      one,
      isBooting ? 'it was not ready in time' : 'nothing was heard from it',
      isBooting ? 'boot-failed' : 'silent',
    )
  }

  #retire(one: SideProcess, reason: 'reload' | 'scale' | 'stop'): void {
    if (one.advance('retire') !== 'drain') return
    one.reason = reason
    const [extra, last] = one.spec.kind === 'jobs' ? [BEYOND_GRACE * 1000, RETURN_MS] : [0, 0]
    const regular = performance.now() + one.spec.grace * 1000 + extra
    one.deadline = Math.min(regular, this.#quickEnd + last)
    one.drain(this.#quickEnd === Infinity ? one.spec.grace : 0)
  }

  #expire(one: SideProcess): void {
    if (one.state !== 'killed')
      return this.#kill(one, `it had not ended within ${one.spec.grace} s`)
    one.deadline = performance.now() + KILL_AGAIN_MS
    one.kill()
  }

  #kill(one: SideProcess, why: string, reason: 'stop' | Fault = 'stop'): void {
    if (one.advance('overdue') !== 'kill') return
    if (!isFault(reason)) this.killed++
    one.reason ??= reason
    one.deadline = performance.now() + KILL_AGAIN_MS
    this.#log.event('processKilled', { ...one.facts, why })
    one.kill()
  }

  #exited(one: SideProcess, code: number | null, signal: NodeJS.Signals | null): void {
    one.advance('exit')
    this.#all.delete(one)
    this.board.gone(one.pid)
    const { facts, uptime, reason } = one
    if (reason === undefined) {
      const stderr = one.lastWords.lines
      const said = one.why === undefined ? {} : { why: one.why }
      this.#log.event('processEnded', { ...facts, code, signal, uptime, stderr, ...said })
    } else this.#log.event('processExited', { ...facts, uptime, reason })
    if (reason === undefined || isFault(reason)) this.#backOff(one)
    this.#remember(one, reason ?? signal ?? (code === null ? 'not started' : `exit code ${code}`))
    this.#turn()
    this.#changed()
  }

  #backOff({ uptime, slot, spec }: SideProcess): void {
    const { settings } = this.#config
    const pause = this.#book(spec.name).crashed({ slot, uptime }, settings, performance.now())
    if (pause.seconds > 0 && this.#step === 'running')
      this.#log.event('processBackingOff', { group: spec.name, slot, ...pause })
  }

  #book(group: string): CrashBook {
    const book = this.#books.get(group) ?? new CrashBook()
    this.#books.set(group, book)
    return book
  }

  #fate(group: string, slot: number): Fate {
    return this.#fates.get(`${group} ${slot}`) ?? { restarts: 0, lastRestart: null }
  }

  #remember({ spec, slot }: SideProcess, reason: string): void {
    const restarts = this.#fate(spec.name, slot).restarts + 1
    const lastRestart = { reason, at: new Date().toISOString() }
    this.#fates.set(`${spec.name} ${slot}`, { restarts, lastRestart })
  }
}

/** Who can be asked for it. */
const knowsQueue = ({ spec, state }: SideProcess): boolean =>
  spec.kind === 'jobs' && spec.order === 'rest' && state === 'ready'

/** When its silence is too long; ms of performance.now(). */
function dueAt({ spec, state, heardAt, bornAt, suspectedAt = -Infinity }: SideProcess): number {
  if (spec.kind !== 'jobs' || (state !== 'booting' && state !== 'ready')) return Infinity
  const due = state === 'booting' ? bornAt + BOOT_MS : heardAt + SILENT_MS
  return suspectedAt < heardAt ? due : Math.max(due, suspectedAt + CONFIRM_MS)
}
