// The embedded store as BullMQ's Postgres backend sees it: what looks like a pg.Pool, over the store's unix socket. Runs in every
// process that uses the store.
import { EventEmitter } from 'node:events'
import { Connection, connectionLost, openConnection, type Result } from './connection.ts'

/** As a client that was checked out of a pg.Pool: a connection of its own, because LISTEN belongs to one. */
export class StoreClient extends EventEmitter {
  readonly #connection: Connection

  constructor(connection: Connection) {
    super()
    this.#connection = connection
    connection.on('notification', (message) => this.emit('notification', message))
    connection.on('lost', (error) => {
      if (this.listenerCount('error') > 0) this.emit('error', error)
      this.emit('end')
    })
  }

  query(text: string, params?: readonly unknown[]): Promise<Result> {
    return this.#connection.query(text, params)
  }

  /** Closed in any case: another would not know what was listened for. */
  release(): void {
    this.#connection.close()
  }
}

/** A lost connection is opened again for the next query, which waits for a store that restarts. */
export class StorePool extends EventEmitter {
  /** As of a pg.Pool that looks after dead connections: a unix socket always tells. */
  readonly options = { keepAlive: true, max: 10 }
  readonly #path: string
  #connection: Promise<Connection> | undefined
  #state: 'open' | 'ended' = 'open'

  constructor(path: string) {
    super()
    this.#path = path
  }

  async query(text: string, params?: readonly unknown[]): Promise<Result> {
    const connection = await this.#open()
    return await connection.query(text, params)
  }

  async connect(): Promise<StoreClient> {
    if (this.#state === 'ended') throw connectionLost('the pool was ended')
    return new StoreClient(await openConnection(this.#path))
  }

  async end(): Promise<void> {
    this.#state = 'ended'
    const connection = await this.#connection?.catch(() => undefined)
    connection?.close()
  }

  /** One for all who ask at the same time. */
  #open(): Promise<Connection> {
    if (this.#state === 'ended') return Promise.reject(connectionLost('the pool was ended'))
    this.#connection ??= this.#reopen()
    return this.#connection
  }

  async #reopen(): Promise<Connection> {
    try {
      const connection = await openConnection(this.#path)
      connection.once('lost', () => (this.#connection = undefined))
      return connection
    } catch (error) {
      this.#connection = undefined
      throw error
    }
  }
}
