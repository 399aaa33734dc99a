// Users and groups of this machine, as /etc/passwd and /etc/group have them. A leaf, used in the master and in workers.

import { fs } from './builtin.ts'

export type AccountList = '/etc/passwd' | '/etc/group'

export interface Account {
  readonly name: string
  readonly id: number
  /** Of a user, the id of the group. */
  readonly group: number | undefined
}

/** Undefined if there is no such file. Names that come from elsewhere (LDAP) are not in it. */
export function accountsIn(list: AccountList): readonly Account[] | undefined {
  try {
    return fs.readFileSync(list, 'utf8').split('\n').flatMap(accountOf)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** By its name or its number. */
export const findAccount = (list: AccountList, name: string): Account | undefined =>
  accountsIn(list)?.find((one) => one.name === name || String(one.id) === name)

export const isNumber = (name: string): boolean => /^\d+$/.test(name)

function accountOf(line: string): Account[] {
  const [name = '', , id = '', group = ''] = line.split(':')
  if (!isNumber(id)) return []
  return [{ name, id: Number(id), group: isNumber(group) ? Number(group) : undefined }]
}
