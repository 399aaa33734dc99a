// What is wrong with a certificate, its key and the settings of TLS, in a person's words.
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config.ts'
import { readCertificate, type TlsSettings } from '../../src/master/certificate.ts'

const directory = fileURLToPath(new URL('../fixtures/tls', import.meta.url))
const read = (settings: Partial<TlsSettings>) =>
  readCertificate(
    {
      certfile: 'cert.pem',
      keyfile: 'key.pem',
      caCerts: '',
      ciphers: '',
      tlsMinVersion: 'TLSv1.2',
      ...settings,
    },
    directory,
  )

describe('a certificate', () => {
  test('and its key are read, with the day of its end', () => {
    const { credentials, expires } = read({ caCerts: 'ca.pem' })
    expect(new Date(expires).getUTCFullYear()).toBe(2126)
    expect(Buffer.from(credentials.ticketKeys, 'base64')).toHaveLength(48)
    expect(credentials.ca).toContain('BEGIN CERTIFICATE')
  })

  test('may be in one file with its key', () => {
    const { credentials, expires } = read({ certfile: 'expired-with-key.pem', keyfile: '' })
    expect(credentials.key).toBe(credentials.cert)
    expect(new Date(expires).toISOString()).toBe('2021-01-01T00:00:00.000Z')
  })

  test.each<[Partial<TlsSettings>, RegExp]>([
    [{ certfile: 'nowhere.pem' }, /^--certfile nowhere.pem cannot be read: ENOENT/],
    [{ keyfile: 'nowhere.pem' }, /^--keyfile nowhere.pem cannot be read: ENOENT/],
    [{ keyfile: '' }, /^there is no private key in --certfile cert.pem; .*--keyfile/],
    [{ keyfile: 'cert.pem' }, /^there is no private key in --keyfile cert.pem$/],
    [{ keyfile: 'renewed-key.pem' }, /^the key in --keyfile renewed-key.pem does not belong/],
    [{ keyfile: 'encrypted-key.pem' }, /^the key in .* is encrypted: write it without/],
    [{ certfile: 'key.pem' }, /^--certfile key.pem has no certificate: it must be a PEM file/],
    [{ caCerts: 'key.pem' }, /^--ca-certs key.pem has no certificate/],
    [{ certfile: '.' }, /^--certfile . cannot be read: EISDIR/],
    [{ ciphers: 'ROT13' }, /^--ciphers ROT13 has none that OpenSSL knows: .*no cipher/i],
  ])('%j is refused', (settings, says) => {
    expect(() => read(settings)).toThrow(
      expect.objectContaining({
        code: 'BAD_CERTIFICATE',
        exit: 2,
        message: expect.stringMatching(says) as string,
      }),
    )
  })
})

test.each([
  ['--http2', /^--http2 needs --certfile/],
  ['--keyfile k.pem', /^--keyfile needs --certfile/],
  ['--cert-reqs 2', /^--cert-reqs needs --certfile/],
  ['--certfile c.pem --cert-reqs 1', /^--cert-reqs optional needs --ca-certs/],
  ['--certfile c.pem --cert-reqs 3', /^--cert-reqs is "3"; it must be one of none, optional, req/],
])('the settings %s are refused', async (flags, says) => {
  await expect(loadConfig({ argv: flags.split(' '), env: {}, cwd: directory })).rejects.toThrow(
    says,
  )
})
