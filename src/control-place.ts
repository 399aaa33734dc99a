// Where control sockets are: the server and the command that looks for it come to the same names by the same way. A leaf.

import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fs } from './builtin.ts'
import { isAlive } from './is-alive.ts'

const ENDING = '.ctl'
/** A socket's address has room for 108 bytes on Linux, 104 on macOS, the last one a zero. */
export const LONGEST_PATH = 103

/** Ours alone: what others may write to is no place for it. `runtimeDir`: XDG_RUNTIME_DIR. */
export const runtimeDirectory = (runtimeDir: string | undefined): string =>
  runtimeDir ? join(runtimeDir, 'nodicorn') : join(tmpdir(), `nodicorn-${process.getuid?.() ?? 0}`)

/** `shop-1f2e3d4c.ctl`: of the application's name and the directory that the server was started in; with `pid` if that is taken. */
export const controlName = (name: string, directory: string, pid?: number): string =>
  `${name.replace(/[^\w.-]/g, '_').slice(0, 40)}-${markOf(directory)}${pid === undefined ? '' : `-${pid}`}${ENDING}`

/** `/run/app.pid` -> `/run/app.ctl` */
export const besidePidfile = (pidfile: string): string => pidfile.replace(/\.pid$/, '') + ENDING

const markOf = (directory: string): string =>
  createHash('sha256').update(directory).digest('hex').slice(0, 8)

/** The sockets in `place`, of servers that were started in one of `directories`, or of all. */
export function socketsIn(place: string, directories?: readonly string[]): string[] {
  const marks = directories?.map(markOf)
  return listed(place)
    .filter((file) => file.endsWith(ENDING))
    .filter((file) => !marks || marks.some((mark) => file.includes(`-${mark}`)))
    .sort()
    .map((file) => join(place, file))
}

/** Files that have a pid in their names which no process has: their servers were killed. */
export const leftIn = (place: string): string[] =>
  listed(place).flatMap((file) => {
    const pid = Number(/^(?:.*-|\.)(\d+)\.ctl$/.exec(file)?.[1] ?? 0)
    return pid > 0 && !isAlive(pid) && !/-[\da-f]{8}\.ctl$/.test(file) ? join(place, file) : []
  })

function listed(place: string): string[] {
  try {
    return fs.readdirSync(place)
  } catch (error) {
    // ENOENT, EACCES: nobody has made one yet, or not for us
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return []
  }
}
