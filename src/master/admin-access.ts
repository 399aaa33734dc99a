// Who may do what at the admin address: tokens, and the Host header. Pure. Runs in the master.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'

/** `open`: anybody, such as a load balancer. `view`: who has the token or is on this machine. `action`: who has the token. */
export type Access = 'open' | 'view' | 'action'

export interface Claim {
  /** The header Authorization. */
  readonly authorization: string | undefined
  /** The header Host. */
  readonly host: string | undefined
}

export interface Door {
  /** Only processes of this machine reach the address. */
  readonly isLocal: boolean
  /** Empty if there is none. */
  readonly token: string
}

export interface Refusal {
  readonly status: 401 | 403
  readonly code: 'NO_TOKEN' | 'WRONG_TOKEN' | 'WRONG_HOST'
  readonly message: string
}

const refusal = (status: Refusal['status'], code: Refusal['code'], message: string): Refusal => ({
  status,
  code,
  message,
})

/** Undefined if it may. A wrong token is refused even where none is needed: who sends one counts on it. */
export function refusalOf(access: Access, claim: Claim, door: Door): Refusal | undefined {
  if (access === 'open') return undefined
  if (claim.authorization !== undefined)
    return isAuthorized(claim, door)
      ? undefined
      : refusal(401, 'WRONG_TOKEN', 'this is not the token (Authorization: Bearer TOKEN)')
  if (access === 'action' && door.token === '')
    return refusal(
      403,
      'NO_TOKEN',
      'actions need a token, and the server has none: set SUPERVISOR_ADMIN_TOKEN',
    )
  if (access === 'action' || !door.isLocal)
    return refusal(401, 'NO_TOKEN', 'this needs the admin token (Authorization: Bearer TOKEN)')
  if (isOwnName(claim.host)) return undefined
  return refusal(403, 'WRONG_HOST', 'without a token, ask by an IP address or by localhost')
}

/** The digests have the same length, and say nothing of where two tokens differ. */
export function isAuthorized({ authorization = '' }: Claim, { token }: Door): boolean {
  const given = /^bearer +(\S+)$/i.exec(authorization)?.[1]
  if (given === undefined || token === '') return false
  return timingSafeEqual(digest(given), digest(token))
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** How long a pass is good. */
export const PASS_SECONDS = 8 * 3600

/** What a browser keeps instead of the token: it opens the dashboard of the jobs, for a while, as long as the token is the same. */
export const makePass = (token: string, now: number): string => {
  const end = String(Math.floor(now / 1000) + PASS_SECONDS)
  return `${end}.${seal(token, end)}`
}

export function isPass(pass: string, token: string, now: number): boolean {
  const [, end = '', given = ''] = /^(\d{1,12})\.([\w-]+)$/.exec(pass) ?? []
  if (token === '' || Number(end) * 1000 <= now) return false
  return timingSafeEqual(digest(given), digest(seal(token, end)))
}

const seal = (token: string, end: string): string =>
  createHmac('sha256', token).update(`dashboard of the jobs until ${end}`).digest('base64url')

/**
 * Not a name that somebody's DNS answers with our address, by which a page of his could read ours in a browser on this machine.
 * An address is no such name. Missing in HTTP/1.0.
 */
export function isOwnName(host: string | undefined): boolean {
  if (host === undefined) return true
  const name = host.replace(/:\d*$/, '').toLowerCase()
  return /^([\w-]+\.)*localhost$/.test(name) || isIP(name.replace(/^\[(.*)\]$/, '$1')) > 0
}
