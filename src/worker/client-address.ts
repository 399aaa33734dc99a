// Who a request came from: the connection's other end, or what trusted proxies say (forwardedAllowIps). Runs in the workers
// that have an access log.

import { isIP } from 'node:net'
import { memberOf } from '../networks.ts'

export class ClientAddress {
  readonly #isTrusted: (address: string) => boolean

  /** `networks`: of the proxies that are believed. */
  constructor(networks: readonly string[]) {
    this.#isTrusted = memberOf(networks)
  }

  /**
   * `peer`: of the connection; undefined for a unix socket, which is trusted; '' if it is not known, which is not.
   * `forwardedFor`: X-Forwarded-For, to which each proxy adds, at the right, whom it heard it from. So it is read from the right,
   * and the first one that is no proxy of ours is the client: all before it the client could have made up.
   */
  of(peer: string | undefined, forwardedFor: string | undefined): string | undefined {
    if (forwardedFor === undefined || (peer !== undefined && !this.#isTrusted(peer)))
      return peer || undefined
    let client = peer
    for (const hop of forwardedFor.split(',').reverse()) {
      const address = addressIn(hop.trim())
      if (address === undefined) break
      client = address
      if (!this.#isTrusted(address)) break
    }
    return client
  }
}

/** `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`; undefined for `unknown` and all else. */
function addressIn(hop: string): string | undefined {
  const [, bracketed, plain] = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d+)?$/.exec(hop) ?? []
  const address = bracketed ?? plain ?? hop
  return isIP(address) === 0 ? undefined : address
}
