// How many connections wait in the kernel for a worker to accept them. Linux alone tells, and of TCP alone; elsewhere none
// are seen. Runs in the master, for a range of workers.

import { fs } from '../builtin.ts'

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6']
/** Listening sockets come first; there may be a hundred thousand connections after them. So much of a table is read, bytes. */
const MOST = 65_536
const LISTEN = '0A'

/** `descriptors`: of our listening sockets. */
export function queuedConnections(descriptors: readonly number[]): number {
  const inodes = new Set(descriptors.map((fd) => String(fs.fstatSync(fd).ino)))
  if (inodes.size === 0) return 0
  return TABLES.reduce((sum, table) => sum + queuedIn(readStart(table), inodes), 0)
}

/** Of the sockets with these inodes, by the rows of a table such as /proc/net/tcp. */
export function queuedIn(table: string, inodes: ReadonlySet<string>): number {
  let queued = 0
  for (const row of table.split('\n').slice(1)) {
    const [, , , state, queues = '', , , , , inode = ''] = row.trim().split(/\s+/)
    if (state === LISTEN && inodes.has(inode)) queued += Number.parseInt(queues.split(':')[1]!, 16)
  }
  return queued
}

const buffer = Buffer.alloc(MOST)

/** The kernel gives a page at a time. Ends with the first row that is not a listening socket's, or before. */
function readStart(path: string): string {
  const file = openIfThere(path)
  if (file === undefined) return ''
  try {
    let length = 0
    while (length < MOST) {
      const read = fs.readSync(file, buffer, length, MOST - length, null)
      length += read
      if (read === 0 || hasOthers(buffer.toString('latin1', length - read, length))) break
    }
    return buffer.toString('latin1', 0, length)
  } finally {
    fs.closeSync(file)
  }
}

/** Whether a row, even one that is not whole, is another than a listening socket's. */
const hasOthers = (rows: string): boolean => /:[\dA-F]{4} (?!0A)[\dA-F]{2} /.test(rows)

function openIfThere(path: string): number | undefined {
  try {
    return fs.openSync(path, 'r')
  } catch (error) {
    // ENOENT: not Linux, or no IPv6; EACCES, EMFILE: it is not known this time
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return undefined
  }
}
