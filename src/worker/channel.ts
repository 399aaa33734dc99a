// The worker's end of the wire to the master: ask for a socket, tell, be told. Runs in every worker.
// Keeps the process alive only while the application listens or waits for a socket, so that a script that ends is seen to end.

import {
  open,
  seal,
  type FromHandover,
  type FromMetrics,
  type FromModules,
  type ListenQuery,
  type ToMaster,
  type ToWorker,
} from '../protocol.ts'

type SocketReply = (errno: number, handle: unknown) => void

export class Channel {
  #waiting = new Map<number, SocketReply>()
  #seq = 0
  #sending = 0
  #whenQuiet: (() => void) | undefined
  readonly #send: NonNullable<typeof process.send>
  /** Called with everything the master says that is not the reply to a question. */
  onMessage: (message: Exclude<ToWorker, { type: 'socket' }>, handle: unknown) => unknown = () =>
    undefined

  constructor() {
    this.#send = process.send!.bind(process)
    process.on('internalMessage' as never, (raw: unknown, handle: unknown) => {
      const message = open<ToWorker>(raw)
      if (!message) return
      if (message.type === 'socket') this.#deliver(message.seq, message.errno, handle)
      else this.onMessage(message, handle)
    })
    process.channel?.unref()
  }

  /** `handle`: a raw handle of node, which stays open here. */
  tell(message: ToMaster | FromHandover | FromModules | FromMetrics, handle?: unknown): void {
    if (!process.connected) return
    this.#sending++
    this.#send(seal(message), handle as never, undefined, () => {
      // an error here is EPIPE or ERR_IPC_CHANNEL_CLOSED: the master is gone, 'disconnect' tells so as well
      this.#sending--
      this.#tellIfQuiet()
    })
  }

  /** Asks the master for the listening socket; `reply` gets 0 and a raw handle, or an errno. */
  askForSocket(query: ListenQuery, reply: SocketReply): void {
    const seq = ++this.#seq
    this.#waiting.set(seq, reply)
    this.keepAlive()
    this.tell({ type: 'listen', seq, query })
  }

  keepAlive(): void {
    process.channel?.ref()
  }

  /** Calls back when everything told has left this process, and everything asked is answered: only then may it disconnect. */
  whenQuiet(done: () => void): void {
    this.#whenQuiet = done
    this.#tellIfQuiet()
  }

  #tellIfQuiet(): void {
    if (this.#sending === 0 && this.#waiting.size === 0) this.#whenQuiet?.()
  }

  #deliver(seq: number, errno: number, handle: unknown): void {
    const reply = this.#waiting.get(seq)
    this.#waiting.delete(seq)
    reply?.(errno, handle)
    this.#tellIfQuiet()
  }
}
