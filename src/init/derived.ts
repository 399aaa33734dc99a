// What the files have in common and the settings do not say outright: times that must be longer than ours, and the command in a
// container. Pure. Runs in the CLI.
import { inBrackets } from '../address.ts'
import { tryAdminAddress } from '../admin-address.ts'
import type { Facts } from './facts.ts'

/** A file to be written, by its path in the project, and what the person does with it. */
export interface Made {
  readonly files: Readonly<Record<string, string>>
  /** What must be done before. */
  readonly first?: string
  /** Two lines at most. */
  readonly next: readonly string[]
}

/** A little longer than workers and what runs beside them may take to leave; seconds. */
export function graceOf({ settings, jobs }: Facts, preStopDelay = settings.preStopDelay): number {
  const beside = Object.values(settings.processes).map(({ grace = 0 }) => grace)
  const longest = Math.max(settings.gracefulTimeout, jobs?.grace ?? 0, ...beside)
  return Math.ceil(preStopDelay + longest) + 5
}

/** Longer than any request may take, so that the client gets our 504 and not the proxy's; seconds. */
export function proxyTimeout({ settings }: Facts): number {
  const waits = Object.values(settings.routes).map(
    ({ timeout = settings.timeout, concurrency, queueTimeout = QUEUE_SECONDS }) =>
      timeout === 0 || concurrency === undefined ? timeout : timeout + queueTimeout,
  )
  const all = [settings.timeout, ...waits]
  return all.includes(0) ? DAY : Math.ceil(Math.max(...all)) + 5
}
const DAY = 86_400
/** The default of routes with a `concurrency`. */
const QUEUE_SECONDS = 10

/** How long a proxy may keep an idle connection: shorter than we do; 0 if it should keep none. Seconds. */
export const proxyKeepAlive = ({ settings: { keepAlive } }: Facts): number =>
  keepAlive < 2 ? 0 : Math.min(60, Math.floor(keepAlive * 0.8))

/** The largest body that any request may have, bytes; 0 if there is no limit. */
export function largestBody({ settings }: Facts): number {
  const all = [
    settings.maxBody,
    ...Object.values(settings.routes).flatMap(({ maxBody }) => maxBody ?? []),
  ]
  return all.includes(0) ? 0 : Math.max(...all)
}

/** Where it listens in a container. */
export const containerPort = ({ address }: Facts): number =>
  address.type === 'tcp' && address.port > 0 ? address.port : 8000

/**
 * The command as others must reach it: on every interface. An address that nobody has set is left to the variable PORT, which
 * apps that listen by themselves read as well.
 */
export function openWords(facts: Facts, port: number | string): readonly string[] {
  if (!facts.isSet('bind')) return facts.words
  return [...withoutFlag(facts.words, '--bind', '-b'), '--bind', `0.0.0.0:${port}`]
}

/** Both spellings, with their values. */
export function withoutFlag(words: readonly string[], long: string, short: string): string[] {
  const kept: string[] = []
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!
    if (word === '--') return [...kept, ...words.slice(at)]
    if (word === long || word === short) at++
    else if (!word.startsWith(`${long}=`) && !(word.startsWith(short) && !word.startsWith('--')))
      kept.push(word)
  }
  return kept
}

/** A flag that only has a long spelling. */
export const hasFlag = (words: readonly string[], long: string): boolean =>
  withoutFlag(words, long, long).length < words.length

export const SUPERVISOR = 'node_modules/.bin/supervisor'
export const ADMIN_PORT = 9100

/** The port of the admin address; undefined without one, or at a unix socket. */
export function adminPort({ settings }: Facts): number | undefined {
  const address = tryAdminAddress(settings.admin)
  return address?.type === 'tcp' ? address.port : undefined
}

/** `127.0.0.1:8000`, `[::1]:8000` */
export const hostAndPort = (host: string, port: number): string => `${inBrackets(host)}:${port}`

/** For a POSIX shell. */
export const shellQuoted = (word: string): string =>
  /^[\w@%+=:,./$-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`

/** For YAML, in single quotes, which know no other escape. */
export const yamlQuoted = (text: string | number): string =>
  `'${String(text).replaceAll("'", "''")}'`
