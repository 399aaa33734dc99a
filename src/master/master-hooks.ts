// Calls the hooks of the settings file that belong to the master, and sees to it that none of them harms it. Runs in the master.

import { HookRunner, RUNNER, thrownFacts } from '../hook-runner.ts'
import {
  hookPlaces,
  type HookAbort,
  type HookFacts,
  type HookName,
  type Hooks,
  type MasterHookFunctions,
} from '../hooks.ts'
import type { Log } from '../log.ts'
import { payload } from '../protocol.ts'
import { builtFiles } from '../paths.ts'
import { isBooting } from './lifecycle.ts'
import type { WorkerHandle } from './worker-handle.ts'

type MasterHookName = keyof MasterHookFunctions

export class MasterHooks {
  readonly #log: Log
  readonly #owner: 'ours' | 'callers'
  readonly #runner: HookRunner
  #strays: 'let-be' | 'caught' = 'let-be'

  /** `owner`: whose process it is, the command's or that of a program that uses the library. */
  constructor(log: Log, owner: 'ours' | 'callers') {
    this.#log = log
    this.#owner = owner
    this.#runner = new HookRunner((hook, thrown) => log.event('hookFailed', { hook, ...thrown }))
  }

  /** From now on these are called. */
  use(hooks: Hooks): void {
    this.#runner.hooks = hooks
    if (this.#owner === 'ours' && Object.keys(hooks).some(isMasters)) this.#catchStrays()
  }

  has(name: MasterHookName): boolean {
    return this.#runner.hooks[name] !== undefined
  }

  /** Nobody waits for it. */
  run<Name extends MasterHookName>(name: Name, facts: HookFacts<Name>): void {
    void this.#runner.call(name, facts)
  }

  /** Resolves when the hook is done, after `seconds` (0: without end), or when `signal` is aborted. Never rejects. */
  settle<Name extends MasterHookName>(
    name: Name,
    facts: HookFacts<Name>,
    seconds: number,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.#runner.settle(name, this.#runner.call(name, facts), seconds, signal)
  }

  /** A worker is gone, and not in the books as such: workerAbort if its event loop was why, then childExit. */
  exited(worker: WorkerHandle, code: number | null, signal: string | null): void {
    const abort = abortOf(worker)
    if (abort) this.run('workerAbort', abort)
    if (!this.has('childExit')) return
    const { pid, slot, generation, uptime, state } = worker
    const unasked = isBooting(state) || worker.killedFor ? 'boot-failed' : 'crash'
    const reason = abort?.reason ?? worker.reason ?? unasked
    this.run('childExit', { pid, slot, generation, uptime, code, signal, reason })
  }

  /**
   * What a hook starts and nobody waits for, a timer or a promise, may throw later. Whose such an error is only its stack can
   * tell: one that comes from none of our files, or from a hook called here, does not end the server.
   */
  #catchStrays(): void {
    if (this.#strays === 'caught') return
    this.#strays = 'caught'
    process.on('uncaughtException', (error: unknown) => {
      if (isOurs(error)) throw error
      this.#log.event('hookFailed', { hook: '(one of the master)', ...thrownFacts(error) })
    })
  }
}

/** The first line of ours on its stack is not the one that calls hooks. */
function isOurs(error: unknown): boolean {
  const first = thrownFacts(error).stack.find((line) => line.includes(builtFiles))
  return first !== undefined && !RUNNER.test(first)
}

const isMasters = (name: string): boolean => hookPlaces[name as HookName] === 'master'

/** Of a worker whose event loop stood still, or that fell silent altogether. */
function abortOf({ facts, reason, watchdog, silentSince }: WorkerHandle): HookAbort | undefined {
  const { worker: pid, slot } = facts
  const { postMortem, digest, heardAt = 0 } = watchdog
  if (postMortem) {
    const { rss: _rss, culprit, ...rest } = payload(postMortem) as typeof postMortem
    return { pid, slot, culprit, ...rest }
  }
  if (reason !== 'silent') return undefined
  return {
    pid,
    slot,
    reason,
    seconds: ((silentSince ?? heardAt) - heardAt) / 1000,
    culprit: undefined,
    certain: false,
    stack: null,
    neighbours: digest?.inFlight ?? 0,
    listed: digest?.oldest ?? [],
  }
}
