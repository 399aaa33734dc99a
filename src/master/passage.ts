// The way of idle connections from an old master to the new one, in an upgrade: who is before this master, who is after it.
// Runs in the master; filled by upgrade.ts in the old one, by heir.ts in the new one.

import type { FromHandover, ToWorker } from '../protocol.ts'
import type { Handle } from './sockets.ts'

/** Gives connections or takes them: a worker, or another master for its workers. */
export interface Party {
  /** That it has, as far as is known here. */
  connections: number
  tell(message: Extract<ToWorker, { type: 'take' | 'sent' | 'given' }>, handle?: Handle): void
}

export class Passage {
  /** In charge, and able to take: from now on, connections that nobody here takes go there. */
  successor: Party | undefined
  predecessor: Party | undefined
  /** What the other one says; set by who moves connections here. */
  hear: (party: Party, message: FromHandover, handle?: unknown) => void = () => undefined
  /** The successor is gone. */
  onLost: (successor: Party) => void = () => undefined

  lost(): void {
    const { successor } = this
    this.successor = undefined
    if (successor) this.onLost(successor)
  }
}
