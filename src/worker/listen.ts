// The application's listen() adopts the master's socket. Runs in every worker. The only file that patches listen().
// node:net calls cluster._getServer(server, query, cb) for every non-exclusive listen(), with its arguments normalised.

import cluster from 'node:cluster'
import net from 'node:net'
import { util } from '../builtin.ts'
import type { Channel } from './channel.ts'
import type { ListenQuery } from '../protocol.ts'

/** A raw listening handle of node: TCP or Pipe. */
interface Handle {
  listen(backlog: number): number
  close(done?: () => void): void
}
type GetServer = (
  server: net.Server,
  query: ListenQuery,
  done: (errno: number, handle: unknown) => void,
) => void
interface ClusterInternals {
  _getServer?: GetServer
}

/** What node passes when the application named no backlog. */
const NODE_BACKLOGS = [511, 512]
/** Listeners of this worker by address: the same address asked for twice means two sockets. */
const taken = new Map<string, Set<number>>()
const queries = new WeakMap<net.Server, ListenQuery>()

/** Whether this Node has the function we replace. Without it the stock cluster goes on (one warning, see entry.ts). */
export const canOwnSockets = (): boolean =>
  typeof (cluster as ClusterInternals)._getServer === 'function'

let listened = false

/** True from the moment anything has called listen(), even while a host name is still being looked up. */
export const hasListened = (): boolean => listened

/** The wait for a socket keeps the process alive, whoever it is asked from. */
export function watchListen(channel: Channel): void {
  const listen = net.Server.prototype.listen
  net.Server.prototype.listen = function (this: net.Server, ...args: unknown[]) {
    listened = true
    channel.keepAlive()
    return Reflect.apply(listen, this, args) as net.Server
  } as typeof listen
}

/** Replaces cluster._getServer: TCP and unix sockets come from the master, UDP stays with the stock cluster. */
export function adoptSockets(channel: Channel, backlog: number, isLeaving: () => boolean): void {
  const internals = cluster as ClusterInternals
  const stock = internals._getServer!
  internals._getServer = function (server, raw, done) {
    if (typeof raw.addressType === 'string') return stock.call(this, server, raw, done)
    const query = number(raw)
    channel.askForSocket(query, (errno, handle) => {
      // an application that is on its way out need not know
      if (isLeaving()) return (handle as Handle | undefined)?.close()
      if (!handle) {
        taken.get(keyOf(query))?.delete(query.index)
        return done(errno, null)
      }
      queries.set(server, query)
      done(
        0,
        watched(handle as Handle, backlog, {
          close: () => !isLeaving() && channel.tell({ type: 'unlisten', query }),
          refused: (errno) => server.emit('error', refusal(errno)),
        }),
      )
    })
    server.once(
      'listening',
      () => ((cluster.worker as unknown as { state: string }).state = 'listening'),
    )
  }
}

/** What the server asked for; undefined if its socket is not ours. */
export const queryOf = (server: net.Server): ListenQuery | undefined => queries.get(server)

/** Fakes a successful listen() without any socket, for `supervisor check`. */
export function pretendToListen(onListen: (server: net.Server) => void): void {
  const internals = cluster as ClusterInternals
  internals._getServer = (server) => onListen(server)
}

/** While held: listen() has succeeded for the application, but the socket does not accept yet. */
const held = new Map<Handle, () => void>()
let isHolding = false

/** From now on a listen() takes effect only with releaseSockets(). The stock cluster knows no such thing. */
export const holdSockets = (): void => void (isHolding = true)

export function releaseSockets(): void {
  isHolding = false
  for (const listen of held.values()) listen()
  held.clear()
}

function number(raw: ListenQuery): ListenQuery {
  const key = keyOf(raw)
  const indexes = taken.get(key) ?? new Set<number>()
  taken.set(key, indexes)
  let index = 0
  while (indexes.has(index)) index++
  indexes.add(index)
  const { address, port, addressType, fd, flags } = raw
  return {
    address: address ?? null,
    port: port ?? null,
    addressType,
    fd: fd ?? null,
    flags: flags ?? 0,
    index,
  }
}

const keyOf = (q: ListenQuery): string =>
  `${q.address ?? ''}:${q.port ?? ''}:${q.addressType}:${q.fd ?? ''}`

/** Node's default backlog of 511 becomes ours; one the application chose stays. */
function watched(
  handle: Handle,
  backlog: number,
  on: { close: () => void; refused: (errno: number) => void },
): Handle {
  const { listen, close } = handle
  handle.listen = (n) => {
    const now = (): number => listen.call(handle, NODE_BACKLOGS.includes(n) ? backlog : n)
    if (!isHolding) return now()
    held.set(handle, () => {
      const errno = now()
      if (errno !== 0) on.refused(errno)
    })
    return 0
  }
  handle.close = (done) => {
    held.delete(handle)
    on.close()
    close.call(handle, done)
  }
  return handle
}

/** What node would have made of it, had it been refused at once. */
function refusal(errno: number): NodeJS.ErrnoException {
  const code = util.getSystemErrorName(errno)
  return Object.assign(new Error(`listen ${code}`), { code, errno, syscall: 'listen' })
}
