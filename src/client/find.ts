// Which running server a command is for: by socket, by pid, or the one that was started in this directory. Runs in the CLI.

import { realpathSync } from 'node:fs'
import { runtimeDirectory, socketsIn } from '../control-place.ts'
import { UserError } from '../errors.ts'
import { Connection } from './connection.ts'

export interface Wanted {
  readonly socket?: string
  readonly pid?: number
  /** As the shell calls it. */
  readonly directory: string
  /** XDG_RUNTIME_DIR. */
  readonly runtimeDir: string | undefined
}

/** Throws NO_SERVER if there is none, or if it could be several. */
export async function findServer(wanted: Wanted): Promise<Connection> {
  return (
    (await findNamed(wanted)) ??
    only(
      await openAll(socketsIn(runtimeDirectory(wanted.runtimeDir))),
      `no server runs here; start one with "supervisor start", or give --pid or --socket`,
    )
  )
}

/** As findServer, but no other than one that was named or started in the directory: undefined if there is none. */
export async function findNamed({
  socket,
  pid,
  directory,
  runtimeDir,
}: Wanted): Promise<Connection | undefined> {
  if (socket !== undefined) return Connection.open(socket)
  const place = runtimeDirectory(runtimeDir)
  if (pid !== undefined) {
    const all = await openAll(socketsIn(place))
    const found = choose(all, ({ hello }) => hello.pid === pid)
    return only(
      found,
      `no server with pid ${pid} is to be found; is it yours, and has it a control socket? Give --socket`,
    )
  }
  const here = await openAll(socketsIn(place, [directory, realpathSync(directory)]))
  return here.length > 0 ? only(here, '') : undefined
}

/** Those that answer; the others are leftovers of servers that were killed. */
async function openAll(paths: readonly string[]): Promise<Connection[]> {
  const opened = await Promise.allSettled([...new Set(paths)].map((path) => Connection.open(path)))
  return opened.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
}

function choose(all: readonly Connection[], wanted: (one: Connection) => boolean): Connection[] {
  for (const one of all) if (!wanted(one)) one.close()
  return all.filter(wanted)
}

function only(found: readonly Connection[], ifNone: string): Connection {
  const [first, ...others] = found
  if (first === undefined) throw new UserError('NO_SERVER', ifNone)
  if (others.length === 0) return first
  const list = found.map(({ hello }) => `${hello.name} (--pid ${hello.pid})`).join(', ')
  for (const one of found) one.close()
  throw new UserError('NO_SERVER', `several servers run: ${list}; say which`)
}
