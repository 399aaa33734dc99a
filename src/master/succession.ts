// Orders that are not for the loop: USR2, and what must not be while a new master is on its way. The rest of an upgrade is
// loaded when it is asked for. Runs in the master.

import type { StartRequest } from '../config.ts'
import { UserError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Master } from './master.ts'
import type { Passage } from './passage.ts'
import type { Pidfile } from './pidfile.ts'
import type { LoopOrder, Order } from './signals.ts'
import type { Sockets } from './sockets.ts'
import type { Upgrade } from './upgrade.ts'

export interface SuccessionParts {
  readonly request: StartRequest
  readonly log: Log
  readonly sockets: Sockets
  /** Who has the listening sockets: us, or node:cluster. */
  readonly socketOwner: 'owned' | 'cluster'
  readonly passage: Passage
  readonly pidfile: Pidfile | undefined
  readonly master: () => Pick<Master, 'state' | 'post'>
}

export class Succession {
  readonly #parts: SuccessionParts
  #state: 'reigning' | 'upgrading' | 'succeeded' = 'reigning'
  #upgrade: Promise<Upgrade | undefined> = Promise.resolve(undefined)

  constructor(parts: SuccessionParts) {
    this.#parts = parts
  }

  /** Another master is in charge; this one only finishes what its workers have begun. */
  get isSucceeded(): boolean {
    return this.#state === 'succeeded'
  }

  /** Throws NOT_NOW: a command, unlike a signal, has somebody who waits for what becomes of it. */
  refuse(order: string): void {
    if (this.#state === 'reigning' || order.endsWith('stop') || order === 'reopen') return
    const why = this.isSucceeded ? 'a new master is in charge' : 'an upgrade is under way'
    throw new UserError('NOT_NOW', `${order} was refused: ${why}`)
  }

  /** The order if it is for the loop now. A stop is for both masters; once succeeded, this one is about to leave anyway. */
  forLoop(order: Order, name: string): LoopOrder | undefined {
    if (order === 'quick-stop' || (order === 'stop' && this.#state !== 'succeeded')) {
      const mode = order === 'stop' ? 'graceful' : 'quick'
      if (this.#state === 'upgrading') void this.#upgrade.then((upgrade) => upgrade?.stop(mode))
      return order
    }
    if (order === 'reopen' || (order !== 'upgrade' && this.#state === 'reigning')) return order
    const { log } = this.#parts
    log.event('handlingSignal', { signal: name })
    if (this.#state === 'reigning') this.#begin()
    else log.event('notWhileUpgrading', { order: name, isSucceeded: this.isSucceeded })
    return undefined
  }

  /** Resolves when no new master is on its way: it is gone, or in charge. */
  async settled(): Promise<void> {
    await (
      await this.#upgrade
    )?.settled
  }

  #begin(): void {
    this.#state = 'upgrading'
    this.#upgrade = import('./upgrade.ts').then(({ begin }) =>
      begin(this.#parts, () => {
        this.#state = 'succeeded'
        this.#parts.master().post({ type: 'succeeded' })
      }),
    )
    void this.settled().then(() => {
      if (this.#state === 'upgrading') this.#state = 'reigning'
    })
  }
}
