// What to tell the master of a server that listens. Runs in every worker.

import type net from 'node:net'
import type { ServeAddress } from '../address.ts'
import type { ListeningAddress } from '../protocol.ts'

export function describeServer(server: net.Server): ListeningAddress {
  const scheme = !speaksHttp(server) ? 'tcp' : isSecure(server) ? 'https' : 'http'
  const address = server.address()
  if (address === null || typeof address === 'string')
    return { scheme, host: address ?? '', port: -1 }
  return { scheme, host: address.address, port: address.port }
}

/** Told by what they have, because importing node:https or node:http2 to ask for a class would load all of TLS. */
const isSecure = (server: net.Server): boolean => 'setSecureContext' in server

const speaksHttp = (server: net.Server): boolean =>
  'keepAliveTimeout' in server ||
  server.listenerCount('request') > 0 ||
  server.listenerCount('stream') > 0

/** Whether the server listens on one of the addresses that somebody asked for with `--bind`. */
export function isWhereAsked(server: net.Server, asked: readonly ServeAddress[]): boolean {
  const { host, port } = describeServer(server)
  return asked.some((a) =>
    a.type === 'fd' ? true : a.type === 'unix' ? a.path === host : a.port === 0 || a.port === port,
  )
}
