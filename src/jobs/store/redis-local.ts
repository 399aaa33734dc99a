// The process of `store: 'redis-local'`: starts the Redis or the Valkey on PATH in the data directory, reachable by a unix socket
// alone, and ends with it. Forked by whoever starts the jobs; its settings are in NODICORN_JOBS.
import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants, mkdirSync } from 'node:fs'
import { basename, delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { environment as variables } from '../../config.ts'
import { UserError } from '../../errors.ts'
import { sendSignal } from '../../send-signal.ts'
import { guarded } from '../../setpriv.ts'
import type { JobsEnvironment } from '../environment.ts'
import type { MasterChannel } from '../master-channel.ts'
import { loadRedis } from '../packages.ts'
import { claim } from './claim.ts'
import { frameOf } from './frames.ts'
import { type OpenStore, runStore } from './process.ts'
import { versionOf } from './redis.ts'

const PROGRAMS = ['redis-server', 'valkey-server']
const RETRY_MS = 50
const TAIL = 4_096

/** Every job that was accepted is on the disk: what its throughput costs is less than what Redis saves. */
const flagsFor = (dir: string, socket: string): string[] => [
  ...['--port', '0', '--unixsocket', socket, '--unixsocketperm', '700', '--dir', dir],
  ...['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''],
  ...['--maxmemory-policy', 'noeviction', '--daemonize', 'no', '--loglevel', 'warning'],
]

/** @throws UserError JOB_STORE if there is none. */
function findProgram(): string {
  const places = (variables()['PATH'] ?? '').split(delimiter).filter(Boolean)
  const found = PROGRAMS.flatMap((name) => places.map((place) => join(place, name))).find(isProgram)
  if (found !== undefined) return found
  throw new UserError(
    'JOB_STORE',
    `jobs.store is redis-local, and there is neither a ${PROGRAMS.join(' nor a ')} on PATH: install one, such as by apt install redis-server, or leave jobs.store out for the embedded store`,
  )
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    // ENOENT, EACCES, ENOTDIR: it is elsewhere on PATH, or nowhere
    return false
  }
}

class LocalRedis implements OpenStore {
  readonly #child: ChildProcess
  readonly #client: Redis
  readonly #exited: Promise<string>
  #said = ''

  constructor(words: readonly string[], client: Redis) {
    const [program, ...args] = guarded(words)
    this.#client = client
    this.#child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    process.once('exit', () => this.#child.kill()) // also of one that is not ready yet
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.#said = `${this.#said}${chunk}`.slice(-TAIL)))
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message)) // EAGAIN: it could not be started
      this.#child.once('close', (code, signal) => resolve(this.#lastLine(signal ?? code)))
    })
  }

  /** Resolves to its version once it has read its file. Rejects with its last words if it ends before. */
  async ready(): Promise<string> {
    const ended = this.#exited.then((why) => Promise.reject(new Error(why)))
    return versionOf(await Promise.race([this.#client.info('server'), ended]))
  }

  onExit(hear: (why: string) => void): void {
    void this.#exited.then(hear)
  }

  /** Without ourselves. */
  async clients(): Promise<number> {
    const info = await this.#client.info('clients')
    return Number(/connected_clients:(\d+)/.exec(info)?.[1] ?? 1) - 1
  }

  async close(): Promise<void> {
    this.#client.disconnect()
    sendSignal(this.#child.pid ?? 0, 'SIGTERM')
    await this.#exited
  }

  #lastLine(how: string | number | null): string {
    const line = this.#said.trim().split('\n').at(-1)
    return `the Redis of the job store ended (${how})${line ? `: ${line}` : ''}`
  }
}

/** One that has outlived the process that had started it would write to the same file. */
async function endLeftover(RedisClass: typeof Redis, path: string): Promise<void> {
  for (;;) {
    const client = new RedisClass({ path, lazyConnect: true, retryStrategy: () => null })
    client.on('error', () => undefined) // ENOENT, ECONNREFUSED: there is none, as connect() tells
    try {
      await client.connect()
    } catch {
      return
    }
    // its answer is that the connection ends
    await client.shutdown().catch(() => undefined)
    client.disconnect()
    await sleep(RETRY_MS)
  }
}

async function open(
  { store, dataDir, socket, redisSocket }: JobsEnvironment,
  channel: MasterChannel,
): Promise<OpenStore> {
  const began = performance.now()
  const program = findProgram()
  const RedisClass = await loadRedis(store)
  await claim(socket, dataDir, (client) => {
    client.on('error', () => undefined) // ECONNRESET: it did not wait
    client.write(frameOf({ hello: process.pid }))
  })
  await endLeftover(RedisClass, redisSocket)
  const directory = join(dataDir, 'redis')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const client = new RedisClass({
    path: redisSocket,
    maxRetriesPerRequest: null,
    retryStrategy: () => RETRY_MS,
  })
  client.on('error', () => undefined) // ENOENT, ECONNREFUSED: it has only begun, or has ended, as its exit tells
  const redis = new LocalRedis([program, ...flagsFor(directory, redisSocket)], client)
  const version = `${basename(program)} ${await redis.ready()}`
  redis.onExit((why) => channel.fatal(why))
  const seconds = (performance.now() - began) / 1000
  channel.event('jobStoreLocal', { dataDir, program: version, seconds })
  return redis
}

await runStore(open)
