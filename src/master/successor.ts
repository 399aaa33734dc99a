// The new master, as the old one's workers are concerned: it takes idle connections for its own workers. Runs in the old
// master, loaded with upgrade.ts.

import type { FromHeir } from './bequest.ts'
import type { Party, Passage } from './passage.ts'

/** Of node's ChildProcess. */
interface Child {
  readonly connected: boolean
  send(message: object, handle: unknown, options: { keepOpen: boolean }, done: () => void): unknown
  on(event: 'message', listener: (message: unknown) => void): unknown
  once(event: 'disconnect' | 'exit', listener: () => void): unknown
}

export class Successor implements Party {
  connections = 0
  readonly #child: Child

  /** `child`: connected. */
  constructor(child: Child, passage: Passage) {
    this.#child = child
    child.on('message', (raw) => {
      const message = raw as FromHeir
      if (message.type === 'taken') passage.hear(this, message)
    })
    child.once('disconnect', () => passage.lost())
    // node keeps the other event back, for good, if a handle was sent that nobody has acknowledged
    child.once('exit', () => passage.lost())
  }

  /** `take` and `sent`, which are ToHeir as well. */
  tell(message: Parameters<Party['tell']>[0], handle?: unknown): void {
    if (!this.#child.connected) return
    // an error is EPIPE or ERR_IPC_CHANNEL_CLOSED: it is gone, which its events tell
    this.#child.send(message, handle, { keepOpen: true }, () => undefined)
  }
}
