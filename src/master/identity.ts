// Who the workers run as: checked before anything starts. Runs in the master; the workers drop their rights themselves.

import { accountsIn, type AccountList, isNumber } from '../accounts.ts'
import { badSetting, UserError } from '../errors.ts'
import { textAt } from '../read-text.ts'

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
function isKnown(list: AccountList, name: string): boolean {
  if (isNumber(name)) return true
  const all = accountsIn(list)
  return all === undefined || all.some((one) => one.name === name) || hasOtherSources()
}

/** macOS keeps users in a directory service, and /etc/nsswitch.conf may name one on Linux. */
const hasOtherSources = (): boolean =>
  process.platform === 'darwin' ||
  /^(passwd|group):.*\b(sss|ldap|winbind|systemd)\b/m.test(textAt('/etc/nsswitch.conf'))
