// The files of the unix sockets that the master itself answers at: made with their rights, and known again. Runs in the master.

import type { Server } from 'node:net'
import { fs } from '../builtin.ts'

/** The file has its rights, all but those of `umask`, from its first moment on. */
export function listenWithRights(server: Server, path: string, umask: number): void {
  const before = process.umask(umask)
  try {
    server.listen(path)
  } finally {
    process.umask(before)
  }
}

/** By which a file is known to be the one that was made; of a link, its own. Undefined: there is none. */
export const inodeOf = (path: string): number | undefined =>
  fs.lstatSync(path, { throwIfNoEntry: false })?.ino
