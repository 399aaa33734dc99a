// Reads the settings again for a reload: never twice at a time, never before the first worker is ready. Runs in the master.

import type { Config } from '../config.ts'
import type { Input, MasterOptions } from './inputs.ts'

export class SettingsReader {
  /** 'again': while they were being read, another reload was asked for. */
  #state: 'idle' | 'when-ready' | 'reading' | 'again' = 'idle'
  readonly #load: () => Promise<Config>
  readonly #post: (input: Input) => void
  /** Whoever waits for changes need not wait for a first worker that never gets ready. */
  readonly #mayReadAlways: boolean

  constructor(
    { loadAgain, config }: Pick<MasterOptions, 'loadAgain' | 'config'>,
    post: (input: Input) => void,
  ) {
    this.#load = loadAgain
    this.#post = post
    this.#mayReadAlways = config.settings.reload
  }

  get isBusy(): boolean {
    return this.#state !== 'idle'
  }

  /** Two reloads at once are one, but the settings are read after the last of them. */
  ask(mayRead: boolean): void {
    if (this.#state === 'reading' || this.#state === 'again') this.#state = 'again'
    else if (!mayRead && !this.#mayReadAlways) this.#state = 'when-ready'
    else this.#read()
  }

  /** From now on there is something to fall back to. */
  ready(): void {
    if (this.#state === 'when-ready') this.#read()
  }

  /** What was read has arrived. False: it is out of date, and is being read once more. */
  arrived(): boolean {
    const again = this.#state === 'again'
    this.#state = 'idle'
    if (again) this.#read()
    return !again
  }

  /** It could not be read, or was wrong. */
  refused(): void {
    this.#state = 'idle'
  }

  #read(): void {
    this.#state = 'reading'
    this.#load().then(
      (config) => this.#post({ type: 'settings', config }),
      (error: Error) => this.#post({ type: 'settings-refused', error: error.message }),
    )
  }
}
