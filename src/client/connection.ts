// A conversation with a server over its control socket. Runs in the CLI.

import net from 'node:net'
import { UserError, type ErrorCode, errorCodes } from '../errors.ts'
import { CONTROL_VERSION, type ControlAnswer } from '../control-protocol.ts'

/** A master answers at once, whatever its workers do: so long, and it is stopped, or something else listens there, ms. */
const PATIENCE_MS = 5_000

export type Hello = Extract<ControlAnswer, { hello: unknown }>['hello']

interface Asked {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
  readonly item: (one: unknown) => void
}

export class Connection {
  readonly path: string
  /** Resolves when the server has hung up. */
  readonly closed: Promise<void>
  hello!: Hello
  readonly #socket: net.Socket
  readonly #asked = new Map<number, Asked>()
  #last = 0
  #rest = ''
  #greeted!: () => void

  private constructor(path: string, socket: net.Socket) {
    this.path = path
    this.#socket = socket
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()))
    void this.closed.then(() => this.#hangUp())
    socket.on('error', () => undefined) // ECONNRESET, EPIPE: 'close' follows, and whoever waits is told then
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#hear(text))
  }

  /** Throws NO_SERVER if nobody answers there, or in another language. */
  static async open(path: string): Promise<Connection> {
    const socket = await connect(path)
    const connection = new Connection(path, socket)
    const greeted = new Promise<void>((resolve) => (connection.#greeted = resolve))
    const late = setTimeout(() => socket.destroy(), PATIENCE_MS)
    await Promise.race([greeted, connection.closed])
    clearTimeout(late)
    if (!connection.hello) throw noServer(path, 'what listens there does not answer')
    const { protocol, version } = connection.hello
    if (protocol !== CONTROL_VERSION)
      throw noServer(path, `the server is of another version (${version}); use its own command`)
    return connection
  }

  /** Rejects with a UserError: what the server said, or that it hung up. `item`: hears what comes before the end. */
  ask<T>(
    command: string,
    args: object = {},
    item: (one: never) => void = () => undefined,
  ): Promise<T> {
    const id = ++this.#last
    return new Promise<T>((resolve, reject) => {
      this.#asked.set(id, {
        resolve: resolve as (result: unknown) => void,
        reject,
        item: item as (one: unknown) => void,
      })
      this.#socket.write(`${JSON.stringify({ id, command, args })}\n`)
    })
  }

  /** The server has hung up, or close() was called. */
  get isClosed(): boolean {
    return this.#socket.destroyed
  }

  close(): void {
    this.#socket.destroy()
  }

  #hear(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()!
    for (const line of lines) this.#take(JSON.parse(line) as ControlAnswer)
  }

  #take(answer: ControlAnswer): void {
    if ('hello' in answer) {
      this.hello = answer.hello
      return this.#greeted()
    }
    const asked = this.#asked.get(answer.id)
    if (!asked) return
    if ('item' in answer) return asked.item(answer.item)
    this.#asked.delete(answer.id)
    if (answer.ok) asked.resolve(answer.result)
    else asked.reject(errorOf(answer.error))
  }

  #hangUp(): void {
    for (const { reject } of this.#asked.values())
      reject(new UserError('NO_SERVER', 'the server ended before it answered'))
    this.#asked.clear()
  }
}

/** What the server's own errors are here; FAILED is a fault in it. */
const errorOf = ({ code, message }: { code: string; message: string }): Error =>
  Object.hasOwn(errorCodes, code) ? new UserError(code as ErrorCode, message) : new Error(message)

function connect(path: string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path)
    socket.once('connect', () => resolve(socket))
    socket.once('error', (error) => reject(noServer(path, error.message)))
  })
}

const noServer = (path: string, why: string): UserError =>
  new UserError('NO_SERVER', `no server answers at ${path}: ${why}`)
