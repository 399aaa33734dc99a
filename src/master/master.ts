// The loop: sources post inputs, one synchronous turn applies them, plans, acts. It never waits for a worker and runs no
// application code. Runs in the master.

import type { Config } from '../config.ts'
import type { UserError } from '../errors.ts'
import type { Log } from '../log.ts'
import { payload, type DrainMode, type ListenQuery, type ToMaster } from '../protocol.ts'
import { Alarm } from './alarm.ts'
import { Alerts } from './alerts.ts'
import { CrashBook } from './crash-book.ts'
import { Crew } from './crew.ts'
import { Listeners } from './listeners.ts'
import { plan } from './plan.ts'
import { PostMortem, bootError } from './post-mortem.ts'
import { Reports } from './reports.ts'
import { Roll } from './roll.ts'
import { SettingsReader } from './settings-reader.ts'
import type { Order } from './signals.ts'
import { Sockets, bindError } from './sockets.ts'
import type { LeaveReason, WorkerHandle } from './worker-handle.ts'
import { birth } from './worker-init.ts'
import type { Exit, Input, MasterOptions, Phase } from './inputs.ts'

/** Workers above the target while one is being replaced. */
const SURGE = 1

export class Master {
  readonly #o: MasterOptions
  readonly #log: Log
  readonly #crew: Crew
  readonly #sockets = new Sockets()
  readonly #listeners: Listeners
  readonly #crashes = new CrashBook()
  readonly #postMortem = new PostMortem()
  readonly #alerts: Alerts
  readonly #reports: Reports
  readonly #roll: Roll
  readonly #alarm = new Alarm(() => this.post({ type: 'tick' }))
  readonly #startedAt = performance.now()
  #inbox: Input[] = []
  #phase: Phase = { step: 'starting' }
  #target: number
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
    this.#target = options.target(options.config)
    this.#reader = new SettingsReader(options, (input) => this.post(input))
    this.#crew = new Crew(options, this.#roll, {
      message: (worker, message) => this.post({ type: 'message', worker, message }),
      exit: (worker, code, signal) => this.post({ type: 'exit', worker, code, signal }),
    })
  }

  /** Starts the workers before it returns; the log may be opened while they boot. */
  start(): void {
    this.#turn()
  }

  post(input: Input): void {
    if (this.#inbox.push(input) === 1) setImmediate(() => this.#turn())
  }

  get pids(): number[] {
    return this.#crew.serving.map((w) => w.pid)
  }

  get urls(): string[] {
    return this.#listeners.urls
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
    this.#crew.watch(now, this.#roll.config.settings, this.#target)
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
      case 'tick': // planning is what it is for
    }
  }

  #carryOut(now: number): number {
    const { spawn, retire, wakeAt } = plan({
      workers: this.#crew.views(),
      target: this.#phase.step === 'stopping' ? 0 : this.#target,
      oldest: this.#roll.oldest,
      surge: SURGE,
      notBefore: this.#crashes.notBefore,
      now,
    })
    for (const slot of spawn) this.#spawn(slot)
    for (const id of retire) this.#retire(this.#crew.byId(id)!)
    return wakeAt ?? Infinity
  }

  #spawn(slot: number): void {
    const { config, generation } = this.#roll
    const quiet = this.#phase.step === 'starting'
    this.#crew.spawn(
      { ...birth({ ...this.#o.birth, config }, slot), generation, quiet },
      config.settings,
    )
  }

  #retire(worker: WorkerHandle): void {
    const mode = this.#phase.step === 'stopping' ? this.#phase.mode : 'graceful'
    this.#crew.retire(worker, this.#leaveReason(worker), mode, this.#roll.config.settings)
  }

  #leaveReason(worker: WorkerHandle): LeaveReason {
    if (this.#phase.step === 'stopping') return 'stop'
    if (worker.slot >= this.#target) return 'scale'
    return worker.generation < this.#roll.oldest ? 'reload' : worker.reason!
  }

  #obey(order: Order, name: string | undefined, now: number): void {
    if (name) this.#log.event('handlingSignal', { signal: name })
    switch (order) {
      case 'stop':
        return this.#stop('graceful', now)
      case 'quick-stop':
        return this.#stop('quick', now)
      case 'reload':
        return this.#isStopping ? undefined : this.#reader.ask(this.#everReady)
      case 'more':
        return this.#scale(this.#target + 1)
      case 'fewer':
        return this.#scale(Math.max(1, this.#target - 1))
      case 'upgrade':
        return this.#log.event('warning', {
          text: 'USR2 is kept for upgrading the master, which this version cannot do',
        })
    }
  }

  #stop(mode: DrainMode, now: number): void {
    const delay = this.#roll.config.settings.preStopDelay
    if (this.#phase.step === 'stopping') this.#crew.killAll('a second signal asked to stop at once')
    else if (mode === 'quick' || this.#phase.step === 'stopping-soon' || delay === 0)
      this.#beginStop(mode, now)
    else {
      this.#phase = { step: 'stopping-soon', at: now + delay * 1000 }
      this.#log.event('waitingBeforeStop', { seconds: delay })
    }
  }

  #beginStop(mode: DrainMode, now: number): void {
    this.#phase = { step: 'stopping', mode, beganAt: now }
    if (!this.#failure) this.#log.event('stopping', { mode })
    this.#sockets.closeAll()
    this.#crew.killed = 0
    this.#crew.hasten('stop', this.#roll.config.settings)
    if (mode === 'quick') this.#crew.hurryAll()
  }

  #scale(target: number): void {
    if (target === this.#target) return
    this.#log.event('workersChanged', { from: this.#target, to: target })
    this.#o.hooks.run('nworkersChanged', { from: this.#target, to: target })
    this.#target = target
    this.#crashes.forgive()
  }

  #reload(config: Config, now: number): void {
    if (!this.#reader.arrived() || this.#isStopping) return
    this.#roll.begin(config, now)
    this.#crew.hasten('reload', config.settings)
    this.#log.event('reloading', { generation: this.#roll.generation })
    this.#use(config)
    this.#o.hooks.run('onReload', { generation: this.#roll.generation, workers: this.#target })
  }

  #use(config: Config): void {
    this.#crashes.forgive()
    this.#o.onConfig(config)
    this.#scale(this.#o.target(config))
  }

  #hear(worker: WorkerHandle, message: ToMaster, now: number): void {
    switch (message.type) {
      case 'listen':
        return this.#giveSocket(worker, message.seq, message.query)
      case 'unlisten':
        return this.#sockets.release(message.query, worker.id)
      case 'listening':
        return this.#listeners.heard(message.address, worker.generation)
      case 'ready':
        return this.#ready(worker, now)
      case 'failed':
        worker.failure = message
        return
      case 'waiting':
        worker.waitsFor = message.text
        return
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
      case 'draining':
      case 'timeout':
      case 'interrupted':
      case 'slow':
      case 'notice':
      case 'hook-failed':
      case 'loaded':
        return this.#reports.hear(worker, message, now)
    }
  }

  #giveSocket(worker: WorkerHandle, seq: number, query: ListenQuery): void {
    this.#sockets.take(query, worker.id, (errno, handle) => {
      if (!handle) worker.bindError = bindError(query, errno)
      worker.tell({ type: 'socket', seq, errno }, handle)
    })
  }

  #ready(worker: WorkerHandle, now: number): void {
    if (worker.advance('ready') !== 'announce') return
    this.#everReady = true
    this.#reader.ready()
    worker.deadline = Infinity
    worker.lastWords.release()
    this.#log.event('workerReady', { ...worker.facts, seconds: (now - worker.bornAt) / 1000 })
  }

  #exited({ worker, code, signal }: Exit, now: number): void {
    const { state, facts, uptime } = worker
    this.#crew.bury(worker, code, signal)
    this.#sockets.forget(worker.id)
    if (this.#failure) return
    const { postMortem } = worker.watchdog
    if (postMortem) {
      this.#alerts.count(now)
      this.#log.event('workerTimeout', { ...facts, uptime, ...payload(postMortem) })
      if (state === 'ready') return // killed for what it did, not failing to start: its successor need not wait
    }
    if (state === 'draining' || (state === 'killed' && worker.reason))
      return this.#log.event('workerExited', {
        ...facts,
        uptime,
        reason: worker.killedFor ? 'killed' : worker.reason!,
      })
    if (state === 'ready')
      this.#log.event('workerCrashed', this.#postMortem.of(worker, code, signal))
    else this.#bootFailed(worker, code, signal)
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
    if (this.#phase.step === 'stopping' && this.#crew.size === 0)
      return this.#end(this.#phase.beganAt, now)
    const { ready, oldestGeneration } = this.#crew
    if (ready.length < this.#target) return
    if (this.#phase.step === 'starting') {
      this.#phase = { step: 'running' }
      const seconds = (now - this.#startedAt) / 1000
      this.#o.onReady({ workers: ready.map((w) => w.pid), urls: this.urls, seconds })
    }
    if (this.#roll.isRolling && oldestGeneration >= this.#roll.oldest) {
      this.#log.event('reloaded', this.#roll.finish(now))
      this.#sockets.closeUnused()
      this.#listeners.forgetBefore(this.#roll.oldest)
    }
  }

  #end(beganAt: number, now: number): void {
    this.#phase = { step: 'stopped' }
    this.#alarm.set(Infinity)
    if (!this.#failure)
      this.#log.event('stopped', { killed: this.#crew.killed, seconds: (now - beganAt) / 1000 })
    this.#o.onEnd(this.#failure, this.#crew.killed)
  }

  #schedule(wakeAt: number): void {
    const soon = this.#phase.step === 'stopping-soon' ? this.#phase.at : Infinity
    this.#alarm.set(Math.min(wakeAt, soon, this.#crew.nextDue(this.#roll.config.settings)))
  }
}
