// What reaches the master's loop, which phase it can be in, and what it needs from outside. Types only. Runs in the master.

import type { Config } from '../config.ts'
import type { UserError } from '../errors.ts'
import type { Facts } from '../events.ts'
import type { Log } from '../log.ts'
import type { DrainMode, LoadedFile, ToMaster } from '../protocol.ts'
import type { MasterHooks } from './master-hooks.ts'
import type { Order } from './signals.ts'
import type { WorkerHandle } from './worker-handle.ts'
import type { Birth } from './worker-init.ts'

export type Exit = {
  type: 'exit'
  worker: WorkerHandle
  code: number | null
  signal: NodeJS.Signals | null
}
export type Input =
  /** `name`: of the signal, or who else gave it; undefined if the log has told already. */
  | { type: 'order'; order: Order; name: string | undefined }
  | { type: 'message'; worker: WorkerHandle; message: ToMaster }
  | { type: 'settings'; config: Config }
  | { type: 'settings-refused'; error: string }
  | { type: 'tick' }
  | Exit

export type Phase =
  | { step: 'starting' | 'running' | 'stopped' }
  | { step: 'stopping-soon'; at: number }
  | { step: 'stopping'; mode: DrainMode; beganAt: number }

export type ReadyFacts = Facts<'serverReady'>

export interface MasterOptions {
  readonly birth: Omit<Birth, 'config'>
  readonly config: Config
  readonly log: Log
  readonly hooks: MasterHooks
  /** How many workers a configuration asks for. */
  readonly target: (config: Config) => number
  /** Reads flags, environment and file again; rejects with a UserError. */
  readonly loadAgain: () => Promise<Config>
  /** A configuration took effect, for what lives outside the loop (log level). */
  readonly onConfig: (config: Config) => void
  /** A worker has loaded these files of the application (`reload`). */
  readonly onModules?: (files: readonly LoadedFile[]) => void
  /** All workers are ready for the first time. */
  readonly onReady: (facts: ReadyFacts) => void
  /** Everything is gone. `failure`: why the start failed, if it did; `killed`: workers that had to be killed to stop. */
  readonly onEnd: (failure: UserError | undefined, killed: number) => void
}
