// The access log's file, before the workers open it: whether it can be written, and that it is theirs. Runs in the master.

import { resolve } from 'node:path'
import { type AccountList, findAccount, isNumber } from '../accounts.ts'
import { fs } from '../builtin.ts'
import { UserError } from '../errors.ts'
import type { Settings } from '../settings.ts'

/**
 * Makes the file if it is not there; with `user`, it becomes that user's, who is to open it again after a rotation (Gunicorn
 * does so too). `directory`: where the workers run. Throws NO_PERMISSION.
 */
export function prepareAccessLog(settings: Settings, directory: string): void {
  const { accessLog: file, user, group, chdir } = settings
  if (file === '' || file === '-') return
  const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK } = fs.constants
  try {
    const path = resolve(chdir || directory, file)
    const fd = fs.openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK)
    if ((user || group) && process.getuid?.() === 0 && fs.fstatSync(fd).isFile())
      fs.fchownSync(fd, idOf('/etc/passwd', user), idOf('/etc/group', group))
    fs.closeSync(fd)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENXIO') return // a fifo that nobody reads yet
    throw new UserError(
      'NO_PERMISSION',
      `cannot write the access log ${file} (--access-logfile): ${message}`,
    )
  }
}

const UNCHANGED = -1

/** By the file that has names and numbers; whoever is only known elsewhere (LDAP) does not get the file. */
function idOf(list: AccountList, name: string): number {
  if (name === '') return UNCHANGED
  return isNumber(name) ? Number(name) : (findAccount(list, name)?.id ?? UNCHANGED)
}
