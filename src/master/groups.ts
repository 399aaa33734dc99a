// The groups of processes beside the workers: started with the server, started again after an end, replaced at a reload, stopped
// with it. A group that fails never stops the server. Runs in the master.

import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { dashboardGroup, hasDashboard, jobGroups } from '../jobs/groups.ts'
import type { FromJobs } from '../jobs/master-channel.ts'
import type { CompleteJobs } from '../jobs-setting.ts'
import type { ProcessStatus } from '../control-protocol.ts'
import { isAlive } from '../is-alive.ts'
import type { Log } from '../log.ts'
import type { DrainMode } from '../protocol.ts'
import { Alarm } from './alarm.ts'
import { CrashBook } from './crash-book.ts'
import { JobBoard } from './job-board.ts'
import { setpriv, SideProcess, type GroupSpec } from './side-process.ts'

/** A quick stop, s. */
const QUICK_SECONDS = 2
/** Whatever a SIGKILL did not end gets another one, ms. */
const KILL_AGAIN_MS = 1_000
/** How often we look whether those of an old master are gone, ms. */
const LOOK_MS = 50
/** A job process may take so long to be ready, and may be silent for so long; and what it takes beyond the grace of its jobs, ms. */
const BOOT_MS = 60_000
const SILENT_MS = 15_000
const BEYOND_MS = 8_000
/** Before it is killed, what its channel holds is read: the silence may have been our own. */
const CONFIRM_MS = 1_000

/** Without what the system knows of it. */
type GroupProcess = Omit<ProcessStatus, 'rss'>
/** What has become of the processes in a slot of a group. */
type Fate = Pick<ProcessStatus, 'restarts' | 'lastRestart'>

export class Groups {
  /** Processes that had to be killed. */
  killed = 0
  readonly #log: Log
  readonly #directory: string
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

  constructor(config: Config, log: Log, directory: string) {
    this.#config = config
    this.#log = log
    this.#directory = directory
  }

  /** `changed`: one of them is gone, and with it perhaps what a stop waits for. */
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
    this.#specs = specsOf(this.#config, this.#directory)
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
    if (one.spec.order === 'store') this.#turn()
    if (knowsQueue(one)) this.board.begin()
  }

  #hear(one: SideProcess, message: FromJobs): void {
    if (message.type === 'event') this.#log.event(message.name, message.facts as never)
    if (message.type === 'fatal') one.lastWords.note(message.message)
    this.board.hear(one.pid, message)
    if (!this.#all.has(one)) this.board.gone(one.pid) // its last word came after its end
  }

  #suspect(one: SideProcess, now: number): void {
    if (one.suspectedAt === undefined || one.suspectedAt < one.heardAt) {
      one.suspectedAt = now
      return
    }
    const why = one.state === 'booting' ? 'it was not ready in time' : 'nothing was heard from it'
    this.#kill(one, why)
  }

  #retire(one: SideProcess, reason: 'reload' | 'scale' | 'stop'): void {
    if (one.advance('retire') !== 'drain') return
    one.reason = reason
    const extra = one.spec.kind === 'jobs' ? BEYOND_MS : 0
    one.deadline = Math.min(performance.now() + one.spec.grace * 1000 + extra, this.#quickEnd)
    one.drain()
  }

  #expire(one: SideProcess): void {
    if (one.state !== 'killed')
      return this.#kill(one, `it had not ended within ${one.spec.grace} s`)
    one.deadline = performance.now() + KILL_AGAIN_MS
    one.kill()
  }

  #kill(one: SideProcess, why: string): void {
    if (one.advance('overdue') !== 'kill') return
    this.killed++
    one.reason ??= 'stop'
    one.deadline = performance.now() + KILL_AGAIN_MS
    this.#log.event('processKilled', { ...one.facts, why })
    one.kill()
  }

  #exited(one: SideProcess, code: number | null, signal: NodeJS.Signals | null): void {
    one.advance('exit')
    this.#all.delete(one)
    this.board.gone(one.pid)
    const { facts, uptime, reason } = one
    if (reason === undefined) this.#endedByItself(one, code, signal)
    else this.#log.event('processExited', { ...facts, uptime, reason })
    this.#remember(one, reason ?? signal ?? (code === null ? 'not started' : `exit code ${code}`))
    this.#turn()
    this.#changed()
  }

  #endedByItself(one: SideProcess, code: number | null, signal: NodeJS.Signals | null): void {
    const { facts, uptime, slot, spec } = one
    const stderr = one.lastWords.lines
    this.#log.event('processEnded', { ...facts, code, signal, uptime, stderr })
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

/** What the settings ask for. */
function specsOf({ settings }: Config, directory: string): GroupSpec[] {
  const cwd = settings.chdir || directory
  const beside = Object.entries(settings.processes).map(([name, group]): GroupSpec => ({
    name,
    count: group.workers,
    kind: group.entry === undefined ? 'program' : 'node',
    order: 'rest',
    words: group.entry === undefined ? group.command : [resolve(cwd, group.entry)],
    env: { ...settings.env, ...group.env },
    cwd,
    grace: group.grace ?? settings.gracefulTimeout,
  }))
  return [...jobSpecs(settings, cwd), ...beside]
}

function jobSpecs(settings: Config['settings'], cwd: string): GroupSpec[] {
  const { env } = settings
  if (!settings.jobs) return []
  const jobs = settings.jobs as CompleteJobs
  // without job workers there is no store either: whoever runs `supervisor jobs` here has it
  const specs = jobs.workers === 0 ? [] : jobGroups(jobs, cwd)
  const all = hasDashboard(settings) ? [...specs, dashboardGroup(jobs, cwd)] : specs
  return all.map(({ name, file, count, env: own }) => ({
    name,
    count,
    kind: 'jobs',
    order: name === 'jobs-store' ? 'store' : 'rest',
    words: [file],
    env: { ...env, ...own },
    cwd,
    grace: jobs.grace,
  }))
}
