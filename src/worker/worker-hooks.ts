// The hooks of the settings file that belong to the worker: loaded here once more, because functions can't be sent, and called
// so that none of them harms it. Runs in the workers that have some, before the application is loaded.

import { readConfigFile } from '../config-file.ts'
import type { UserError } from '../errors.ts'
import { HookRunner, type Thrown } from '../hook-runner.ts'
import { frozen, type HookName, type HookWorker, type WorkerHookFunctions } from '../hooks.ts'
import type { DrainMode } from '../protocol.ts'
import { storage } from './context.ts'
import { customAnswer } from './custom-answer.ts'
import type { HookSlot, WantedHooks } from './hook-slot.ts'
import type { Entry } from './request-entry.ts'
import { requestFacts, responseFacts } from './request-facts.ts'

const POST_FORK_SECONDS = 10
/** A quick stop kills after 2 s. */
const EXIT_SECONDS = { graceful: 5, quick: 1 }
/** A hook that fails at every request must not flood the log. */
const FAILURES_PER_SECOND = 20
/** Longer than it takes to say why and to exit. */
const ENDING_MS = 10_000

export class WorkerHooks {
  readonly #runner = new HookRunner((hook, thrown) => this.#failed(hook, thrown))
  readonly #wanted: WantedHooks
  #exit: 'not-called' | 'called' = 'not-called'
  #second = 0
  #failures = 0

  constructor(wanted: WantedHooks) {
    this.#wanted = wanted
  }

  /** Its slot is another one after a promotion. */
  get #worker(): HookWorker {
    return frozen({ pid: process.pid, slot: this.#wanted.standing.slot })
  }

  /** Runs the settings file and postFork. Does not resolve if the file fails: the worker is about to end. */
  async load(): Promise<void> {
    const { hooks, init, onFailure, slot } = this.#wanted
    try {
      this.#runner.hooks = await readConfigFile(hooks.file, hooks.source)
      if (hooks.preload) await this.#preload()
    } catch (error) {
      onFailure(error as UserError)
      await new Promise((resolve) => setTimeout(resolve, ENDING_MS))
    }
    if (init.mode === 'check') return
    Object.assign(slot, this.#calls())
    if (slot.workerExit) process.on('exit', (code) => void this.#leave(code))
    const postFork = this.#runner.call('postFork', this.#worker)
    await this.#runner.settle('postFork', postFork, POST_FORK_SECONDS)
  }

  async #preload(): Promise<void> {
    const { runPreload } = await import('./run-preload.ts')
    const { preload } = this.#runner.hooks as { preload?: unknown }
    await runPreload(preload, this.#wanted.hooks.source)
  }

  #calls(): HookSlot {
    const runner = this.#runner
    const ifSet = <T>(name: keyof WorkerHookFunctions, call: T): T | undefined =>
      runner.hooks[name] === undefined ? undefined : call
    const preRequest = (entry: Entry): void => void runner.call('preRequest', requestFacts(entry))
    const { requestContext } = this.#wanted.init.settings
    return {
      preRequest: ifSet(
        'preRequest',
        requestContext ? (entry) => storage.run(entry, preRequest, entry) : preRequest,
      ),
      postRequest: ifSet('postRequest', (entry) => {
        void runner.call('postRequest', responseFacts(entry))
      }),
      timeoutAnswer: ifSet('timeoutAnswer', (entry) => customAnswer(runner, entry)),
      postWorkerInit: ifSet('postWorkerInit', () => {
        void runner.call('postWorkerInit', this.#worker)
      }),
      workerInt: ifSet('workerInt', () => void runner.call('workerInt', this.#worker)),
      workerExit: ifSet('workerExit', (mode) => this.#leaving(mode)),
    }
  }

  #leaving(mode: DrainMode): Promise<void> {
    const { gracefulTimeout } = this.#wanted.init.settings
    const limit = Math.min(EXIT_SECONDS[mode], gracefulTimeout / 2)
    return this.#runner.settle('workerExit', this.#leave(undefined), limit)
  }

  /** Once, whether after a drain or because the process exits. */
  #leave(code: number | undefined): Promise<unknown> | undefined {
    if (this.#exit === 'called') return undefined
    this.#exit = 'called'
    return this.#runner.call('workerExit', { ...this.#worker, uptime: process.uptime(), code })
  }

  #failed(hook: HookName, thrown: Thrown): void {
    const second = Math.floor(performance.now() / 1000)
    const omitted = second === this.#second ? 0 : this.#failures - FAILURES_PER_SECOND
    if (second !== this.#second) this.#failures = 0
    this.#second = second
    if (++this.#failures > FAILURES_PER_SECOND) return
    const more = omitted > 0 && { omitted }
    this.#wanted.channel.tell({ type: 'hook-failed', hook, ...thrown, ...more })
  }
}
