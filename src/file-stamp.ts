// Whether a file is another one than before. A leaf, for the workers (what they loaded) and the master (what is there now).

import { fs } from './builtin.ts'

/** Its time of change, size and inode as one text; '' if it is not there or can't be looked at. */
export function stampOf(path: string): string {
  try {
    const stat = fs.statSync(path, { throwIfNoEntry: false })
    return stat ? `${stat.mtimeMs} ${stat.size} ${stat.ino}` : ''
  } catch (error) {
    // EACCES, ELOOP: as good as missing
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return ''
  }
}
