// How the admin address begins to accept. A file of a unix socket is made under another name and renamed, so that a new master
// replaces it without a gap. Runs in the master.

import type { Server } from 'node:http'
import net from 'node:net'
import type { AdminAddress } from '../admin-address.ts'
import { fs } from '../builtin.ts'
import { LONGEST_PATH } from '../control-place.ts'
import { listenWithRights } from './socket-file.ts'
import type { Sockets } from './sockets.ts'

/** Owner and group may connect. */
const SOCKET_UMASK = 0o117
const BACKLOG = 511

/** Begins to accept, at TCP on the socket that openSockets() bound. Rejects with the system's error. */
export async function listenAt(
  server: Server,
  address: AdminAddress,
  sockets: Sockets,
): Promise<void> {
  const failed = new Promise<never>((_, reject) => server.once('error', reject))
  const listens = new Promise<void>((resolve) => server.once('listening', () => resolve()))
  if (address.type === 'tcp') {
    const handle = sockets.takeOwn(address.host, address.port)
    if (handle) server.listen(handle, BACKLOG)
    else server.listen(address.port, address.host)
  } else listenAtFile(server, address.path)
  await Promise.race([listens, failed])
  server.removeAllListeners('error').on('error', () => undefined) // EMFILE: no descriptor for one more client
}

function listenAtFile(server: Server, path: string): void {
  const draft = `${path}.${process.pid}`
  if (Buffer.byteLength(draft) > LONGEST_PATH)
    throw new Error(`with the process id behind it, it is longer than ${LONGEST_PATH} bytes`)
  listenWithRights(server, draft, SOCKET_UMASK)
  if (server.listening) fs.renameSync(draft, path) // what libuv removes in the end is the draft, which is not there
}

/** Somebody accepts connections there. */
export const isServed = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect(path)
    const answer = (does: boolean): void => {
      socket.destroy()
      resolve(does)
    }
    socket.once('connect', () => answer(true))
    socket.once('error', () => answer(false)) // ENOENT, ECONNREFUSED: nobody, or one that was killed
  })
