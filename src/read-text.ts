// Reads what the system tells in files, such as those of /proc. A leaf, used in the master and in the CLI.

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
