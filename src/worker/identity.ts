// The worker becomes the user and group it is to run as; the master keeps its rights and the ports below 1024.
// Runs in a worker, before the application.

import { fs } from '../builtin.ts'

/** Throws node's error when there is no such user or group. */
export function dropPrivileges(user: string, group: string): void {
  if (!user && !group) return
  const id = (name: string): string | number => (/^\d+$/.test(name) ? Number(name) : name)
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
  const rows = fs
    .readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const row = rows.find(([name, , uid]) => name === user || uid === user)
  if (row?.[3] === undefined && !/^\d+$/.test(user))
    throw new Error(`no user named ${user}; pass --group as well`)
  return Number(row?.[3] ?? user)
}
