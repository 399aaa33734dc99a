// With `reload`: a master that reloads when a file changes, and that is made anew at the next change if the application did not
// boot. Runs in the master, imported only with `reload`.

import type { Config } from '../config.ts'
import { isProduction } from '../config.ts'
import { UserError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Input, MasterOptions, MasterState } from './inputs.ts'
import { Master } from './master.ts'
import { Reloader } from './reloader.ts'

/**
 * 'fresh': nothing has changed since this master was made; 'changed': something has. 'waiting': there is none, until something
 * changes; 'reading': the settings, for the next one; 'again': while they are being read, something has changed.
 */
type State = 'fresh' | 'changed' | 'waiting' | 'reading' | 'again' | 'stopping' | 'over'

/** The application's own fault: these another version of it may not have. */
const isMendable = (failure: UserError): boolean => failure.exit > 2

export class PatientMaster {
  readonly #options: MasterOptions
  readonly #log: Log
  readonly #reloader: Reloader
  #master: Master
  #state: State = 'fresh'

  /** `directory`: what names of files are relative to. */
  constructor(options: MasterOptions, directory: string) {
    this.#options = options
    this.#log = options.log
    this.#reloader = new Reloader(options.log, directory)
    this.#reloader.onChange = () => this.#changed()
    this.#master = this.#make(options.config)
    this.#explain(options.config)
  }

  get urls(): string[] {
    return this.#master.urls
  }

  get state(): MasterState {
    return this.#master.state
  }

  start(): void {
    this.#reloader.use(this.#options.config)
    this.#master.start()
  }

  post(input: Input): void {
    const stops = input.type === 'order' && /stop$/.test(input.order)
    if (!['waiting', 'reading', 'again'].includes(this.#state)) {
      if (stops) this.#state = 'stopping'
      return this.#master.post(input)
    }
    if ('reply' in input)
      return input.reply(new UserError('NOT_NOW', 'no worker runs, the application did not start'))
    if (input.type !== 'order') return
    this.#log.event('handlingSignal', { signal: input.name ?? input.order })
    if (input.order === 'reload') return this.#changed()
    if (!stops) return
    this.#log.event('stopped', { killed: 0, seconds: 0 })
    this.#end(undefined, 0)
  }

  #make(config: Config): Master {
    return new Master({
      ...this.#options,
      config,
      onConfig: (next) => {
        this.#options.onConfig(next)
        this.#reloader.use(next)
      },
      onModules: (files) => this.#reloader.hear(files),
      onEnd: (failure, killed) => {
        if (failure && isMendable(failure) && this.#state !== 'stopping')
          this.#wait(failure.message)
        else this.#end(failure, killed)
      },
    })
  }

  #explain({ settings, preloadSource }: Config): void {
    this.#log.event('watching', {})
    const warn = (text: string): void => this.#log.event('warning', { text })
    if (isProduction(settings)) warn('--reload is for development, and NODE_ENV is production')
    if (settings.preload && preloadSource === undefined)
      warn('--preload does nothing with --reload')
  }

  #changed(): void {
    switch (this.#state) {
      case 'fresh':
      case 'changed':
        this.#state = 'changed'
        return this.#master.post({ type: 'order', order: 'reload', name: undefined })
      case 'waiting':
        return this.#again()
      case 'reading':
        this.#state = 'again'
        return
      case 'again':
      case 'stopping':
      case 'over':
    }
  }

  /** What has changed since the failure began is not waited for. */
  #wait(error: string): void {
    this.#log.event('waitingForChange', { error })
    if (this.#state === 'changed' || this.#state === 'again') return this.#again()
    this.#state = 'waiting'
  }

  #again(): void {
    this.#state = 'reading'
    this.#options.loadAgain().then(
      (config) => this.#begin(config),
      (error: Error) => this.#state !== 'over' && this.#wait(error.message),
    )
  }

  #begin(config: Config): void {
    if (this.#state === 'again') return this.#again()
    if (this.#state !== 'reading') return
    this.#state = 'fresh'
    this.#options.sockets.reopen()
    this.#options.onConfig(config)
    this.#reloader.use(config)
    this.#master = this.#make(config)
    this.#master.start()
  }

  #end(failure: UserError | undefined, killed: number): void {
    this.#state = 'over'
    this.#reloader.close()
    this.#options.onEnd(failure, killed)
  }
}
