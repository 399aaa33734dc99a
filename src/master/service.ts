// What systemd is told of the server, and when: as its unit's Type=notify, WatchdogSec and TimeoutStopSec want it. What it says is
// put together by pure code from what the loop shows. Runs in the master, beside its loop; loaded where systemd listens.

import type { LogEvent } from '../events.ts'
import type { Log } from '../log.ts'
import type { MasterState, Phase } from './inputs.ts'
import type { Ledger } from './ledger.ts'
import { notify, watchdogMs } from './systemd.ts'

/** The status is told at most so often; a reload that goes on asks for more time then, ms. */
const STATUS_MS = 10_000
/** What a reload asks for each time, ms. */
const RELOAD_MS = 60_000
/** What a stop may take beyond the last worker's deadline, ms. */
const END_MS = 5_000
/** Whoever waits for us at the end waits for systemd no longer, ms. */
const FAREWELL_MS = 1_000
/** No message is worth a longer queue: a new one replaces what is not sent. */
const MOST_WAITING = 8

/** As it is now. */
export interface Scene {
  readonly step: Phase['step']
  readonly isReloading: boolean
  readonly ready: number
  readonly workers: number
  /** Requests. */
  readonly perSecond: number
  /** While it stops: when the last worker is killed at the latest; ms of the same clock as `now`. */
  readonly endsAt: number
}

/** What there is to tell. Pure: `now` is CLOCK_MONOTONIC, ms. */
export class Report {
  #state: 'starting' | 'ready' | 'reloading' | 'stopping' = 'starting'
  #status = ''
  #statusAt = -Infinity
  #extendedAt = -Infinity
  #endsAt = -Infinity
  #pingAt = -Infinity
  readonly #watchdogMs: number | undefined

  /** `watchdogMs`: how long systemd waits for a sign of life. */
  constructor(watchdogMs: number | undefined) {
    this.#watchdogMs = watchdogMs
  }

  /** Lines of one message; none if there is nothing new. `isAsked`: a HUP has come, and systemd waits to hear that it did. */
  next(scene: Scene, now: number, isAsked: boolean): string[] {
    const lines = [...this.#change(scene, now, isAsked), ...this.#extension(scene, now)]
    lines.push(...this.#words(scene, now, lines.length > 0))
    if (this.#watchdogMs !== undefined && this.#state !== 'starting')
      if (now >= this.#pingAt || lines.length > 0) {
        this.#pingAt = now + this.#watchdogMs / 4
        lines.push('WATCHDOG=1')
      }
    return lines
  }

  #change(scene: Scene, now: number, isAsked: boolean): string[] {
    const state = stateOf(scene, isAsked)
    if (state === 'starting' || (state === this.#state && !(isAsked && state === 'reloading')))
      return []
    this.#state = state
    this.#extendedAt = now
    if (state === 'ready') return ['READY=1']
    if (state === 'stopping') return ['STOPPING=1']
    return ['RELOADING=1', `MONOTONIC_USEC=${Math.ceil(now * 1000)}`]
  }

  /** More time than the unit gives, if that is needed. */
  #extension({ endsAt }: Scene, now: number): string[] {
    if (this.#state === 'stopping') {
      if (endsAt < this.#endsAt + 1_000) return []
      this.#endsAt = endsAt
      return [extend(endsAt + END_MS - now)]
    }
    if (this.#state !== 'reloading' || now < this.#extendedAt + STATUS_MS) return []
    this.#extendedAt = now
    return [extend(RELOAD_MS)]
  }

  #words(scene: Scene, now: number, isDue: boolean): string[] {
    const status = describe(scene)
    if (status === this.#status || (!isDue && now < this.#statusAt + STATUS_MS)) return []
    this.#status = status
    this.#statusAt = now
    return [`STATUS=${status}`]
  }
}

const stateOf = ({ step, isReloading }: Scene, isAsked: boolean) => {
  if (step === 'starting') return 'starting'
  if (step !== 'running') return 'stopping'
  return isReloading || isAsked ? 'reloading' : 'ready'
}

function describe({ step, isReloading, ready, workers, perSecond }: Scene): string {
  const count = `${ready} of ${workers} workers ready`
  if (step === 'starting') return `Starting: ${count}`
  if (step !== 'running') return 'Stopping: the workers finish their requests'
  if (isReloading) return `Reloading: ${count}`
  return `${count}, ${perSecond < 9.95 ? Math.round(perSecond * 10) / 10 : Math.round(perSecond)} requests/s`
}

const extend = (ms: number): string => `EXTEND_TIMEOUT_USEC=${Math.ceil(Math.max(0, ms) * 1000)}`

export interface ServiceParts {
  /** As it was when the master was started. */
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly log: Log
  readonly ledger: Ledger
  readonly master: { readonly state: MasterState }
  /** A new master is in charge, and speaks for itself. */
  readonly isSucceeded: () => boolean
}

export class Service {
  readonly #parts: ServiceParts
  readonly #report: Report
  readonly #timer: NodeJS.Timeout
  readonly #unfollow: () => void
  #isAsked = false
  #isDue = false
  #isSilent = false
  #waiting: string[][] = []
  #sending: Promise<void> | undefined

  constructor(parts: ServiceParts) {
    this.#parts = parts
    const ms = watchdogMs(parts.env, process.pid)
    this.#report = new Report(ms)
    this.#unfollow = parts.ledger.follow((event) => this.#hear(event))
    // half of the time is left for what the timer is late, and for the command that tells it
    this.#timer = setInterval(() => this.#look(), Math.min(STATUS_MS, (ms ?? Infinity) / 2)).unref()
    this.#look()
  }

  /** Resolves when all of it is told, or soon. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#unfollow()
    const late = new Promise((resolve) => setTimeout(resolve, FAREWELL_MS).unref())
    await Promise.race([this.#sending, late])
  }

  #hear({ name, facts }: LogEvent): void {
    if (name === 'handlingSignal' && (facts as { signal: string }).signal === 'hup')
      this.#isAsked = true
    if (this.#isDue) return
    this.#isDue = true
    // after the turn of the loop that logged it
    setImmediate(() => {
      this.#isDue = false
      this.#look()
    })
  }

  #look(): void {
    if (this.#parts.isSucceeded()) return
    const isAsked = this.#isAsked
    this.#isAsked = false
    const now = performance.now()
    const scene = sceneOf(this.#parts.master.state, now)
    // systemd's clock counts from the boot of the machine, performance.now() from the start of the process
    const offset = Number(process.hrtime.bigint()) / 1e6 - now
    const endsAt = scene.endsAt + offset
    this.#send(this.#report.next({ ...scene, endsAt }, now + offset, isAsked))
    // a reload that never began, or is over already
    if (isAsked && !scene.isReloading)
      this.#send(this.#report.next({ ...scene, endsAt }, now + offset, false))
  }

  /** One after the other, never several processes at once. */
  #send(lines: string[]): void {
    if (lines.length === 0) return
    if (this.#waiting.length >= MOST_WAITING) this.#waiting = []
    this.#waiting.push(lines)
    this.#sending ??= this.#sendAll()
  }

  async #sendAll(): Promise<void> {
    const { env, log } = this.#parts
    for (let lines; (lines = this.#waiting.shift());) {
      const why = await notify(lines, env)
      if (why === undefined || this.#isSilent) continue
      this.#isSilent = true
      log.event('systemdDeaf', { why })
    }
    this.#sending = undefined
  }
}

function sceneOf({ step, isReloading, workers, config, crew }: MasterState, now: number): Scene {
  const { preStopDelay, gracefulTimeout } = config.settings
  const seconds = gracefulTimeout + (step === 'stopping-soon' ? preStopDelay : 0)
  const deadlines = crew.all.map(({ deadline }) => deadline).filter((at) => at < Infinity)
  const endsAt = step === 'stopping' ? Math.max(now, ...deadlines) : now + seconds * 1000
  const { perSecond } = crew.traffic.rates(now)
  return { step, isReloading, ready: crew.ready.length, workers, perSecond, endsAt }
}
