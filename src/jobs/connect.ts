// The store as BullMQ's classes are given it: embedded, Redis or Postgres, by the one setting. Runs in job processes and in
// applications that enqueue.
import type {
  BackendFactory,
  ConnectionOptions,
  Queue,
  QueueEvents,
  Relay,
  RelayBackendFactory,
  Worker,
} from 'bullmq'
import { isLocal } from '../jobs-setting.ts'
import { isAway } from './away.ts'
import type { JobsEnvironment } from './environment.ts'
import { kindOf, load, loadBullmq, loadRedis } from './packages.ts'
import { checkRedis, type RedisFault } from './store/redis.ts'
import { StorePool } from './store/pool.ts'
import type { Payload } from './views.ts'

/** All jobs are in one queue: what is to be done first does not depend on what it is. */
const QUEUE = 'jobs'
/** Of cancellations. */
export const CANCEL = 'jobs.cancel'

/** Two queues with the same jobs: with Redis, BullMQ's types want its own backend, and without they want another. */
interface Plumbing {
  readonly connection: ConnectionOptions
  /** For whoever waits in Redis for what comes; undefined: the same. */
  readonly waiting?: ConnectionOptions
  readonly backend?: BackendFactory | undefined
  readonly relay?: RelayBackendFactory<ConnectionOptions> | undefined
  readonly faults: readonly RedisFault[]
  readonly close: () => Promise<void>
}

export type Role = 'client' | 'worker'

/** What BullMQ's classes need, and the means to make them. */
export class Store {
  readonly #bullmq: typeof import('bullmq')
  readonly #plumbing: Plumbing

  constructor(bullmq: typeof import('bullmq'), plumbing: Plumbing) {
    this.#bullmq = bullmq
    this.#plumbing = plumbing
  }

  get bullmq(): typeof import('bullmq') {
    return this.#bullmq
  }

  /** What may lose jobs. */
  get faults(): readonly RedisFault[] {
    return this.#plumbing.faults
  }

  queue(): Queue<Payload> {
    const { connection, backend } = this.#plumbing
    return quiet(new this.#bullmq.Queue(QUEUE, { connection }, backend as undefined))
  }

  events(): QueueEvents {
    const { connection, waiting = connection, backend } = this.#plumbing
    const options = { connection: waiting }
    return quiet(new this.#bullmq.QueueEvents(QUEUE, options, backend as undefined))
  }

  worker(
    run: (job: import('bullmq').Job<Payload>, token?: string) => Promise<unknown>,
    options: Omit<import('bullmq').WorkerOptions, 'connection'>,
  ): Worker<Payload> {
    const { connection, backend } = this.#plumbing
    return quiet(
      new this.#bullmq.Worker<Payload>(
        QUEUE,
        run,
        { ...options, connection },
        backend as undefined,
      ),
    )
  }

  relay(): Relay {
    const { connection, relay } = this.#plumbing
    return quiet(new this.#bullmq.Relay({ connection, ...(relay && { backend: relay }) }))
  }

  close(): Promise<void> {
    return this.#plumbing.close()
  }
}

/** They try again by themselves; without a listener their 'error' would end the process. Whoever waits for an answer hears of it. */
function quiet<T extends { on(event: 'error', listener: (error: Error) => void): unknown }>(
  emitter: T,
): T {
  emitter.on('error', () => undefined)
  return emitter
}

/**
 * Connects.
 * @throws UserError NO_JOBS if a package is missing; what the store says if it refuses.
 */
export async function openStore(environment: JobsEnvironment, role: Role): Promise<Store> {
  const bullmq = await loadBullmq(environment.store)
  const open = { embedded: openEmbedded, redis: openRedis, postgres: openPostgres }
  return new Store(bullmq, await open[kindOf(environment.store)](environment, role, bullmq))
}

type Bullmq = typeof import('bullmq')

async function openEmbedded(
  { socket }: JobsEnvironment,
  _: Role,
  bullmq: Bullmq,
): Promise<Plumbing> {
  const pool = new StorePool(socket)
  return { ...onPostgres(pool, bullmq), close: () => pool.end() }
}

async function openPostgres(
  { store }: JobsEnvironment,
  _: Role,
  bullmq: Bullmq,
): Promise<Plumbing> {
  const { default: pg } = await load('pg', store, () => import('pg' as string) as Promise<Pg>)
  const pool = new pg.Pool({
    connectionString: store,
    options: '-c search_path=bullmq,public',
    keepAlive: true,
  })
  pool.on('error', () => undefined) // a connection at rest was lost: the next query opens another
  refuseWhileAway(pool)
  const client = await pool.connect()
  try {
    await bullmq.runMigrations(client)
  } finally {
    client.release()
  }
  return { ...onPostgres(pool, bullmq), close: () => pool.end() }
}

/**
 * BullMQ asks again where a connection is refused, and takes all else for the job's own error: one that had been done while
 * Postgres crashed would have failed. What was done although the answer is lost can't be done twice: its lock is gone.
 */
function refuseWhileAway(pool: import('bullmq').PgPool): void {
  const { query } = pool
  pool.query = (async (...args: Parameters<typeof query>) => {
    try {
      return await query.apply(pool, args)
    } catch (error) {
      throw isAway(error) ? Object.assign(error, { code: 'ECONNREFUSED' }) : error
    }
  }) as typeof query
}

/** As much of pg as is used: its types are a package of their own. */
interface Pg {
  readonly default: { Pool: new (options: object) => import('bullmq').PgPool }
}

/** BullMQ knows a pool by its methods. */
const onPostgres = (pool: unknown, bullmq: Bullmq): Omit<Plumbing, 'close'> => ({
  connection: pool as ConnectionOptions,
  backend: bullmq.createPostgresBackend as unknown as BackendFactory,
  relay: bullmq.createPostgresRelayBackend as unknown as RelayBackendFactory<ConnectionOptions>,
  faults: [],
})

async function openRedis({ store, redisSocket }: JobsEnvironment, role: Role): Promise<Plumbing> {
  const Redis = await loadRedis(store)
  // a worker waits for a Redis that restarts; a request can't
  const retries = role === 'worker' ? null : 10
  const options = { maxRetriesPerRequest: retries, lazyConnect: true }
  const redis = isLocal(store)
    ? new Redis({ path: redisSocket, ...options })
    : new Redis(store, options)
  redis.on('error', () => undefined) // it connects again; whoever waits for an answer hears of it
  const faults = role === 'worker' ? checkRedis(await redis.info()) : []
  // BullMQ refuses to wait by a connection that gives up
  const patient = redis.duplicate({ maxRetriesPerRequest: null })
  patient.on('error', () => undefined)
  return {
    connection: redis as unknown as ConnectionOptions,
    waiting: patient as unknown as ConnectionOptions,
    faults,
    close: async () => [redis, patient].forEach((one) => one.disconnect()),
  }
}
