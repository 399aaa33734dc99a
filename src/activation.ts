// Sockets that systemd has opened for this process (LISTEN_FDS): which there are, and what they make of `bind`. A leaf, used by
// the CLI and the master.

import { inBrackets, type ServeAddress } from './address.ts'
import type { Config } from './config.ts'
import { badSetting, type UserError } from './errors.ts'

/** Where systemd begins. */
const FIRST = 3

/** As systemd names it: its number in the process it was opened for, and the FileDescriptorName of its unit. */
export interface Announced {
  readonly fd: number
  readonly name: string
}

/** Where it listens; undefined if that cannot be found out. */
export interface Activated extends Announced {
  readonly address: Exclude<ServeAddress, { type: 'fd' }> | undefined
}

/** It is systemd's: it stays open, and its file stays, whatever becomes of those that listen on it. */
export interface ActivatedSocket extends Activated {
  /** Of node, as the master's other sockets. */
  readonly handle: { readonly fd: number; close(): void }
}

/** Those that are for the process with `pid`, and for no parent of it. */
export function announcedBy(env: Readonly<NodeJS.ProcessEnv>, pid: number): Announced[] {
  const { LISTEN_PID: whose, LISTEN_FDS: count = '', LISTEN_FDNAMES: names = '' } = env
  if (whose !== String(pid) || !/^\d{1,4}$/.test(count)) return []
  const named = names.split(':')
  return Array.from({ length: Number(count) }, (_, n) => ({
    fd: FIRST + n,
    name: named[n] || 'unknown',
  }))
}

/** `http` of `fd://http`; undefined if it is none, or a number. */
export const socketName = (text: string): string | undefined =>
  /^fd:\/\/([^\d:/\s][^:/\s]*)$/.exec(text)?.[1]

/**
 * The settings with the addresses of these sockets in place of `bind`, as Gunicorn has it; where `bind` names some of them
 * (`fd://http`, `fd://3`), with those alone. Throws BAD_SETTING for a name that is not there.
 */
export function withActivated(config: Config, activated: readonly Activated[]): Config {
  const { settings, sources } = config
  const textOf = (one: Activated): string =>
    one.address && settings.sockets !== 'cluster' ? bindText(one.address) : `fd://${one.fd}`
  const isChosen = settings.bind.some((text) => text.startsWith('fd://'))
  if (!isChosen && activated.length === 0) return config
  const bind = isChosen
    ? settings.bind.flatMap((text) => {
        const name = socketName(text)
        if (name === undefined) return text
        const found = activated.filter((one) => one.name === name)
        if (found.length === 0) throw unknownSocket(sources.bind, text, activated)
        return found.map(textOf)
      })
    : activated.map(textOf)
  const isUnused = !isChosen && sources.bind !== 'default' && String(bind) !== String(settings.bind)
  const note = `${sources.bind} (${settings.bind.join(', ')}) is not used: systemd listens, on ${bind.join(', ')}`
  return Object.freeze({
    ...config,
    settings: Object.freeze({ ...settings, bind }),
    sources: Object.freeze({ ...sources, bind: isChosen ? sources.bind : 'LISTEN_FDS' }),
    notes: Object.freeze(isUnused ? [...config.notes, note] : config.notes),
  })
}

function unknownSocket(where: string, text: string, activated: readonly Activated[]): UserError {
  const names = [...new Set(activated.map(({ name }) => name))].join(', ')
  return badSetting(
    where,
    text,
    `the name of a socket that systemd has opened (${names || 'there are none'})`,
  )
}

const bindText = (address: NonNullable<Activated['address']>): string =>
  address.type === 'unix' ? `unix:${address.path}` : `${inBrackets(address.host)}:${address.port}`

/** Whether who asks for `host` and `port`, or for a path, means this one. All names of "every address" mean the same. */
export function isAddressOf(
  { address }: Activated,
  asked: {
    readonly address: string | null
    readonly port: number | null
    readonly addressType: unknown
  },
): boolean {
  if (!address) return false
  if (address.type === 'unix') return asked.addressType === -1 && asked.address === address.path
  return (
    asked.addressType !== -1 &&
    asked.port === address.port &&
    hostOf(asked.address) === hostOf(address.host)
  )
}

const hostOf = (host: string | null): string =>
  host === null || host === '' || host === '0.0.0.0' || host === '::' ? '*' : host
