// One connection to the embedded store, and its end. Runs in every process that uses the store.
import { EventEmitter } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Deferred, deferred } from '../../deferred.ts'
import { FrameReader, frameOf, type Reply } from './frames.ts'

/** For so long a store that restarts is waited for, ms. */
const PATIENCE_MS = 15_000
const RETRY_MS = 100

export interface Result {
  readonly rows: unknown[]
  readonly rowCount: number | null
}

/** BullMQ knows by this code that trying again may help. */
export const connectionLost = (why: string): Error =>
  Object.assign(new Error(`the job store does not answer: ${why}`), { code: 'ECONNREFUSED' })

/** Waits while the store is not there, as while it restarts. Rejects with ECONNREFUSED after `patience` ms. */
export async function openConnection(path: string, patience = PATIENCE_MS): Promise<Connection> {
  const end = performance.now() + patience
  for (;;) {
    try {
      return await Connection.open(path)
    } catch (error) {
      // ENOENT, ECONNREFUSED: it restarts, or there is none
      const { code, message } = error as NodeJS.ErrnoException
      if (code === undefined) throw error
      if (performance.now() > end) throw connectionLost(message)
      await sleep(RETRY_MS)
    }
  }
}

/** Events: `notification` {channel, payload}; `lost` once, when the other side has closed it. */
export class Connection extends EventEmitter<{
  notification: [{ channel: string; payload: string }]
  lost: [Error]
}> {
  /** The store's process id, once it has said so. */
  pid: number | undefined
  readonly #socket: Socket
  readonly #pending = new Map<number, Deferred<Result>>()
  readonly #hello = deferred<number>()
  #state: 'open' | 'closed' = 'open'
  #ids = 0

  static async open(path: string): Promise<Connection> {
    const socket = connect(path)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject)
    })
    return new Connection(socket)
  }

  constructor(socket: Socket) {
    super()
    this.#socket = socket
    const frames = new FrameReader<Reply>()
    socket.on('data', (chunk: Buffer) => frames.push(chunk).forEach((reply) => this.#hear(reply)))
    socket.on('error', (error) => this.#lose(error))
    socket.on('close', () => this.#lose(new Error('it has closed the connection')))
    this.#hello.promise.catch(() => {
      // whoever asks for it hears of it, and most don't
    })
    // nobody's program must go on for a connection that is at rest
    socket.unref()
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** The store's process id. Rejects if the connection is lost before. */
  get hello(): Promise<number> {
    return this.#hello.promise
  }

  query(text: string, params?: readonly unknown[]): Promise<Result> {
    if (this.#state === 'closed') return Promise.reject(connectionLost('the connection is closed'))
    const id = ++this.#ids
    const answer = deferred<Result>()
    this.#pending.set(id, answer)
    this.#socket.ref()
    this.#socket.write(frameOf({ id, text, params }))
    return answer.promise
  }

  /** Keeps the process alive until it is closed. */
  hold(): void {
    this.#socket.ref()
  }

  close(): void {
    this.#state = 'closed'
    this.#rejectAll(connectionLost('the connection was closed'))
    this.#socket.destroy()
  }

  #hear(reply: Reply): void {
    if ('hello' in reply) return this.#hello.resolve(reply.hello)
    if ('channel' in reply) return void this.emit('notification', reply)
    const answer = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    if (this.#pending.size === 0) this.#socket.unref()
    if ('error' in reply) answer?.reject(Object.assign(new Error(), reply.error))
    else answer?.resolve(reply)
  }

  #lose(why: Error): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    const error = connectionLost(why.message)
    this.#rejectAll(error)
    this.#socket.destroy()
    this.emit('lost', error)
  }

  #rejectAll(error: Error): void {
    this.#hello.reject(error)
    for (const answer of this.#pending.values()) answer.reject(error)
    this.#pending.clear()
  }
}
