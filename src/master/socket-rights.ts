// Who may connect to the unix sockets of --bind: the mode, owner and group of their files. Runs in the master.

import { type AccountList, findAccount, isNumber } from '../accounts.ts'
import { fs } from '../builtin.ts'
import { badSetting } from '../errors.ts'
import type { Settings } from '../settings.ts'
import type { Handle } from './sockets.ts'

export interface SocketRights {
  /** Undefined: the umask decides. */
  readonly mode: number | undefined
  /** -1: whom the system gives it. */
  readonly uid: number
  readonly gid: number
}

export const PLAIN_RIGHTS: SocketRights = { mode: undefined, uid: -1, gid: -1 }

/** As in Gunicorn, the socket belongs to whom the workers run as. Throws BAD_SETTING for a group that is not known here. */
export function rightsOf({
  socketMode,
  socketGroup,
  user,
  group,
}: Pick<Settings, 'socketMode' | 'socketGroup' | 'user' | 'group'>): SocketRights {
  const { id: uid = -1, group: own = -1 } = user ? idsOf('/etc/passwd', user) : {}
  const asked = socketGroup || group
  const gid = asked ? idsOf('/etc/group', asked).id : own
  if (gid === undefined && socketGroup)
    throw badSetting('--socket-group', socketGroup, 'a group of this machine, or a numeric id')
  return { mode: socketMode, uid, gid: gid ?? -1 }
}

/** The id that stands for a name, and of a user the id of the group. Names that come from elsewhere (LDAP) have none here. */
const idsOf = (
  list: AccountList,
  name: string,
): { readonly id?: number; readonly group?: number | undefined } =>
  findAccount(list, name) ?? (isNumber(name) ? { id: Number(name) } : {})

/** Binds the socket at `path`: what the mode does not grant, nobody has at any moment. Answers an errno if that fails. */
export function bindWithRights(
  path: string,
  { mode, uid, gid }: SocketRights,
  bind: () => Handle | number,
): Handle | number {
  const before = mode === undefined ? undefined : process.umask(0o777 & ~mode)
  let handle: Handle | number
  try {
    handle = bind()
  } finally {
    if (before !== undefined) process.umask(before)
  }
  if (typeof handle === 'number' || (uid < 0 && gid < 0)) return handle
  try {
    fs.chownSync(path, uid, gid)
  } catch (error) {
    // EPERM: without root it can only be a group that we are in
    const { errno } = error as NodeJS.ErrnoException
    if (errno === undefined) throw error
    handle.close() // and libuv removes the file
    return errno
  }
  return handle
}
