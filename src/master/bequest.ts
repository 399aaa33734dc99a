// What an old master leaves to a new one, and what the two tell each other: until the new one is in charge, and then until the
// old one's workers are gone. They may be of different versions of this package and of Node: a word that is here stays.
// Runs in both masters.

import type { Announced } from '../activation.ts'
import type { Connection, DrainMode, ListenQuery } from '../protocol.ts'

/** The environment variable that carries a Bequest; removed before the settings are read. */
export const BEQUEST_VARIABLE = 'SUPERVISOR_BEQUEST'
/** Where the sockets begin in the new process; one of its own is right behind the last of them, the channel. */
export const FIRST_SOCKET = 3

export interface Bequest {
  /** Of the old master. */
  readonly pid: number
  /** What the sockets were asked for as, in the order of their descriptors. */
  readonly sockets: readonly ListenQuery[]
  /** Those of them that systemd has opened, by the number and name that it gave them. */
  readonly activated?: readonly Announced[]
  /** How the first master's node was called, as it was typed: `node`, or a path. */
  readonly node: string
  /** How many workers there should be, if TTIN or TTOU changed what the settings say. */
  readonly workers?: number
}

export type ToHeir =
  /** `processes`: pids of what ran beside the old master's workers, and is now told to end. */
  | { type: 'take-charge'; processes?: readonly number[] }
  | { type: 'stop'; mode: DrainMode }
  /** An idle connection comes with it. `sent` follows: without a connection before it, that was lost on the way (EMFILE). */
  | ({ type: 'take' } & Connection)
  | { type: 'sent'; seq: number }

export type FromHeir =
  /** The settings are good; later, the workers are started. Its time begins anew. */
  | { type: 'alive' }
  | { type: 'ready' }
  /** The pidfile is its own, it cannot be taken back. `takes`: idle connections, until the old master disconnects. */
  | { type: 'in-charge'; version: string; node: string; takes?: boolean }
  /** False: the old worker has it again. */
  | { type: 'taken'; seq: number; taken: boolean }
  | { type: 'failed'; error: string }
