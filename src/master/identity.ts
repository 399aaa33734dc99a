// Who the workers run as: checked before anything starts. Runs in the master; the workers drop their rights themselves.

import { fs } from '../builtin.ts'
import { badSetting, UserError } from '../errors.ts'

/** Throws when the workers could not become `user` or `group`: no such name, or no right to change. */
export function checkIdentity(user: string, group: string): void {
  if (!user && !group) return
  if (user && !isKnown('/etc/passwd', user))
    throw badSetting('--user', user, 'a user of this machine, or a numeric id')
  if (group && !isKnown('/etc/group', group))
    throw badSetting('--group', group, 'a group of this machine, or a numeric id')
  if (process.getuid?.() === 0) return
  const flag = user ? `--user ${user}` : `--group ${group}`
  throw new UserError(
    'NO_PERMISSION',
    `${flag} needs root: start the supervisor as root, or leave the flag out`,
  )
}

/** True as well when the file can't tell: names may come from elsewhere (LDAP); the worker will find out. */
function isKnown(file: string, name: string): boolean {
  if (/^\d+$/.test(name)) return true
  try {
    const lines = fs.readFileSync(file, 'utf8').split('\n')
    return lines.some((line) => line.startsWith(`${name}:`)) || hasOtherSources()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true
    throw error
  }
}

/** macOS keeps users in a directory service, and /etc/nsswitch.conf may name one on Linux. */
function hasOtherSources(): boolean {
  if (process.platform === 'darwin') return true
  try {
    return /^(passwd|group):.*\b(sss|ldap|winbind|systemd)\b/m.test(
      fs.readFileSync('/etc/nsswitch.conf', 'utf8'),
    )
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
