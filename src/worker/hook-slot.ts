// Where the parts of a worker find the hooks of the settings file. Runs in every worker. It is empty until load-hooks.ts
// fills it, which happens only if there are some: without, nothing else of theirs is loaded, for the sake of a quick start.

import type { UserError } from '../errors.ts'
import type { DrainMode, WorkerHooksInit, WorkerInit } from '../protocol.ts'
import type { Channel } from './channel.ts'
import type { Entry } from './request-entry.ts'
import type { Answer } from './error-answer.ts'
import type { Standing } from './standing.ts'

/** What is not set is undefined; what is set never throws. */
export interface HookSlot {
  preRequest?: ((entry: Entry) => void) | undefined
  postRequest?: ((entry: Entry) => void) | undefined
  /** Undefined: the answer is ours. */
  timeoutAnswer?: ((entry: Entry) => Answer | undefined) | undefined
  postWorkerInit?: (() => void) | undefined
  workerInt?: (() => void) | undefined
  /** Resolves when the worker may end. */
  workerExit?: ((mode: DrainMode) => Promise<void>) | undefined
}

export interface WantedHooks {
  readonly hooks: WorkerHooksInit
  readonly init: WorkerInit
  readonly channel: Channel
  readonly standing: Standing
  /** The settings file can't be loaded; the worker must end. */
  readonly onFailure: (error: UserError) => void
  readonly slot: HookSlot
}

/** By a global symbol: load-hooks.ts is a file of its own, this one is part of the workers' bundle. */
const WANTED = Symbol.for('nodicorn.wantedHooks')
const shared = globalThis as { [WANTED]?: WantedHooks }

/** Call before the application is loaded. */
export function hookSlot(
  init: WorkerInit,
  channel: Channel,
  standing: Standing,
  onFailure: (error: UserError) => void,
): HookSlot {
  const slot: HookSlot = {}
  const { hooks } = init
  if (hooks) shared[WANTED] = { hooks, init, channel, standing, onFailure, slot }
  return slot
}

/** For load-hooks.ts; undefined in what the application starts. */
export const wantedHooks = (): WantedHooks | undefined => shared[WANTED]
