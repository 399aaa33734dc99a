// What reaches the master's loop, which phase it can be in, and what it needs from outside. Types only. Runs in the master.

import type { Bounds } from '../cgroup.ts'
import type { Config } from '../config.ts'
import type { UserError } from '../errors.ts'
import type { Facts } from '../events.ts'
import type { Log } from '../log.ts'
import type { DrainMode, LoadedFile, ToMaster } from '../protocol.ts'
import type { Crew } from './crew.ts'
import type { Groups } from './groups.ts'
import type { MasterHooks } from './master-hooks.ts'
import type { Passage } from './passage.ts'
import type { LoopOrder } from './signals.ts'
import type { Sockets } from './sockets.ts'
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
  | { type: 'order'; order: LoopOrder; name: string | undefined }
  | { type: 'message'; worker: WorkerHandle; message: ToMaster }
  | { type: 'settings'; config: Config }
  | { type: 'settings-refused'; error: string }
  /** A new master is in charge. */
  | { type: 'succeeded' }
  | Demand
  | { type: 'tick' }
  | Exit

/** What an operator asks of the loop by a command. `reply` is called in the turn that hears it. */
export type Demand =
  | {
      type: 'scale'
      change: { to: number } | { by: number }
      reply: (answer: Scaled | UserError) => void
    }
  /** `slot`: all of them if it is undefined. */
  | { type: 'recycle'; slot: number | undefined; reply: (answer: Recycled | UserError) => void }
export type Scaled = { readonly from: number; readonly to: number }
/** Pids of the workers that are to be replaced. */
export type Recycled = { readonly workers: readonly number[] }

export type Phase =
  | { step: 'starting' | 'running' | 'stopped' }
  | { step: 'stopping-soon'; at: number }
  | { step: 'stopping'; mode: DrainMode; beganAt: number; reason: 'stop' | 'upgrade' }

/** As it looks from outside the loop. */
export interface MasterState {
  readonly step: Phase['step']
  readonly isReloading: boolean
  readonly config: Config
  readonly generation: number
  /** How many there should be. */
  readonly workers: number
  readonly crew: Crew
  /** What runs beside the workers. */
  readonly groups: Groups
}

export type ReadyFacts = Facts<'serverReady'>

export interface MasterOptions {
  readonly birth: Omit<Birth, 'config'>
  readonly config: Config
  readonly log: Log
  readonly hooks: MasterHooks
  readonly sockets: Sockets
  readonly groups: Groups
  /** For idle connections, from the master before this one and to the one after it. */
  readonly passage: Passage
  /** How many workers a configuration asks for. */
  readonly bounds: (config: Config) => Bounds
  /** How many there were before an upgrade: what TTIN, TTOU and the load made of it holds until the next reload. */
  readonly workers: number | undefined
  /** How many workers on standby it asks for; 0 where there can be none. */
  readonly standby: (config: Config) => number
  /** Reads flags, environment and file again; rejects with a UserError. */
  readonly loadAgain: () => Promise<Config>
  /** A configuration took effect, for what lives outside the loop (log level). */
  readonly onConfig: (config: Config) => void
  /** A worker has loaded these files of the application (`reload`). */
  readonly onModules?: (files: readonly LoadedFile[]) => void
  /** All workers are ready for the first time. */
  readonly onReady: (facts: ReadyFacts) => void
  /** Everything is gone. `failure`: why the start failed, if it did; `killed`: processes that had to be killed to stop. */
  readonly onEnd: (failure: UserError | undefined, killed: number) => void
}
