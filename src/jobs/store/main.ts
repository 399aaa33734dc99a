// The embedded store's process: owns the data directory and answers the queries of everybody who uses it. Forked by whoever starts
// the jobs; its settings are in NODICORN_JOBS.
import type { Server, Socket } from 'node:net'
import { totalmem } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PGlite } from '@electric-sql/pglite'
import { jobsSeed } from '../../paths.ts'
import type { JobsEnvironment } from '../environment.ts'
import type { MasterChannel } from '../master-channel.ts'
import { claim } from './claim.ts'
import { openDatabase } from './database.ts'
import { FrameReader, frameOf, type Query, type Reply } from './frames.ts'
import { type OpenStore, runStore } from './process.ts'

const CARE_MS = 60_000
const SMALL_MACHINE = 512 * 1024 ** 2

class Store implements OpenStore {
  readonly #db: PGlite
  readonly #sockets = new Map<Socket, Set<string>>()
  readonly #listened = new Set<string>()
  #running = 0
  #sinceCare = 0

  constructor(db: PGlite, server: Server, early: Socket[]) {
    this.#db = db
    db.onNotification((channel, payload) => this.#notify(channel, payload))
    server.on('connection', (socket) => this.#welcome(socket))
    early.forEach((socket) => this.#welcome(socket))
    setInterval(() => void this.#takeCare(), CARE_MS).unref()
  }

  clients(): number {
    return this.#sockets.size
  }

  #welcome(socket: Socket): void {
    this.#sockets.set(socket, new Set())
    const frames = new FrameReader<Query>()
    socket.on('data', (chunk: Buffer) => {
      for (const query of frames.push(chunk)) void this.#answer(socket, query)
    })
    // ECONNRESET, EPIPE: the client was killed; 'close' follows
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.resume()
  }

  async #answer(socket: Socket, { id, text, params }: Query): Promise<void> {
    this.#running++
    this.#sinceCare++
    try {
      const { rows, rowCount } = await this.#run(socket, text, params)
      this.#tell(socket, { id, rows, rowCount: rowCount ?? null })
    } catch (error) {
      this.#tell(socket, { id, error: plain(error as Error) })
    } finally {
      this.#running--
    }
  }

  async #run(
    socket: Socket,
    text: string,
    params?: readonly unknown[],
  ): Promise<{ rows: unknown[]; rowCount?: number | undefined }> {
    const channel = /^(?:\s|--[^\n]*\n)*LISTEN\s+"?(\w+)"?/i.exec(text)?.[1]
    if (channel === undefined) return await this.#db.query(text, params ? [...params] : undefined)
    this.#sockets.get(socket)?.add(channel)
    // one database, one listener for all clients
    if (!this.#listened.has(channel)) await this.#db.query(text)
    this.#listened.add(channel)
    return { rows: [] }
  }

  #notify(channel: string, payload: string): void {
    for (const [socket, channels] of this.#sockets)
      if (channels.has(channel)) this.#tell(socket, { channel, payload })
  }

  #tell(socket: Socket, reply: Reply): void {
    if (socket.writable) socket.write(frameOf(reply))
  }

  /** There is no autovacuum and no checkpointer in PGlite; both would wait for the queries, and the queries for them. */
  async #takeCare(): Promise<void> {
    if (this.#running > 0 || this.#sinceCare === 0 || this.#db.closed) return
    this.#sinceCare = 0
    await this.#db.query('VACUUM')
    await this.#db.query('CHECKPOINT')
  }

  /** Queries that were asked are answered first. */
  async close(): Promise<void> {
    for (const socket of this.#sockets.keys()) socket.pause()
    while (this.#running > 0) await sleep(5)
    await this.#db.close()
    for (const socket of this.#sockets.keys()) socket.destroySoon()
  }
}

const plain = (error: Error): { message: string } => ({
  ...(JSON.parse(JSON.stringify(error)) as object),
  message: error.message,
})

async function open(
  { dataDir, socket }: JobsEnvironment,
  channel: MasterChannel,
): Promise<OpenStore> {
  const began = performance.now()
  const early: Socket[] = []
  let greeted: 'by us' | 'by the store' = 'by us'
  const greet = (client: Socket): void => {
    client.write(frameOf({ hello: process.pid }))
    if (greeted === 'by us') early.push(client.on('error', () => undefined)) // ECONNRESET: it did not wait
  }
  const server = await claim(socket, dataDir, greet)
  const { db, isNew, movedTo } = await openDatabase(dataDir, jobsSeed)
  const store = new Store(db, server, early)
  greeted = 'by the store'
  if (movedTo) channel.event('jobStoreUnreadable', { dataDir, movedTo })
  const seconds = (performance.now() - began) / 1000
  channel.event('jobStoreOpen', { dataDir, isNew, seconds })
  if (totalmem() < SMALL_MACHINE) channel.event('jobStoreSmall', { bytes: totalmem() })
  return store
}

await runStore(open)
