// The TCP socket of the admin address is bound before anything starts, so that one that is taken stops the start; who answers there
// comes later. Runs in the master.

import { tryAdminAddress } from '../admin-address.ts'
import type { StartRequest } from '../config.ts'
import type { Heir } from './heir.ts'
import type { Pidfile } from './pidfile.ts'
import { Sockets } from './sockets.ts'

/** Those an old master left, and that of the admin address. Throws ADDRESS_IN_USE or CANNOT_LISTEN, and removes the pidfile then. */
export function openSockets(
  { config: { settings }, activated = [] }: StartRequest,
  heir: Heir | undefined,
  pidfile: Pidfile | undefined,
): Sockets {
  const sockets = new Sockets()
  sockets.adopt(activated)
  heir?.inherit(sockets)
  const address = tryAdminAddress(settings.admin)
  try {
    if (address?.type === 'tcp') sockets.takeOwn(address.host, address.port)
    else sockets.closeOwn()
  } catch (error) {
    pidfile?.remove()
    throw error
  }
  return sockets
}
