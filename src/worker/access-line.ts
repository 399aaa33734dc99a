// A line of the access log: from a format to a function, made once, and nothing in it that a client could forge a line or a
// field with. Runs in the workers that have an access log.

import { isFault, parseFormat, type Piece } from '../access-format.ts'
import { localTime } from '../local-time.ts'
import type { AccessFacts } from './access-facts.ts'

/** With its line end. `longest`: no value has more characters. */
export type Formatter = (facts: AccessFacts, longest: number) => string

export interface LineOptions {
  /** The worker's. */
  readonly pid: number
  /** Its environment, for %({NAME}e)s. */
  readonly env: Readonly<NodeJS.ProcessEnv>
}

/** `format`: `json`, or text with atoms that the settings have checked. */
export const formatter = (format: string, options: LineOptions): Formatter =>
  format === 'json' ? jsonLine(options.pid) : textLine(format, options)

// --- JSON ---

/** pino's shape, which the server's own log has as well. */
function jsonLine(pid: number): Formatter {
  const head = `{"level":"info","pid":${pid},"time":"`
  const isoTime = cached((ms) => new Date(ms).toISOString(), 1)
  const [methodText, urlText, routeText, refererText, agentText] = Array.from({ length: 5 }, recent)
  return (f, longest) => {
    const { status, bytes } = f
    const method = methodText!(f.method, longest)
    const url = urlText!(f.url, longest)
    // what has no client's text in it needs no look: the id is of harmless characters or none of the client's
    return (
      `${head}${isoTime(f.time)}","event":"request","slot":${f.slot},"id":"${f.id}"` +
      `,"remote":${quotedOrNull(f.remote)},"method":${method},"url":${url}` +
      `,"version":"${f.version}","status":${status},"bytes":${bytes ?? null}` +
      `,"seconds":${inSeconds(f.ms)},"queued":${inSeconds(f.queuedMs)},"outcome":"${f.outcome}"` +
      `,"route":${routeText!(f.route, longest)},"referer":${refererText!(f.received('referer'), longest)}` +
      `,"agent":${agentText!(f.received('user-agent'), longest)},"msg":"${method.slice(1, -1)} ${url.slice(1, -1)} ${status}"}\n`
    )
  }
}

const quotedOrNull = (text: string | undefined): string =>
  text === undefined ? 'null' : `"${text}"`

/** jsonText() that knows what it was last asked: clients, and what they ask for, come again. */
function recent(): (text: string | undefined, longest: number) => string {
  let [last, limit, said] = ['', -1, '']
  return (text, longest) => {
    if (text === undefined) return 'null'
    if (text !== last || longest !== limit)
      [last, limit, said] = [text, longest, jsonText(text, longest)]
    return said
  }
}

const NEEDS_NO_ESCAPE = /^[ !#-[\]-~]*$/

function jsonText(text: string, longest: number): string {
  const short = text.length > longest ? `${text.slice(0, longest)}...` : text
  return NEEDS_NO_ESCAPE.test(short) ? `"${short}"` : escapedJson(short)
}

/** Beyond what JSON asks for: C1 controls, which terminals obey, and what ends a line for some readers. */
const escapedJson = (text: string): string =>
  JSON.stringify(decoded(text)).replace(
    /[\x7f-\x9f\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** Node reads headers as Latin-1; most clients mean UTF-8. What is neither stays as it came. */
function decoded(text: string): string {
  if (!/[\x80-\xff]/.test(text) || /[^\x00-\xff]/.test(text)) return text
  const bytes = Buffer.from(text, 'latin1')
  const read = bytes.toString('utf8')
  return read.includes('\ufffd') ? text : read
}

/** With six decimals. By hand, because numbers with a fraction are slow to write. */
function inSeconds(ms: number): string {
  const us = Math.round(ms * 1000)
  const whole = Math.floor(us / 1e6)
  return `${whole}.${String(1e6 + us - whole * 1e6).slice(1)}`
}

// --- text ---

type Atom = (facts: AccessFacts) => string | number | undefined

function textLine(format: string, options: LineOptions): Formatter {
  const parsed = parseFormat(format)
  if (isFault(parsed)) throw new Error(`${parsed.why}, at ${parsed.at} of ${format}`)
  const atoms = parsed.map((piece) => (typeof piece === 'string' ? piece : atomOf(piece, options)))
  return (facts, longest) => {
    let line = ''
    for (const atom of atoms) line += typeof atom === 'string' ? atom : plain(atom(facts), longest)
    return `${line}\n`
  }
}

/** A field ends where the format says and nowhere else: quotes, backslashes, controls, and all bytes that are not ASCII. */
function plain(value: string | number | undefined, longest: number): string {
  if (typeof value === 'number') return String(value)
  if (value === undefined) return '-'
  const short = value.length > longest ? `${value.slice(0, longest)}...` : value
  return NEEDS_NO_ESCAPE.test(short) ? short : short.replace(/[^ !#-[\]-~]/g, hex)
}

/** As nginx and Apache have it; a character that no client can send, from the settings, as its UTF-8. */
function hex(c: string): string {
  const code = c.charCodeAt(0)
  const bytes = code < 256 ? [code] : [...Buffer.from(c)]
  return bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
}

const path = ({ url }: AccessFacts): string => url.split('?', 1)[0]!
const query = ({ url }: AccessFacts): string => {
  const at = url.indexOf('?')
  return at < 0 ? '' : url.slice(at + 1)
}
const protocol = ({ version }: AccessFacts): string => `HTTP/${version}`

const ATOMS: Readonly<Record<string, Atom>> = {
  h: (f) => f.remote,
  l: () => undefined,
  u: (f) => userOf(f.received('authorization')),
  r: (f) => `${f.method} ${f.url} ${protocol(f)}`,
  m: (f) => f.method,
  U: path,
  q: query,
  H: protocol,
  s: (f) => f.status,
  st: (f) => f.status,
  B: (f) => f.bytes,
  b: (f) => f.bytes,
  f: (f) => f.received('referer'),
  a: (f) => f.received('user-agent'),
  T: (f) => Math.floor(f.ms / 1000),
  D: (f) => Math.round(f.ms * 1000),
  M: (f) => Math.floor(f.ms),
  L: (f) => inSeconds(f.ms),
  id: (f) => f.id,
  slot: (f) => f.slot,
  queued: (f) => inSeconds(f.queuedMs),
  outcome: (f) => f.outcome,
  route: (f) => f.route,
}

function atomOf(piece: Exclude<Piece, string>, { pid, env }: LineOptions): Atom {
  if ('of' in piece) {
    const { of, name } = piece
    if (of === 'i') return (f) => f.received(name)
    return of === 'o' ? (f) => f.sent(name) : variableOf(name, env)
  }
  if (piece.atom === 'p') return () => `<${pid}>`
  if (piece.atom !== 't') return ATOMS[piece.atom]!
  const time = cached(clfTime, 1000)
  return (f) => time(f.time)
}

/** Those of WSGI that there are here. */
const VARIABLES: Readonly<Record<string, Atom>> = {
  REQUEST_METHOD: (f) => f.method,
  RAW_URI: (f) => f.url,
  PATH_INFO: path,
  QUERY_STRING: query,
  SERVER_PROTOCOL: protocol,
  REMOTE_ADDR: (f) => f.remote,
  REMOTE_PORT: (f) => f.remotePort,
  CONTENT_TYPE: (f) => f.received('content-type'),
  CONTENT_LENGTH: (f) => f.received('content-length'),
  'wsgi.url_scheme': (f) => (f.isEncrypted ? 'https' : 'http'),
}

function variableOf(name: string, env: LineOptions['env']): Atom {
  const known = Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : undefined
  if (known) return known
  const header = /^HTTP_(.+)$/.exec(name)?.[1]?.toLowerCase().replaceAll('_', '-')
  if (header !== undefined) return (f) => f.received(header)
  const value = Object.hasOwn(env, name) ? env[name] : undefined
  return () => value
}

/** Of Basic authentication; without spaces, because the common formats have it between spaces. */
function userOf(authorization: string | undefined): string | undefined {
  const encoded = /^basic +([\w+/=-]+)$/i.exec(authorization ?? '')?.[1]
  if (encoded === undefined) return undefined
  const [user = ''] = Buffer.from(encoded, 'base64').toString('latin1').split(':', 1)
  return user === '' ? undefined : user.replaceAll(' ', '_')
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `[23/Nov/2026:03:48:15 +0000]`, where the server is. */
function clfTime(ms: number): string {
  const { iso, zone } = localTime(ms)
  const month = MONTHS[Number(iso.slice(5, 7)) - 1]
  return `[${iso.slice(8, 10)}/${month}/${iso.slice(0, 4)}:${iso.slice(11, 19)} ${zone}]`
}

/** A text for a time is made once in `step` ms. */
function cached(make: (ms: number) => string, step: number): (ms: number) => string {
  let [at, text] = [-1, '']
  return (ms) => {
    const now = Math.floor(ms / step)
    if (now !== at) [at, text] = [now, make(ms)]
    return text
  }
}
