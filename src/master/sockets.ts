// The listening sockets: the master binds each address once and keeps it for good; workers listen on duplicates.
// So the accept queue outlives any worker, even all of them. Runs in the master.

import net from 'node:net'
import { fs, util } from '../builtin.ts'
import { isAddressOf, type ActivatedSocket, type Announced } from '../activation.ts'
import { UserError } from '../errors.ts'
import type { ListenQuery } from '../protocol.ts'
import { bindWithRights, PLAIN_RIGHTS, type SocketRights } from './socket-rights.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** A bound handle of node, neither listening nor accepting in the master. */
export interface Handle {
  readonly fd: number
  close(): void
  getsockname?(out: { address?: string; port?: number }): number
}
type CreateServerHandle = (
  address: string | null,
  port: number | null,
  addressType: number | null,
  fd: number | undefined,
  flags: number,
) => Handle | number

interface Socket {
  readonly query: ListenQuery
  readonly handle: Handle
  /** Ids of the workers that listen on it. */
  readonly users: Set<number>
  /** From an old master: libuv did not bind it here, and would not unlink its path. */
  readonly isInherited: boolean
  /** By systemd, whose it is. */
  readonly activated?: ActivatedSocket
}

type Reply = (errno: number, handle?: Handle) => void

const createServerHandle = (net as unknown as { _createServerHandle?: CreateServerHandle })
  ._createServerHandle
const EADDRINUSE = -98
const ECANCELED = -125
const EBADF = -9
/** In place of the index of an application's server: the master answers there itself. It goes to a new master like the others. */
const MASTERS_OWN = -1

/** Whether this Node lets the master own sockets: binds a free port and reads it back. */
export function canOwnSockets(): boolean {
  if (typeof createServerHandle !== 'function') return false
  const handle = createServerHandle('127.0.0.1', 0, 4, undefined, 0)
  if (typeof handle === 'number') return true // this machine has no IPv4 loopback; the function is there
  const name: { port?: number } = {}
  const works = handle.getsockname?.(name) === 0 && (name.port ?? 0) > 0
  handle.close()
  return works
}

export class Sockets {
  /** Of the unix sockets that are made from now on. */
  rights: SocketRights = PLAIN_RIGHTS
  readonly #sockets = new Map<string, Socket>()
  /** Who waits until it is known whether a socket file is a leftover: a second look would find, and remove, the new one. */
  readonly #probing = new Map<string, (() => void)[]>()
  /** 'heir': as long as an old master is in charge, files of sockets are its own. */
  #state: 'owner' | 'heir' | 'succeeded' | 'closed' = 'owner'
  /** Descriptors by number were open in the first master alone: what was not handed down under its number is not there. */
  #hasOwnDescriptors = true

  /** Those that systemd has opened: they are used by whoever asks for their addresses or numbers, and never closed. */
  adopt(activated: readonly ActivatedSocket[]): void {
    for (const one of activated) {
      const query = queryOf(one.fd)
      const { handle } = one
      const socket = { query, handle, users: new Set<number>(), isInherited: true, activated: one }
      this.#sockets.set(keyOf(query), socket)
    }
  }

  /** For a new master. */
  get activated(): Announced[] {
    return this.#activated.map(({ activated }) => ({ fd: activated.fd, name: activated.name }))
  }

  /** Sockets of systemd's that nobody listens on: who connects there waits in vain. */
  get unused(): ActivatedSocket[] {
    return this.#activated.flatMap(({ users, activated }) => (users.size === 0 ? activated : []))
  }

  get #activated(): (Socket & { activated: ActivatedSocket })[] {
    return [...this.#sockets.values()].filter((one) => one.activated !== undefined) as never
  }

  /** Those an old master had, open at descriptors from `first` on. Throws CANNOT_LISTEN if one of them can't be used. */
  inherit(queries: readonly ListenQuery[], first: number): void {
    this.#state = 'heir'
    this.#hasOwnDescriptors = false
    for (const [index, query] of queries.entries()) {
      if (this.#sockets.has(keyOf(query))) continue // systemd's
      const handle = createServerHandle!(null, null, null, first + index, 0)
      if (typeof handle === 'number') throw bindError(query, handle)
      this.#sockets.set(keyOf(query), { query, handle, users: new Set(), isInherited: true })
    }
  }

  /** The old master left them to us. */
  own(): void {
    if (this.#state === 'heir') this.#state = 'owner'
  }

  /** For a new master, which inherits the descriptors. */
  get bound(): readonly { query: ListenQuery; fd: number }[] {
    return [...this.#sockets.values()].map(({ query, handle }) => ({ query, fd: handle.fd }))
  }

  /** They are a new master's now: nobody here gets one any more, and the file of a unix socket stays. */
  leaveToHeir(): void {
    this.#state = 'succeeded'
    for (const socket of this.#sockets.values()) this.#close(socket)
  }

  /** Of the TCP sockets. */
  get descriptors(): number[] {
    const tcp = [...this.#sockets.values()].filter(({ query }) => !isUnix(query) && !isOwn(query))
    return tcp.flatMap(({ handle: { fd } }) => (fd < 0 ? [] : fd))
  }

  /**
   * A TCP socket for the master itself, bound now or by an old master; open until leaveToHeir() or closeOwn(). Those that were
   * asked for before, with another address, are closed. Undefined where Node does not let the master own sockets. Throws
   * ADDRESS_IN_USE or CANNOT_LISTEN.
   */
  takeOwn(address: string, port: number): Handle | undefined {
    if (typeof createServerHandle !== 'function') return undefined
    const addressType = address.includes(':') ? 6 : 4
    const query = { address, port, addressType, fd: null, flags: 0, index: MASTERS_OWN }
    const known = this.#sockets.get(keyOf(query))
    this.closeOwn(known)
    if (known) return known.handle
    const handle = bind(query)
    if (typeof handle === 'number') throw bindError(query, handle)
    this.#sockets.set(keyOf(query), { query, handle, users: new Set(), isInherited: false })
    return handle
  }

  /** All that takeOwn() gave, but `kept`. */
  closeOwn(kept?: Socket): void {
    for (const socket of this.#sockets.values())
      if (isOwn(socket.query) && socket !== kept) this.#close(socket)
  }

  /** The worker asked for a socket, and gets it or an errno. */
  give(worker: WorkerHandle, seq: number, query: ListenQuery): void {
    this.take(query, worker.id, (errno, handle) => {
      if (!handle) worker.bindError = bindError(query, errno)
      worker.tell({ type: 'socket', seq, errno }, handle)
    })
  }

  /** Replies with the socket for `query`, binding it the first time, or with the errno of the refusal. */
  take(query: ListenQuery, worker: number, reply: Reply): void {
    if (this.#isOver) return reply(ECANCELED)
    const key = keyOf(query)
    const known = this.#find(query)
    if (known) return this.#hand(known, worker, reply)
    const bind = (): void => this.#bind(query, worker, reply)
    const others = this.#probing.get(key)
    if (others) return void others.push(bind)
    this.#probing.set(key, [bind])
    unlinkStale(query, () => {
      const all = this.#probing.get(key)!
      this.#probing.delete(key)
      for (const one of all) one()
    })
  }

  #find(query: ListenQuery): Socket | undefined {
    const known = this.#sockets.get(keyOf(query))
    if (known || query.index !== 0 || query.fd !== null) return known
    return this.#activated.find(({ activated }) => isAddressOf(activated, query))
  }

  #bind(query: ListenQuery, worker: number, reply: Reply): void {
    if (this.#isOver) return reply(ECANCELED)
    const key = keyOf(query)
    const bound = this.#sockets.get(key)
    if (bound) return this.#hand(bound, worker, reply)
    if (query.fd !== null && !this.#hasOwnDescriptors) return reply(EBADF)
    const handle = isFile(query)
      ? bindWithRights(query.address!, this.rights, () => bind(query))
      : bind(query)
    if (typeof handle === 'number') return reply(handle)
    const socket: Socket = { query, handle, users: new Set(), isInherited: false }
    this.#sockets.set(key, socket)
    this.#hand(socket, worker, reply)
  }

  #hand(socket: Socket, worker: number, reply: Reply): void {
    socket.users.add(worker)
    reply(0, socket.handle)
  }

  /** The application closed a server by itself: the last worker to do so closes the address. */
  release(query: ListenQuery, worker: number): void {
    const socket = this.#find(query)
    if (socket?.users.delete(worker) && socket.users.size === 0 && !socket.activated)
      this.#close(socket)
  }

  /** A worker ended; its sockets stay for its successor. */
  forget(worker: number): void {
    for (const socket of this.#sockets.values()) socket.users.delete(worker)
  }

  /** After a reload: addresses no worker listens on any more. */
  closeUnused(): void {
    for (const socket of this.#sockets.values())
      if (socket.users.size === 0 && !isKept(socket)) this.#close(socket)
  }

  /** After closeAll(): another master begins. */
  reopen(): void {
    if (this.#state === 'closed') this.#state = 'owner'
  }

  /** For good: no worker gets a socket any more. */
  closeAll(): void {
    if (this.#state === 'succeeded') return
    for (const socket of this.#sockets.values()) if (!isKept(socket)) this.#close(socket)
    this.#state = 'closed'
  }

  get #isOver(): boolean {
    return this.#state === 'succeeded' || this.#state === 'closed'
  }

  /** libuv unlinks the path of a unix socket when the handle that bound it closes; the order is libuv's too. */
  #close({ query, handle, isInherited }: Socket): void {
    this.#sockets.delete(keyOf(query))
    // its handle stays open until the process is gone, as libuv would remove the new master's file with it
    if (this.#state === 'succeeded' && !isInherited && isFile(query)) return
    if (isInherited && isFile(query) && this.#state === 'owner')
      fs.rmSync(query.address!, { force: true })
    handle.close()
  }
}

function bind(q: ListenQuery): Handle | number {
  const handle = createServerHandle!(q.address, q.port, q.addressType, q.fd ?? undefined, q.flags)
  if (typeof handle === 'number' || !q.port || q.port < 0 || q.fd !== null) return handle
  // libuv keeps EADDRINUSE for listen(), which would happen in a worker: an unbound socket shows it now
  const name: { port?: number } = {}
  const errno = handle.getsockname?.(name) ?? 0
  if (errno === 0 && name.port === q.port) return handle
  handle.close()
  return errno || EADDRINUSE
}

const isOwn = ({ index }: ListenQuery): boolean => index === MASTERS_OWN

const isKept = ({ query, activated }: Socket): boolean => isOwn(query) || activated !== undefined

/** What a worker asks with that wants the descriptor. */
const queryOf = (fd: number): ListenQuery => ({
  ...{ address: null, port: null, addressType: null, fd, flags: 0, index: 0 },
})

/** The listening socket that is open as `at`, and known as `fd`. Throws CANNOT_LISTEN if it is none. */
export function openHandle(fd: number, at: number): Handle {
  const handle = createServerHandle?.(null, null, null, at, 0) ?? -22
  if (typeof handle === 'number') throw bindError(queryOf(fd), handle)
  return handle
}

/** Not an abstract one, whose name begins with a zero byte. */
const isFile = (q: ListenQuery): boolean => isUnix(q) && !q.address!.startsWith('\0')

const isUnix = (q: ListenQuery): boolean => q.addressType === -1 && typeof q.address === 'string'

/** A socket file nobody answers on is a leftover of a killed server; one that answers is left alone and bind() will fail. */
function unlinkStale(query: ListenQuery, then: () => void): void {
  if (!isUnix(query) || !isSocketFile(query.address!)) return then()
  const probe = net.connect(query.address!)
  probe.once('connect', () => {
    probe.destroy()
    then()
  })
  probe.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') fs.rmSync(query.address!, { force: true })
    then()
  })
}

const isSocketFile = (path: string): boolean =>
  fs.statSync(path, { throwIfNoEntry: false })?.isSocket() === true

const keyOf = (q: ListenQuery): string =>
  `${q.address ?? ''}:${q.port ?? ''}:${q.addressType}:${q.fd ?? ''}:${q.index}`

/** What to tell the user when `query` could not be bound. */
export function bindError(query: ListenQuery, errno: number): UserError {
  const name = util.getSystemErrorName(errno)
  const where =
    query.fd !== null
      ? `fd://${query.fd}`
      : isUnix(query)
        ? `unix:${query.address}`
        : `${query.address ?? '*'}:${query.port}`
  if (name === 'EADDRINUSE')
    return new UserError(
      'ADDRESS_IN_USE',
      `Connection in use: cannot listen on ${where}: another process has it (EADDRINUSE); stop that process, or pass another ${isOwn(query) ? '--admin' : '--bind'}`,
    )
  const hint =
    name === 'EACCES'
      ? '; ports below 1024 need root: start as root with --user, or use a higher port'
      : name === 'EPERM' && isUnix(query)
        ? '; only root may give the socket to a group that it is not in itself (--socket-group)'
        : ''
  return new UserError('CANNOT_LISTEN', `cannot listen on ${where}: ${name}${hint}`)
}
