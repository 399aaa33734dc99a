// Who has the data directory: its unix socket is the lock, which the kernel lets go of with the process. Runs in the store.
import { chmodSync, linkSync, mkdirSync, rmSync, statSync, unlinkSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { UserError } from '../../errors.ts'
import { Connection } from './connection.ts'

/** Time for another one that found the same old socket to have removed ours, ms. */
const SETTLED_MS = 100
const ANSWER_MS = 1_000

/** The process id of the store that listens there; 0 if it does not say, undefined if none does. */
export async function storeAt(path: string): Promise<number | undefined> {
  const connection = await Connection.open(path).catch((error: NodeJS.ErrnoException) => {
    // ENOENT, ECONNREFUSED: none, or one that was killed
    if (error.code === undefined) throw error
    return undefined
  })
  if (!connection) return undefined
  // a connection at rest keeps nobody alive, and here nothing else may
  connection.hold()
  try {
    return await Promise.race([
      connection.hello.catch(() => 0),
      sleep(ANSWER_MS, 0, { ref: false }),
    ])
  } finally {
    connection.close()
  }
}

/**
 * A server that listens at `path`, for this user alone; `greet` gets who comes from the first moment on.
 * @throws UserError JOB_STORE if another store does.
 */
export async function claim(
  path: string,
  dataDir: string,
  greet: (client: Socket) => void,
): Promise<Server> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const owner = await storeAt(path)
  if (owner !== undefined) throw taken(dataDir, owner)
  const server = createServer(greet)
  // listens before it can be found; the link is the claim
  const own = `${path}.${process.pid}`
  rmSync(own, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(own, resolve)
  })
  chmodSync(own, 0o600)
  const { ino } = statSync(own)
  rmSync(path, { force: true })
  try {
    linkSync(own, path)
  } catch (error) {
    // EEXIST: another one was quicker
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  unlinkSync(own)
  await sleep(SETTLED_MS)
  if (statSync(path, { throwIfNoEntry: false })?.ino === ino) return server
  server.close()
  throw taken(dataDir, (await storeAt(path)) ?? 0)
}

const taken = (dataDir: string, owner: number): UserError =>
  new UserError(
    'JOB_STORE',
    `the job store in ${dataDir} is in use by process ${owner || 'of another server'}; give this server a dataDir of its own, or let both use REDIS_URL`,
  )
