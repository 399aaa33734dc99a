// Lists of addresses and networks: 127.0.0.1, 10.0.0.0/8, ::1, or * for everybody. A leaf.

import { BlockList, isIP } from 'node:net'

interface Network {
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  /** Undefined: this address alone. */
  readonly prefix: number | undefined
}

/** Undefined: it is none. */
function networkOf(text: string): Network | undefined {
  const [address = '', prefix, ...more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || address.includes('%') || more.length > 0) return undefined
  const family = version === 4 ? 'ipv4' : 'ipv6'
  if (prefix === undefined) return { address, family, prefix }
  const isPrefix = /^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128)
  return isPrefix ? { address, family, prefix: Number(prefix) } : undefined
}

export const isNetwork = (text: string): boolean => text === '*' || networkOf(text) !== undefined

/** How many answers are kept: a proxy is asked about at each request. */
const REMEMBERED = 1_000

/**
 * Whether an address is in one of the `networks`; an IPv4 address may come as IPv6 has it (::ffff:127.0.0.1). What is no
 * address is in none of them, not even in `*`.
 */
export function memberOf(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const { address, family, prefix } of networks.flatMap((text) => networkOf(text) ?? []))
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, prefix, family)
  const all = networks.includes('*')
  const known = new Map<string, boolean>()
  const find = (address: string): boolean => {
    const version = isIP(address)
    if (version === 0 || all) return version !== 0
    return list.check(address.replace(/%.*/, ''), version === 4 ? 'ipv4' : 'ipv6')
  }
  return (address) => {
    const answer = known.get(address) ?? find(address)
    if (known.size >= REMEMBERED) known.clear()
    known.set(address, answer)
    return answer
  }
}
