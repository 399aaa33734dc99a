// Reads a certificate, its key and the authorities of clients, and says what is wrong with them in a person's words. Runs in
// the master; imported only with --certfile, because it loads TLS.

import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import { resolve } from 'node:path'
import { createSecureContext } from 'node:tls'
import { fs } from '../builtin.ts'
import { UserError } from '../errors.ts'
import type { Credentials } from '../protocol.ts'
import type { Settings } from '../settings.ts'

export type TlsSettings = Pick<
  Settings,
  'certfile' | 'keyfile' | 'caCerts' | 'ciphers' | 'tlsMinVersion'
>

export interface Read {
  readonly credentials: Credentials
  /** Ms since 1970. */
  readonly expires: number
}

/** `directory`: where relative paths begin. Throws BAD_CERTIFICATE. */
export function readCertificate(settings: TlsSettings, directory: string): Read {
  const { certfile, keyfile, caCerts } = settings
  const read = (flag: string, file: string): string => readPem(flag, file, resolve(directory, file))
  const cert = read('--certfile', certfile)
  const key = keyfile === '' ? cert : read('--keyfile', keyfile)
  const ca = caCerts === '' ? undefined : read('--ca-certs', caCerts)
  const own = parseCertificate('--certfile', certfile, cert)
  if (ca !== undefined) parseCertificate('--ca-certs', caCerts, ca)
  const whereKey = keyfile === '' ? `--certfile ${certfile}` : `--keyfile ${keyfile}`
  if (!own.checkPrivateKey(parseKey(whereKey, key, keyfile === '')))
    throw bad(`the key in ${whereKey} does not belong to the certificate in --certfile ${certfile}`)
  const pems = { cert, key, ...(ca !== undefined && { ca }) }
  checkTogether(pems, settings)
  const ticketKeys = randomBytes(48).toString('base64')
  return { credentials: { ...pems, ticketKeys }, expires: Date.parse(own.validTo) }
}

const bad = (message: string, cause?: unknown): UserError =>
  new UserError('BAD_CERTIFICATE', message, { cause })

const messageOf = (error: unknown): string => (error as Error).message

function readPem(flag: string, file: string, path: string): string {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch (error) {
    // ENOENT, EACCES, EISDIR: all of them are the person's to mend
    throw bad(`${flag} ${file} cannot be read: ${messageOf(error)}`, error)
  }
}

/** The first one of the file. */
function parseCertificate(flag: string, file: string, pem: string): X509Certificate {
  if (!pem.includes('-----BEGIN CERTIFICATE-----'))
    throw bad(`${flag} ${file} has no certificate: it must be a PEM file, with BEGIN CERTIFICATE`)
  try {
    return new X509Certificate(pem)
  } catch (error) {
    throw bad(`${flag} ${file} has a certificate that cannot be read: ${messageOf(error)}`, error)
  }
}

function parseKey(
  where: string,
  pem: string,
  isMissing: boolean,
): ReturnType<typeof createPrivateKey> {
  if (/-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(pem))
    throw bad(
      `the key in ${where} is encrypted: write it without its passphrase, by openssl pkey -in KEY -out PLAIN-KEY`,
    )
  if (!/-----BEGIN ([A-Z]+ )?PRIVATE KEY-----/.test(pem))
    throw bad(
      `there is no private key in ${where}${isMissing ? '; name its file with --keyfile' : ''}`,
    )
  try {
    return createPrivateKey(pem)
  } catch (error) {
    throw bad(`the key in ${where} cannot be read: ${messageOf(error)}`, error)
  }
}

/** What only OpenSSL itself can tell: ciphers that do not exist, a key that is too weak. */
function checkTogether(
  pems: { cert: string; key: string; ca?: string },
  { ciphers, tlsMinVersion, certfile }: TlsSettings,
): void {
  const make = (ciphers: string): unknown =>
    createSecureContext({ ...pems, minVersion: tlsMinVersion, ...(ciphers && { ciphers }) })
  try {
    make('')
  } catch (error) {
    throw bad(`TLS cannot use --certfile ${certfile}: ${messageOf(error)}`, error)
  }
  try {
    make(ciphers)
  } catch (error) {
    throw bad(`--ciphers ${ciphers} has none that OpenSSL knows: ${messageOf(error)}`, error)
  }
}
