// A master that was started by another one to take its place: what it inherits, and the talk between the two until it is in
// charge, and about idle connections thereafter. If the old one dies before, it takes charge by itself. Runs in the new master,
// loaded in no other.

import type { Announced } from '../activation.ts'
import { UserError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { DrainMode } from '../protocol.ts'
import { FIRST_SOCKET, type Bequest, type FromHeir, type ToHeir } from './bequest.ts'
import type { Party, Passage } from './passage.ts'
import type { Pidfile } from './pidfile.ts'
import type { Sockets } from './sockets.ts'

/**
 * Ctrl-C, and systemd's TERM, go to both masters: the signal may be here a moment after the old one's word, and would be
 * taken for a second one, which kills; ms.
 */
const OWN_SIGNAL_MS = 200

interface Crown {
  readonly pidfile: Pidfile | undefined
  readonly sockets: Sockets
  readonly log: Log
  readonly version: string
  /** Undefined: no connections are taken. */
  readonly passage: Passage | undefined
}

export class Heir {
  readonly bequest: Bequest
  #state: 'waiting' | 'in-charge' | 'stopping' = 'waiting'
  #stop: ((mode: DrainMode) => void) | undefined
  #passage: Passage | undefined
  /** Gives what its workers have. */
  readonly #predecessor: Party = {
    connections: 0,
    tell: (message) => {
      if (message.type === 'given') void this.#tell({ ...message, type: 'taken' })
    },
  }
  /** What ran beside the old master's workers: ends when we are in charge. */
  processes: readonly number[] = []
  #mayTake!: () => void
  readonly #told = new Promise<void>((resolve) => (this.#mayTake = resolve))

  constructor(bequest: Bequest) {
    this.bequest = bequest
    process.on('message', (message, handle) => this.#hear(message as ToHeir, handle))
    process.once('disconnect', () => this.#mayTake())
    if (!process.connected) this.#mayTake()
    process.channel?.unref()
  }

  /** Sockets of systemd's, and where they are open here. */
  get activated(): (Announced & { at: number })[] {
    const { activated = [], sockets } = this.bequest
    return activated.flatMap((one) => {
      const index = sockets.findIndex(({ fd }) => fd === one.fd)
      return index < 0 ? [] : { ...one, at: FIRST_SOCKET + index }
    })
  }

  /** Not yet in charge: the old master tells what goes wrong here. */
  get isWaiting(): boolean {
    return this.#state === 'waiting' && process.connected
  }

  /** Throws CANNOT_LISTEN if what was left is of no use here. */
  inherit(sockets: Sockets): void {
    sockets.inherit(this.bequest.sockets, FIRST_SOCKET)
  }

  /** It goes on, and needs time. */
  alive(): void {
    void this.#tell({ type: 'alive' })
  }

  /** `stop` is called when the old master stops, which ends both. */
  onStop(stop: (mode: DrainMode) => void): void {
    this.#stop = stop
  }

  /** It is stopping, whoever asked: it takes charge of nothing. */
  stops(): void {
    if (this.#state === 'waiting') this.#state = 'stopping'
  }

  /** Resolves when the old master knows why nothing came of it. */
  failed(error: Error): Promise<void> {
    return this.#tell({ type: 'failed', error: error.message })
  }

  /** All workers are ready. True: in charge. False: the old master goes on. */
  async takeCharge({ pidfile, sockets, log, version, passage }: Crown): Promise<boolean> {
    void this.#tell({ type: 'ready' })
    await this.#told
    if (this.#state !== 'waiting') return false
    const isAlone = !process.connected
    try {
      pidfile?.write(this.bequest.pid)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      await this.failed(error)
      this.#stop?.('graceful')
      return false
    }
    this.#state = 'in-charge'
    sockets.own()
    sockets.closeUnused()
    const { pid } = this.bequest
    log.event(isAlone ? 'promoted' : 'tookOver', { predecessor: pid })
    if (passage) passage.predecessor = this.#predecessor
    this.#passage = passage
    const takes = passage !== undefined
    void this.#tell({ type: 'in-charge', version, node: process.version, takes })
    return true
  }

  #hear(message: ToHeir, handle: unknown): void {
    switch (message.type) {
      case 'take-charge':
        this.processes = message.processes ?? []
        return this.#mayTake()
      case 'stop':
        return void setTimeout(() => this.#stopWith(message.mode), OWN_SIGNAL_MS)
      case 'take':
        return this.#passage?.hear(this.#predecessor, { ...message, type: 'give' }, handle)
      case 'sent':
        return this.#passage?.hear(this.#predecessor, { ...message, type: 'gave' })
    }
  }

  #stopWith(mode: DrainMode): void {
    if (this.#state === 'stopping') return
    this.stops()
    this.#stop?.(mode)
  }

  /** An error is EPIPE or ERR_IPC_CHANNEL_CLOSED: the old master is gone, and need not know. */
  #tell(message: FromHeir): Promise<void> {
    return new Promise((resolve) => {
      if (process.connected) process.send!(message, undefined, {}, () => resolve())
      else resolve()
    })
  }
}
