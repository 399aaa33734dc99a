// Where to listen: the text of --bind <-> its parts. A leaf: used by the settings, the master and the workers.
import { isIPv4, isIPv6 } from 'node:net'
import { badSetting } from './errors.ts'

export type ServeAddress =
  | { readonly type: 'tcp'; readonly host: string; readonly port: number }
  | { readonly type: 'unix'; readonly path: string }
  | { readonly type: 'fd'; readonly fd: number }

/** The port of an address that names none, as Gunicorn's. */
export const DEFAULT_PORT = 8000

export const addressWanted =
  'host:port, [ipv6]:port, :port, a port from 0 to 65535, unix:/path or fd://number'

/**
 * The parts of a bind text. A port alone listens on 0.0.0.0, a host alone on port 8000; `unix:` paths stay as
 * written (relative ones are relative to the working directory).
 * Throws BAD_SETTING naming `where`.
 */
export const parseAddress = (text: string, where = 'bind'): ServeAddress => {
  const address = tryAddress(text)
  if (!address) throw badSetting(where, text, addressWanted)
  return address
}

/** Like parseAddress, but undefined instead of an error. */
export const tryAddress = (text: string): ServeAddress | undefined => {
  const unix = /^unix:(?:\/\/)?(.+)$/.exec(text)?.[1]
  if (unix !== undefined) return { type: 'unix', path: unix }
  const fd = /^fd:\/\/(\d{1,9})$/.exec(text)?.[1]
  if (fd !== undefined) return { type: 'fd', fd: Number(fd) }
  return tcpAddress(text)
}

const tcpAddress = (text: string): ServeAddress | undefined => {
  if (/^\d+$/.test(text)) return tcp('0.0.0.0', text)
  const ipv6 = /^\[([^\]]+)\](?::(\d+))?$/.exec(text)
  if (ipv6?.[1]) return isIPv6(ipv6[1]) ? tcp(ipv6[1], ipv6[2]) : undefined
  const named = /^((?:\w[\w.-]*)?)(?::(\d+))?$/.exec(text)
  if (!named || text === '') return undefined
  const [, host = '', port] = named
  // A bare word that starts with a digit is far more likely a mistyped port than a host name.
  const mustBeIp = port === undefined ? /^\d/ : /^[\d.]+$/
  if (mustBeIp.test(host) && !isIPv4(host)) return undefined
  return tcp(host || '0.0.0.0', port)
}

const tcp = (host: string, port = String(DEFAULT_PORT)): ServeAddress | undefined =>
  Number(port) <= 65535 ? { type: 'tcp', host, port: Number(port) } : undefined

/** As in a URL. Not isIPv6(), whose regular expression takes 7 ms to compile, in the middle of a start (Node 20 to 26). */
export const inBrackets = (host: string): string =>
  host.includes(':') && !host.startsWith('[') ? `[${host}]` : host

/** How a person reaches it: 'http://127.0.0.1:8000', 'http://[::1]:8000', 'unix:/path', 'fd://3'. */
export const formatUrl = (address: ServeAddress, scheme: 'http' | 'https' = 'http'): string => {
  switch (address.type) {
    case 'tcp': {
      const host = inBrackets(address.host)
      return `${scheme}://${host}:${address.port}`
    }
    case 'unix':
      return `unix:${address.path}`
    case 'fd':
      return `fd://${address.fd}`
  }
}
