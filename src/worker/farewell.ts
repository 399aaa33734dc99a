// How that which would stay open is ended when its worker leaves: upgraded connections and event streams, with a FIN and never
// with a reset. Runs in every worker; used by drain.ts.

import type net from 'node:net'
import { cutOff, linger, LINGER_MS, swallow } from './refuse.ts'
import type { Entry } from './request-entry.ts'

/** Half-closes it. The application hears what the client still says, and what it writes itself is not sent and does not throw. */
export function endUpgraded(socket: net.Socket): void {
  linger(socket)
  socket.destroySoon()
  const ignore = (...args: unknown[]): void => {
    const done = args.find((arg) => typeof arg === 'function') as (() => void) | undefined
    if (done) process.nextTick(done)
  }
  Object.assign(socket, {
    write: (...args: unknown[]) => (ignore(...args), true),
    end: (...args: unknown[]) => (ignore(...args), socket),
  })
}

/**
 * Its last chunk, and with it the FIN, or its client might ask for more on a connection that is about to close; unless the
 * connection `stays`. A client that does not read it in time is cut off.
 */
export function endStream({ req, res }: Entry, stays: boolean): void {
  const late = setTimeout(() => cutOff(req, res), LINGER_MS)
  res.once('close', () => clearTimeout(late))
  if (!stays && req.httpVersionMajor < 2) {
    const socket = req.socket as net.Socket
    res.once('finish', () => {
      linger(socket)
      socket.destroySoon()
    })
  }
  res.end()
  swallow(res)
}
