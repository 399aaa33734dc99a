// The admin address: what may be written for it, who can reach it, and when that needs a token. A leaf.

import * as v from 'valibot'
import { tryAddress, type ServeAddress } from './address.ts'
import { UserError } from './errors.ts'
import { mostWorkers, type WorkerCount } from './worker-count.ts'
import type { Kind } from './kinds.ts'

export type AdminAddress = Exclude<ServeAddress, { type: 'fd' }>

const ADMIN_WANTED =
  'an IP address (or localhost) and a port, such as 127.0.0.1:9100, [::1]:9100 or :9100, or unix:/path'

/** One address, or nothing: a unix socket, or an IP address and a port. */
export const adminAddress = (): Kind<string, string> => ({
  schema: v.pipe(
    v.string(),
    v.check((text) => text === '' || tryAdminAddress(text) !== undefined),
  ),
  wanted: ADMIN_WANTED,
  placeholder: 'address',
})

/** Long enough not to be guessed; of characters that a header can have. */
export const secret = (): Kind<string, string> => ({
  schema: v.pipe(v.string(), v.regex(/^([\x21-\x7e]{16,})?$/)),
  wanted: 'a text of 16 or more visible ASCII characters, without spaces',
  placeholder: 'secret',
})

/** As for `bind`, but no descriptor, and no name that must be looked up: the master binds it at once. */
export function tryAdminAddress(text: string): AdminAddress | undefined {
  const address = tryAddress(text)
  if (address?.type !== 'tcp') return address?.type === 'unix' ? address : undefined
  if (address.host === 'localhost') return { ...address, host: '127.0.0.1' }
  return /^[\d.]+$|:/.test(address.host) ? address : undefined // both have been checked by now
}

/** Only processes of this machine reach it. */
export const isLocal = (address: AdminAddress): boolean =>
  address.type === 'unix' || /^(127\.|::1$|::ffff:127\.)/.test(address.host)

/** What is wrong with the settings together. */
export function adminFault(settings: {
  readonly admin: string
  readonly adminToken: string
  readonly minReady: number
  readonly workers: WorkerCount
}): UserError | undefined {
  const { admin, adminToken, minReady, workers } = settings
  const address = tryAdminAddress(admin)
  if (!address) return undefined
  const most = mostWorkers(workers)
  if (minReady > most)
    return new UserError(
      'BAD_SETTING',
      `--min-ready is ${minReady}, and --workers allows ${most} at most: /readyz would never answer 200; it must be ${most} or less`,
    )
  if (isLocal(address) || adminToken !== '') return undefined
  return new UserError(
    'BAD_SETTING',
    `--admin ${admin} can be reached from other machines, so it needs a token: set SUPERVISOR_ADMIN_TOKEN to a secret of 16 or more characters, or use 127.0.0.1`,
  )
}
