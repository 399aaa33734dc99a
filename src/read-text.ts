// Reads what the system tells in files, such as those of /proc, and what is at a path that somebody typed. A leaf, used in the master and in
// the CLI.

import type { Stats } from 'node:fs'
import { fs } from './builtin.ts'

/** Empty if there is nothing to read: ENOENT (no Linux, or gone), EACCES (hidden from us), ESRCH (gone while it was read). */
export function textAt(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return ''
  }
}

/** Undefined if nothing can be there: ENOENT, EACCES, ENAMETOOLONG, ELOOP, or ERR_INVALID_ARG_VALUE for a path with a NUL in it. */
export function statAt(path: string): Stats | undefined {
  try {
    return fs.statSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return undefined
  }
}
