// Opens the sockets that systemd has handed down, and finds out where they listen. Runs in the master, loaded where there are some.

import { fs } from '../builtin.ts'
import type { Activated, ActivatedSocket, Announced } from '../activation.ts'
import { openHandle, type Handle } from './sockets.ts'
import { textAt } from '../read-text.ts'

/** `at`: the descriptor it has in this process. Throws CANNOT_LISTEN if one of them is no stream socket. */
export function openActivated({ fd, name, at }: Announced & { at: number }): ActivatedSocket {
  const handle = openHandle(fd, at)
  return { fd, name, handle, address: addressOf(handle, at) }
}

function addressOf(handle: Handle, fd: number): Activated['address'] {
  const name: { address?: string; port?: number } = {}
  if (handle.getsockname?.(name) === 0 && name.address !== undefined)
    return { type: 'tcp', host: name.address, port: name.port ?? 0 }
  const path = pathIn(textAt('/proc/net/unix'), fs.fstatSync(fd).ino)
  return path === undefined ? undefined : { type: 'unix', path }
}

/** Of the unix socket with this inode, by a table such as /proc/net/unix; an abstract one begins with a zero byte. */
export function pathIn(table: string, inode: number): string | undefined {
  for (const line of table.split('\n')) {
    const [, number, path] = /^\S+: (?:\S+ +){5}(\d+) (.+)$/.exec(line) ?? []
    if (number === String(inode)) return path!.replace(/^@/, '\0')
  }
  return undefined
}
