// The worker becomes the user and group it is to run as; the master keeps its rights and the ports below 1024.
// Runs in a worker, before the application.

import { findAccount, isNumber } from '../accounts.ts'

/** Throws node's error when there is no such user or group. */
export function dropPrivileges(user: string, group: string): void {
  if (!user && !group) return
  const id = (name: string): string | number => (isNumber(name) ? Number(name) : name)
  const gid = group ? id(group) : primaryGroup(user)
  if (user && typeof id(user) === 'string')
    (process as { initgroups?: (user: string, group: string | number) => void }).initgroups?.(
      user,
      gid,
    )
  else process.setgroups?.([gid])
  process.setgid?.(gid)
  if (user) process.setuid?.(id(user))
}

/** The group of the user's row in /etc/passwd; for a numeric id without one, the group of the same number. */
function primaryGroup(user: string): number {
  const group = findAccount('/etc/passwd', user)?.group
  if (group === undefined && !isNumber(user))
    throw new Error(`no user named ${user}; pass --group as well`)
  return group ?? Number(user)
}
