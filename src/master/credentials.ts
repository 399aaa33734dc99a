// The certificate and key that workers serve TLS with: read for each configuration, renewed when their files change. Runs in
// the master, which may read what the workers may not; what it reads is no property of anything that could be logged or shown.

import { resolve } from 'node:path'
import type { Config } from '../config.ts'
import { stampOf } from '../file-stamp.ts'
import type { Log } from '../log.ts'
import type { Credentials } from '../protocol.ts'
import type { MasterState } from './inputs.ts'

/** Between two looks at the files, ms. Not by what the system tells: certificates are often behind links that move. */
const LOOK_MS = 1_000
const WARN_AGAIN_MS = 86_400_000
/** A certificate that expires sooner is worth a warning, days. */
const SHORT_DAYS = 14

interface Known {
  readonly credentials: Credentials
  /** Of the files when they were read last, taken or not. */
  readonly stamp: string
  /** When the certificate expires, ms since 1970. */
  readonly expires: number
}

/** A reload that fails goes back to the settings before it, and so to their certificate. */
const known = new WeakMap<Config, Known>()

/** For every worker that is started with these settings; undefined without TLS. */
export const credentialsOf = (config: Config): Credentials | undefined =>
  known.get(config)?.credentials

/**
 * Reads and checks the files that the settings name, relative to `directory` and then `chdir`; nothing without `certfile`.
 * Throws BAD_CERTIFICATE.
 */
export async function loadCredentials(config: Config, directory: string): Promise<void> {
  const { settings } = config
  if (settings.certfile === '') return
  const stamp = stampFor(config, directory)
  const { readCertificate } = await import('./certificate.ts')
  const { credentials, expires } = readCertificate(settings, resolve(directory, settings.chdir))
  known.set(config, { credentials, expires, stamp })
}

const filesOf = ({ settings }: Config): string[] =>
  [settings.certfile, settings.keyfile, settings.caCerts].filter((file) => file !== '')

const stampFor = (config: Config, directory: string): string =>
  filesOf(config)
    .map((file) => stampOf(resolve(directory, config.settings.chdir, file)))
    .join()

/** Negative when it is over. */
const daysUntil = (moment: number): number => {
  const days = (moment - Date.now()) / 86_400_000
  return days < 0 ? Math.floor(days) : Math.trunc(days)
}

/** Looks at the files again and again, and gives every worker what is new in them. */
export class CertificateWatch {
  readonly #log: Log
  readonly #directory: string
  readonly #state: () => MasterState
  /** Of the last look: only files that stand still are read. */
  #seen = ''
  readonly #timer: NodeJS.Timeout
  #warned: { expires: number; at: number } | undefined

  constructor(log: Log, directory: string, state: () => MasterState) {
    this.#log = log
    this.#directory = directory
    this.#state = state
    this.#timer = setInterval(() => void this.#look(), LOOK_MS).unref()
  }

  /** While a reload is under way nothing is given: it may be taken back. */
  async #look(): Promise<void> {
    const { config, isReloading, step } = this.#state()
    if (step === 'stopped') return clearInterval(this.#timer)
    const now = known.get(config)
    if (!now || isReloading || step !== 'running') return
    this.#warn(config, now.expires)
    const stamp = stampFor(config, this.#directory)
    const isStill = stamp === this.#seen
    this.#seen = stamp
    if (stamp !== now.stamp && isStill) await this.#renew(config, { ...now, stamp })
  }

  async #renew(config: Config, old: Known): Promise<void> {
    const { certfile } = config.settings
    known.set(config, old)
    try {
      await loadCredentials(config, this.#directory)
    } catch (error) {
      return this.#log.event('certificateRefused', { error: (error as Error).message })
    }
    const { credentials, expires } = known.get(config)!
    if (isSame(credentials, old.credentials)) return void known.set(config, old)
    for (const worker of this.#state().crew.all)
      worker.tell({ type: 'credentials', ...credentials })
    this.#log.event('certificateTaken', { file: certfile, days: daysUntil(expires) })
  }

  /** Once a day. */
  #warn({ settings }: Config, expires: number): void {
    const days = daysUntil(expires)
    const { at = -Infinity, expires: before } = this.#warned ?? {}
    if (days >= SHORT_DAYS || (before === expires && Date.now() - at < WARN_AGAIN_MS)) return
    this.#warned = { expires, at: Date.now() }
    this.#log.event('certificateExpires', { file: settings.certfile, days })
  }
}

const isSame = (a: Credentials, b: Credentials): boolean =>
  a.cert === b.cert && a.key === b.key && a.ca === b.ca
