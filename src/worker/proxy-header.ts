// The header of the PROXY protocol, versions 1 and 2: what the first bytes of a connection say. Pure. Runs in workers with
// `proxyProtocol`. https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt

import { isIP, SocketAddress } from 'node:net'
import type { ProxyMode } from '../listen-kinds.ts'

export interface Client {
  readonly address: string
  readonly port: number
  readonly family: 'IPv4' | 'IPv6'
}

export type Header =
  | { readonly is: 'incomplete' }
  /** `why` completes "Connection from ... closed: ". */
  | { readonly is: 'wrong'; readonly why: string }
  /** `length`: in bytes. `client`: undefined if the proxy speaks for itself, or does not know. */
  | { readonly is: 'complete'; readonly length: number; readonly client: Client | undefined }

const V1_START = Buffer.from('PROXY ')
const V2_START = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** The longest line of version 1, its end included; the specification says so. */
const V1_LONGEST = 107
const V2_FIXED = 16
/** Of what may follow in version 2: addresses, and what a proxy adds to them. */
const V2_LONGEST = 4096

const INCOMPLETE: Header = { is: 'incomplete' }
const wrong = (why: string): Header => ({ is: 'wrong', why })
const NONE = wrong('it does not begin with a header of the PROXY protocol (--proxy-protocol)')

/** `bytes`: all that the connection has brought so far. */
export function readProxyHeader(bytes: Buffer, mode: Exclude<ProxyMode, 'off'>): Header {
  if (bytes.length === 0) return INCOMPLETE
  if (mode !== 'v2' && agrees(bytes, V1_START))
    return bytes.length < V1_START.length ? INCOMPLETE : readV1(bytes)
  if (mode !== 'v1' && agrees(bytes, V2_START))
    return bytes.length < V2_FIXED ? INCOMPLETE : readV2(bytes)
  return NONE
}

/** As far as there are bytes. */
function agrees(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.compare(start, 0, length, 0, length) === 0
}

function readV1(bytes: Buffer): Header {
  const end = bytes.subarray(0, V1_LONGEST).indexOf('\r\n')
  if (end < 0) return bytes.length < V1_LONGEST ? INCOMPLETE : wrong('its PROXY line is too long')
  const length = end + 2
  const [, protocol, source = '', target = '', sourcePort, targetPort, ...more] = bytes
    .toString('latin1', 0, end)
    .split(' ')
  if (protocol === 'UNKNOWN') return { is: 'complete', length, client: undefined }
  const version = protocol === 'TCP4' ? 4 : protocol === 'TCP6' ? 6 : 0
  const port = portIn(sourcePort)
  const isAddress = (text: string): boolean => isIP(text) === version && !text.includes('%')
  const isRight = isAddress(source) && isAddress(target) && more.length === 0
  if (version === 0 || !isRight || port === undefined || portIn(targetPort) === undefined)
    return wrong('its PROXY line is malformed')
  return { is: 'complete', length, client: clientOf(version, source, port) }
}

const portIn = (text = ''): number | undefined =>
  /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined

function readV2(bytes: Buffer): Header {
  const [command = 0, family = 0] = bytes.subarray(12, 14)
  const size = bytes.readUInt16BE(14)
  if (command !== 0x20 && command !== 0x21) return wrong('its PROXY header is malformed')
  if (family >> 4 > 3 || (family & 15) > 2) return wrong('its PROXY header is malformed')
  if (size > V2_LONGEST) return wrong('its PROXY header is too long')
  const version = command === 0x20 ? 0 : family === 0x11 ? 4 : family === 0x21 ? 6 : 0
  if (size < (version === 4 ? 12 : version === 6 ? 36 : 0))
    return wrong('its PROXY header is too short')
  const length = V2_FIXED + size
  if (bytes.length < length) return INCOMPLETE
  if (version === 0) return { is: 'complete', length, client: undefined }
  const width = version === 4 ? 4 : 16
  const address = textOf(bytes.subarray(V2_FIXED, V2_FIXED + width))
  const port = bytes.readUInt16BE(V2_FIXED + 2 * width)
  return { is: 'complete', length, client: clientOf(version, address, port) }
}

/** 4 or 16 bytes. */
function textOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':')
}

/** The address as node itself would write it. */
function clientOf(version: 4 | 6, text: string, port: number): Client {
  const { address } = new SocketAddress({ address: text, family: version === 4 ? 'ipv4' : 'ipv6' })
  return { address, port, family: version === 4 ? 'IPv4' : 'IPv6' }
}
