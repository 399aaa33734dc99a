// What a proxy must know of the app's certificate to speak TLS with it, and with nobody else. Runs in the CLI.
import { X509Certificate } from 'node:crypto'
import { resolve } from 'node:path'
import { textAt } from '../read-text.ts'
import type { Settings } from '../settings.ts'

/** `unknown`: there is TLS, but its certificate is not here, or is none. */
export type Certificate = 'unknown' | KnownCertificate

export interface KnownCertificate {
  /** A host that it is for. */
  readonly name: string
  /** The file that vouches for it: its own, absolute; undefined where the authorities of the system do. */
  readonly authority: string | undefined
}

/** Undefined without TLS. */
export function certificateOf(
  { certfile, chdir }: Settings,
  directory: string,
): Certificate | undefined {
  if (certfile === '') return undefined
  const path = resolve(directory, chdir, certfile)
  const certificate = read(path)
  const name = certificate && nameIn(certificate)
  if (!name) return 'unknown'
  return { name, authority: isItsOwn(certificate) ? path : undefined }
}

function read(path: string): X509Certificate | undefined {
  const text = textAt(path)
  if (text === '') return undefined
  try {
    return new X509Certificate(text)
  } catch (error) {
    // ERR_OSSL_...: it is none, as supervisor check says
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return undefined
  }
}

function nameIn({ subjectAltName = '', subject }: X509Certificate): string | undefined {
  const name = /\bDNS:([^,\s]+)/.exec(subjectAltName)?.[1] ?? /^CN=(\S+)$/m.exec(subject)?.[1]
  return name?.replace(/^\*\./, 'www.')
}

const isItsOwn = (certificate: X509Certificate): boolean =>
  certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey)
