// The loop: sources post inputs, one synchronous turn applies them, plans, acts. It never waits for a worker and runs no
// application code. Runs in the master.

import type { Config } from '../config.ts'
import type { UserError } from '../errors.ts'
import type { Log } from '../log.ts'
import { payload, type DrainMode, type ToMaster, type WorkerInit } from '../protocol.ts'
import { Alarm } from './alarm.ts'
import { Alerts } from './alerts.ts'
import { CrashBook } from './crash-book.ts'
import { Crew } from './crew.ts'
import { isServing } from './lifecycle.ts'
import { Listeners } from './listeners.ts'
import { plan } from './plan.ts'
import { PostMortem, bootError } from './post-mortem.ts'
import { isReport, Reports } from './reports.ts'
import { Roll } from './roll.ts'
import { SettingsReader } from './settings-reader.ts'
import { Size } from './size.ts'
import type { LoopOrder } from './signals.ts'
import type { LeaveReason, WorkerHandle } from './worker-handle.ts'
import { birth, titleOf } from './worker-init.ts'
import type { Exit, Input, MasterOptions, MasterState, Phase } from './inputs.ts'

/** Workers above the target while one is being replaced. */
const SURGE = 1

export class Master {
  readonly #o: MasterOptions
  readonly #log: Log
  readonly #crew: Crew
  readonly #listeners: Listeners
  readonly #crashes = new CrashBook()
  readonly #postMortem: PostMortem
  readonly #alerts: Alerts
  readonly #reports: Reports
  readonly #roll: Roll
  readonly #size: Size
  readonly #alarm = new Alarm(() => this.post({ type: 'tick' }))
  readonly #startedAt = performance.now()
  #inbox: Input[] = []
  #phase: Phase = { step: 'starting' }
  #everReady = false
  #failure: UserError | undefined
  readonly #reader: SettingsReader

  constructor(options: MasterOptions) {
    this.#o = options
    this.#log = options.log
    this.#listeners = new Listeners(options.log)
    this.#roll = new Roll(options.config)
    this.#alerts = new Alerts(options, () => this.#roll.config.settings)
    this.#reports = new Reports(options.log, this.#alerts)
    this.#postMortem = new PostMortem(options.log, this.#alerts)
    this.#reader = new SettingsReader(options, (input) => this.post(input))
    this.#crew = new Crew(options, this.#roll, {
      message: (worker, message) => this.post({ type: 'message', worker, message }),
      exit: (worker, code, signal) => this.post({ type: 'exit', worker, code, signal }),
    })
    this.#size = new Size(options, this.#crew, () => this.#crashes.forgive())
  }

  /** Starts the workers before it returns; the log may be opened while they boot. */
  start(): void {
    this.#turn()
  }

  post(input: Input): void {
    if (this.#inbox.push(input) === 1) setImmediate(() => this.#turn())
  }

  get urls(): string[] {
    return this.#listeners.urls
  }

  /** For upgrades, and for those who ask what it looks like. */
  get state(): MasterState {
    const isReloading = this.#roll.isRolling || this.#reader.isBusy
    const { config, generation } = this.#roll
    const { target: workers } = this.#size
    const { groups } = this.#o
    const { step } = this.#phase
    return { step, isReloading, config, generation, workers, crew: this.#crew, groups }
  }

  get #isStopping(): boolean {
    return this.#phase.step.startsWith('stop')
  }

  #turn(): void {
    if (this.#phase.step === 'stopped') return
    const now = performance.now()
    for (const input of this.#inbox.splice(0)) this.#apply(input, now)
    if (this.#phase.step === 'stopping-soon' && now >= this.#phase.at)
      this.#beginStop('graceful', now)
    this.#crew.watch(now, this.#roll.config.settings, this.#size.most)
    if (this.#phase.step === 'running' && !this.#roll.isRolling)
      this.#size.watch(now, this.#roll.config.settings)
    this.#schedule(this.#carryOut(now))
    this.#settle(now)
  }

  #apply(input: Input, now: number): void {
    switch (input.type) {
      case 'order':
        return this.#obey(input.order, input.name, now)
      case 'message':
        return this.#hear(input.worker, input.message, now)
      case 'exit':
        return this.#exited(input, now)
      case 'settings':
        return this.#reload(input.config, now)
      case 'settings-refused':
        this.#reader.refused()
        return this.#log.event('reloadFailed', { error: input.error })
      case 'succeeded':
        return this.#beginStop('graceful', now, 'upgrade')
      case 'scale':
        return input.reply(this.#size.ask(input.change))
      case 'recycle':
        return input.reply(this.#crew.recycle(input.slot))
      case 'tick': // planning is what it is for
    }
  }

  #carryOut(now: number): number {
    const { spawn, warm, promote, retire, wakeAt } = plan({
      workers: this.#crew.views(),
      target: this.#phase.step === 'stopping' ? 0 : this.#size.target,
      oldest: this.#roll.oldest,
      surge: SURGE,
      standby: this.#standby,
      notBefore: this.#crashes.notBefore,
      now,
    })
    for (const { id, slot } of promote) this.#promote(this.#crew.byId(id)!, slot)
    for (const slot of spawn) this.#spawn(slot, 'serve')
    for (const slot of warm) this.#spawn(slot, 'standby')
    for (const id of retire) this.#retire(this.#crew.byId(id)!)
    return wakeAt ?? Infinity
  }

  /** None before the server is ready: they must not delay it. */
  get #standby(): number {
    const { step } = this.#phase
    return step === 'starting' || step === 'stopping' ? 0 : this.#o.standby(this.#roll.config)
  }

  #promote(worker: WorkerHandle, slot: number): void {
    const title = titleOf(this.#o.birth, slot, 'serve')
    this.#crew.promote(worker, slot, title, this.#roll.config.settings)
  }

  #spawn(slot: number, mode: WorkerInit['mode']): void {
    const { config, generation } = this.#roll
    const quiet = this.#phase.step === 'starting'
    this.#crew.spawn(
      { ...birth({ ...this.#o.birth, config }, slot, mode), generation, quiet },
      config.settings,
    )
  }

  #retire(worker: WorkerHandle): void {
    const mode = this.#phase.step === 'stopping' ? this.#phase.mode : 'graceful'
    this.#crew.retire(worker, this.#leaveReason(worker), mode, this.#roll.config.settings)
  }

  #leaveReason(worker: WorkerHandle): LeaveReason {
    if (this.#phase.step === 'stopping') return this.#phase.reason
    if (isServing(worker.state) && worker.slot >= this.#size.target) return 'scale'
    return worker.generation < this.#roll.oldest ? 'reload' : (worker.reason ?? 'scale')
  }

  #obey(order: LoopOrder, name: string | undefined, now: number): void {
    if (name) this.#log.event('handlingSignal', { signal: name })
    switch (order) {
      case 'stop':
        return this.#stop('graceful', now)
      case 'quick-stop':
        return this.#stop('quick', now)
      case 'reload':
        return this.#isStopping ? undefined : this.#reader.ask(this.#everReady)
      case 'reopen':
        return this.#crew.reopenLogs()
      case 'more':
      case 'fewer':
        return void this.#size.ask({ by: order === 'more' ? 1 : -1 })
    }
  }

  #stop(mode: DrainMode, now: number): void {
    const delay = this.#roll.config.settings.preStopDelay
    if (this.#phase.step === 'stopping' && this.#phase.reason === 'stop') this.#killAll()
    else if (mode === 'quick' || this.#isStopping || delay === 0) this.#beginStop(mode, now)
    else {
      this.#phase = { step: 'stopping-soon', at: now + delay * 1000 }
      this.#log.event('waitingBeforeStop', { seconds: delay })
    }
  }

  #killAll(): void {
    for (const all of [this.#crew, this.#o.groups])
      all.killAll('a second signal asked to stop at once')
  }

  #beginStop(mode: DrainMode, now: number, reason: 'stop' | 'upgrade' = 'stop'): void {
    this.#phase = { step: 'stopping', mode, beganAt: now, reason }
    if (!this.#failure) this.#log.event('stopping', { mode })
    if (reason === 'upgrade') this.#o.sockets.leaveToHeir()
    else this.#o.sockets.closeAll()
    this.#crew.killed = this.#o.groups.killed = 0
    this.#o.groups.stop(mode)
    this.#crew.hasten('stop', this.#roll.config.settings)
    if (mode === 'quick') this.#crew.hurryAll()
  }

  #reload(config: Config, now: number): void {
    if (!this.#reader.arrived() || this.#isStopping) return
    this.#roll.begin(config, now)
    this.#crew.hasten('reload', config.settings)
    this.#log.event('reloading', { generation: this.#roll.generation })
    this.#use(config)
    this.#o.hooks.run('onReload', { generation: this.#roll.generation, workers: this.#size.target })
  }

  #use(config: Config): void {
    this.#crashes.forgive()
    this.#o.onConfig(config)
    this.#size.use(config)
  }

  #hear(worker: WorkerHandle, message: ToMaster, now: number): void {
    if (isReport(message)) return this.#reports.hear(worker, message, now)
    switch (message.type) {
      case 'listen':
        return this.#o.sockets.give(worker, message.seq, message.query)
      case 'unlisten':
        return this.#o.sockets.release(message.query, worker.id)
      case 'listening':
        return this.#listeners.heard(message.address, worker.generation)
      case 'ready':
        return this.#ready(worker, now)
      case 'standby':
        return this.#crew.stand(worker, now)
      case 'failed':
      case 'waiting':
        return worker.note(message)
      case 'retire':
        return this.#crew.retire(worker, 'signal', 'graceful', this.#roll.config.settings)
      case 'recycle':
        if (worker.reason !== undefined) return
        worker.reason = message.reason
        return this.#log.event('recycling', { ...worker.facts, ...payload(message) })
      case 'finishing':
        return this.#crew.extend(worker, message.seconds)
      case 'uncaught':
        this.#reports.hear(worker, message, now)
        return this.#uncaught(worker, now)
    }
  }

  #ready(worker: WorkerHandle, now: number): void {
    if (worker.advance('ready') !== 'announce') return
    this.#everReady = true
    this.#reader.ready()
    worker.deadline = Infinity
    worker.lastWords.release()
    this.#log.event('workerReady', { ...worker.facts, seconds: (now - worker.joinedAt) / 1000 })
  }

  #exited({ worker, code, signal }: Exit, now: number): void {
    const { state } = worker
    this.#crew.bury(worker, code, signal)
    this.#o.sockets.forget(worker.id)
    if (this.#failure) return
    const fate = this.#postMortem.tell(worker, state, { code, signal }, now)
    if (fate === 'left') return
    if (fate === 'boot-failed') this.#bootFailed(worker, code, signal)
    if (this.#phase.step !== 'stopping') this.#backOff(worker, now)
  }

  #bootFailed(worker: WorkerHandle, code: number | null, signal: NodeJS.Signals | null): void {
    worker.lastWords.release()
    const error = bootError(worker, code, signal)
    if (this.#phase.step === 'starting' && !this.#everReady) return this.#failStart(error)
    const stderr = worker.lastWords.lines
    const facts = { ...worker.facts, code, signal, error: error.message, stderr }
    if (!this.#roll.isRolling || worker.generation < this.#roll.oldest)
      return this.#log.event('bootFailed', facts)
    this.#roll.abort()
    this.#log.event('reloadFailed', facts)
    this.#use(this.#roll.config)
  }

  /** Nothing was ever served, so nothing is lost: all of it ends at once, with the application's own error. */
  #failStart(error: UserError): void {
    this.#failure = error
    this.#crew.dropAll()
    this.#beginStop('quick', performance.now())
  }

  /** It drains at once if its successor may boot at once; if that must wait, it goes on: one that serves is better than none. */
  #uncaught(worker: WorkerHandle, now: number): void {
    if (worker.reason !== undefined || worker.state !== 'ready' || this.#isStopping) return
    const { settings } = this.#roll.config
    const pause = this.#crashes.crashed(worker, settings, now)
    if (pause.seconds === 0) return this.#crew.retire(worker, 'uncaught', 'graceful', settings)
    worker.reason = 'uncaught'
    this.#log.event('backingOff', { slot: worker.slot, ...pause, serving: true })
  }

  #backOff(worker: WorkerHandle, now: number): void {
    const pause = this.#crashes.crashed(worker, this.#roll.config.settings, now)
    if (pause.seconds > 0) this.#log.event('backingOff', { slot: worker.slot, ...pause })
  }

  #settle(now: number): void {
    if (this.#phase.step === 'stopping' && this.#crew.size === 0 && this.#o.groups.finish())
      return this.#end(this.#phase.beganAt, now)
    const { ready, oldestGeneration } = this.#crew
    if (ready.length < this.#size.target) return
    if (this.#phase.step === 'starting') {
      this.#phase = { step: 'running' }
      const seconds = (now - this.#startedAt) / 1000
      this.#o.onReady({ workers: ready.map((w) => w.pid), urls: this.urls, seconds })
      this.post({ type: 'tick' }) // now the standbys may boot
    }
    if (this.#roll.isRolling && oldestGeneration >= this.#roll.oldest) {
      this.#log.event('reloaded', this.#roll.finish(now))
      this.#o.groups.reload(this.#roll.config)
      this.#o.sockets.closeUnused()
      this.#listeners.forgetBefore(this.#roll.oldest)
    }
  }

  #end(beganAt: number, now: number): void {
    this.#phase = { step: 'stopped' }
    this.#alarm.set(Infinity)
    const killed = this.#crew.killed + this.#o.groups.killed
    if (!this.#failure) this.#log.event('stopped', { killed, seconds: (now - beganAt) / 1000 })
    this.#o.onEnd(this.#failure, killed)
  }

  #schedule(wakeAt: number): void {
    const soon = this.#phase.step === 'stopping-soon' ? this.#phase.at : Infinity
    const due = this.#crew.nextDue(this.#roll.config.settings)
    this.#alarm.set(Math.min(wakeAt, soon, due, this.#isStopping ? Infinity : this.#size.nextDue))
  }
}
