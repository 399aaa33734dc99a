// The kinds of settings that listening has: TLS, the PROXY protocol, the rights of unix sockets. A leaf under settings.ts.
import * as v from 'valibot'
import { UserError } from './errors.ts'
import { octal, oneOf, type Kind } from './kinds.ts'

const CERT_REQS = ['none', 'optional', 'required'] as const
export type CertReqs = (typeof CERT_REQS)[number]

/** Whether clients must show a certificate; 0, 1 and 2 are Gunicorn's (Python's) names for it. */
export const certReqs = (): Kind<string | number, CertReqs> => {
  const words = oneOf(CERT_REQS, { 0: 'none', 1: 'optional', 2: 'required' } as const)
  const numbers = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2))
  return {
    ...words,
    schema: v.union([
      words.schema as v.GenericSchema<string, CertReqs>,
      v.pipe(
        numbers,
        v.transform((n) => CERT_REQS[n] as CertReqs),
      ),
    ]),
  }
}

const PROXY_MODES = ['off', 'v1', 'v2', 'auto'] as const
export type ProxyMode = (typeof PROXY_MODES)[number]

/** Which version of the PROXY protocol connections begin with; on and off as everywhere. */
export const proxyMode = (): Kind<string | boolean, ProxyMode> => {
  const words = oneOf(PROXY_MODES, { on: 'auto', true: 'auto', false: 'off' } as const)
  return {
    ...words,
    schema: v.union([
      words.schema as v.GenericSchema<string, ProxyMode>,
      v.pipe(
        v.boolean(),
        v.transform((on): ProxyMode => (on ? 'auto' : 'off')),
      ),
    ]),
  }
}

/** The mode of a file: octal text, or a number (in JavaScript 0o660). */
export const fileMode = (): Kind<string | number, number | undefined> =>
  octal(/^(0o)?0?[0-7]{3}$/, 'an octal mode from 000 to 777, such as "660"')

/** What is wrong with the settings of TLS together. */
export function tlsFault(settings: {
  readonly certfile: string
  readonly keyfile: string
  readonly caCerts: string
  readonly certReqs: CertReqs
  readonly http2: boolean
}): UserError | undefined {
  const { certfile, keyfile, caCerts, certReqs, http2 } = settings
  const asks = [keyfile && '--keyfile', caCerts && '--ca-certs', http2 && '--http2'].find(Boolean)
  const needy = asks || (certReqs !== 'none' && '--cert-reqs')
  if (certfile === '' && needy)
    return new UserError('BAD_SETTING', `${needy} needs --certfile: without it there is no TLS`)
  if (certReqs !== 'none' && caCerts === '')
    return new UserError(
      'BAD_SETTING',
      `--cert-reqs ${certReqs} needs --ca-certs: a file with the authorities that clients must come from`,
    )
  return undefined
}
