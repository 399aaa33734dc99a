// Requests as RFC 9112 lets them be, and as it forbids them: each with what a server may take it for. Those that are forbidden carry a
// second request inside, which no application may ever see.
import fc from 'fast-check'

/**
 * What the application may be told. `read`: all of it, as said here; `maybe`: that, or nothing of it and of what follows; `begun`: its headers
 * at most; `never`: nothing; `passed`: nothing, but where it ends is known, so that what follows may be read.
 */
export type Fate = 'read' | 'maybe' | 'begun' | 'never' | 'passed'

export interface Message {
  readonly bytes: string
  readonly fate: Fate
  readonly method: string
  readonly target: string
  readonly body: string
}

/** What hides in a body, or behind a request that is refused. */
export const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n'

const chunked = (body: string, size: number, extension = ''): string => {
  const chunks = body.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
  const coded = chunks.map((one) => `${one.length.toString(16)}${extension}\r\n${one}\r\n`)
  return `${coded.join('')}0\r\n\r\n`
}

interface Parts {
  readonly method?: string
  readonly target: string
  readonly version?: string
  readonly host?: string
  readonly headers?: readonly string[]
  readonly end?: string
}

const head = ({
  method = 'POST',
  target,
  version = 'HTTP/1.1',
  host = 'Host: a',
  headers = [],
  end = '\r\n',
}: Parts): string =>
  [`${method} ${target} ${version}`, ...(host === '' ? [] : [host]), ...headers, '', ''].join(end)

/** Of a body that hides a request. */
const LENGTH = `Content-Length: ${SMUGGLED.length}`
const CODED = 'Transfer-Encoding: chunked'

const TARGET = '/a?on=NAME'

const message = (fate: Fate, bytes: string, more: Partial<Message> = {}): Message => ({
  bytes,
  fate,
  method: 'POST',
  target: TARGET,
  body: SMUGGLED,
  ...more,
})

/** A request with these headers before a body that hides another one. */
const withHeaders = (fate: Fate, ...headers: string[]): Message =>
  message(fate, head({ target: TARGET, headers }) + SMUGGLED)

const withHead = (fate: Fate, parts: Partial<Parts>): Message =>
  message(fate, head({ target: TARGET, headers: [LENGTH], ...parts }) + SMUGGLED)

/** The same, chunked in this way. */
const withChunks = (fate: Fate, body: string, ...headers: string[]): Message =>
  message(fate, head({ target: TARGET, headers: headers.length > 0 ? headers : [CODED] }) + body)

const get = (parts: Partial<Parts>, fate: Fate = 'read'): Message => {
  const all = { method: 'GET', target: TARGET, ...parts }
  return message(fate, head(all), { method: all.method, target: all.target, body: '' })
}

/** What is right. */
const good: fc.Arbitrary<Message> = fc.oneof(
  fc.constantFrom(
    get({}),
    get({ target: `http://a${TARGET}` }),
    get({ headers: ['X-Space: \t padded \t '] }),
    get({ headers: ['x-EMPTY:'] }),
    get({ method: 'OPTIONS' }),
    get({ headers: ['Content-Length: 0'] }),
    withHeaders('read', LENGTH),
    withHeaders('read', `cOnTeNt-LeNgTh:${SMUGGLED.length}`),
    withHeaders('read', `Content-Length: 000${SMUGGLED.length}`),
    withChunks('read', chunked(SMUGGLED, 7)),
    withChunks('read', chunked(SMUGGLED, 7), 'transfer-encoding: CHUNKED'),
  ),
  fc
    .record({
      body: fc.string({ unit: 'binary-ascii', maxLength: 200 }),
      size: fc.integer({ min: 1, max: 50 }),
      extension: fc.constantFrom('', ';a', ';a=b', ';a="quoted"'),
    })
    .map(({ body, size, extension }) =>
      message('read', head({ target: TARGET, headers: [CODED] }) + chunked(body, size, extension), {
        body,
      }),
    ),
)

const CONFLICTS = [
  [LENGTH, 'Content-Length: 0'],
  ['Content-Length: 0', LENGTH],
  [`Content-Length: ${SMUGGLED.length}, 0`],
  [`Content-Length: 0, ${SMUGGLED.length}`],
  ['Content-Length: 0', 'Content-Length: 0', LENGTH],
]
const LENGTHS = [
  '-1',
  '+0',
  '0x0',
  '0 0',
  '1e0',
  '',
  '0,',
  '0.0',
  '٠',
  '99999999999999999999',
  '0\x00',
  '\x0b0',
]
const CODINGS = [
  'xchunked',
  'chunked, identity',
  'chunked chunked',
  'chunked\x0b',
  'chunked\x00',
  '"chunked"',
  'gzip, chunked-not',
  ', chunked,x',
]
/** Lines among the headers. */
const LINES = [
  'Content-Length : 0',
  'Transfer-Encoding : chunked',
  'Transfer\x00-Encoding: chunked',
  'Content Length: 0',
  ': no name',
  'no colon',
  'X: nul \x00 nul',
  'X: cr \r cr',
  'X: a\rTransfer-Encoding: chunked',
  'X(y): 1',
  'X\x7f: 1',
]
/** Sizes of chunks. */
const SIZES = [
  '0x0',
  '-0',
  '+0',
  ' 0',
  'g',
  '',
  '0\x00',
  '10000000000000000',
  'FFFFFFFFFFFFFFFFF',
  '0;\x00',
  '0 0',
  '1e0;\n',
]

const refused: fc.Arbitrary<Message> = fc.oneof(
  fc.constantFrom(...CONFLICTS).map((headers) => withHeaders('never', ...headers)),
  fc.constantFrom(...LENGTHS).map((value) => withHeaders('never', `Content-Length: ${value}`)),
  fc.constantFrom(...CODINGS).map((value) => withHeaders('begun', `Transfer-Encoding: ${value}`)),
  fc.constantFrom(...LINES).map((line) => withHeaders('never', line, LENGTH)),
  fc
    .constantFrom([LENGTH, CODED], [CODED, LENGTH], ['Content-Length: 4', CODED])
    .map((headers) => withHeaders('never', ...headers)),
  fc.constantFrom(...SIZES).map((size) => withChunks('begun', `${size}\r\n${SMUGGLED}`)),
  fc.constantFrom(
    // data longer or shorter than its chunk says, an end that is none
    withChunks('begun', `3\r\nabcd\r\n0\r\n\r\n${SMUGGLED}`),
    withChunks('begun', `3\r\nabc${SMUGGLED}`),
    withChunks('begun', `3\r\nabc\n0\n\n${SMUGGLED}`),
    withChunks('begun', `1;${'e'.repeat(20_000)}\r\na\r\n0\r\n\r\n${SMUGGLED}`),
    withChunks('begun', `0\r\nX: a\x00b\r\n\r\n${SMUGGLED}`),
    withHead('never', { version: 'HTTP/1.1 x' }),
    withHead('never', { version: 'HTTP/3.7' }),
    withHead('never', { version: 'http/1.1' }),
    withHead('never', { version: 'HTTP/1.' }),
    withHead('never', { target: `${TARGET} x` }),
    withHead('never', { target: `${TARGET}\x00` }),
    withHead('never', { method: 'P\x00ST' }),
    withHead('never', { method: 'NOT/ONE' }),
    withHead('passed', { host: '' }),
    withHead('never', { headers: [`X: ${'x'.repeat(20_000)}`, LENGTH] }),
    withHead('never', { target: `/${'x'.repeat(20_000)}?on=NAME` }),
  ),
)

/** What some servers read and some refuse; who reads it must read this. */
const lenient: fc.Arbitrary<Message> = fc.constantFrom(
  withHeaders('maybe', LENGTH, LENGTH),
  withHeaders('maybe', `Content-Length: ${SMUGGLED.length}, ${SMUGGLED.length}`),
  withHeaders('maybe', 'X: folded', ' and more', LENGTH),
  withHeaders('maybe', 'X: folded', '\tContent-Length: 0', LENGTH),
  withHeaders('passed', 'Host: b', LENGTH),
  withHeaders('maybe', 'Content_Length: 0', LENGTH),
  withChunks('maybe', chunked(SMUGGLED, 9), CODED, CODED),
  withChunks('maybe', chunked(SMUGGLED, 9), 'Transfer-Encoding: gzip, chunked'),
  withChunks('maybe', chunked(SMUGGLED, 9, ' ;a')),
  withChunks('maybe', `${chunked(SMUGGLED, 9).slice(0, -2)}X-Trailer: 1\r\n\r\n`),
  message('maybe', head({ target: TARGET, headers: [LENGTH], end: '\n' }) + SMUGGLED),
  message(
    'maybe',
    head({ target: TARGET, version: 'HTTP/1.0', headers: [CODED] }) + chunked(SMUGGLED, 9),
  ),
  get({ target: '/é?on=NAME' }, 'maybe'),
  get({ target: '*', method: 'OPTIONS' }, 'maybe'),
  message('maybe', `\r\n\r\n${get({}).bytes}`, { method: 'GET', body: '' }),
)

export const messages: fc.Arbitrary<Message[]> = fc.array(
  fc.oneof({ arbitrary: good, weight: 3 }, { arbitrary: refused, weight: 3 }, lenient),
  { minLength: 1, maxLength: 4 },
)

/** In what pieces they come; 0 to 1 of the length. */
export const cuts: fc.Arbitrary<number[]> = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
  maxLength: 4,
})

const TOKENS = [
  ...[
    'GET ',
    'POST ',
    '/ ',
    '/a?on=NAME',
    ' HTTP/1.1',
    ' HTTP/1.0',
    '\r\n',
    '\r\n',
    '\r',
    '\n',
    '\0',
    ' ',
    '\t',
    ':',
    ';',
    ',',
  ],
  ...[
    'Host: a\r\n',
    `${LENGTH}\r\n`,
    `${CODED}\r\n`,
    'Content-Length: 5\r\n',
    'Expect: 100-continue\r\n',
    'Connection: close\r\n',
  ],
  ...[
    'Connection: upgrade\r\nUpgrade: websocket\r\n',
    '0\r\n\r\n',
    '5\r\nhello\r\n',
    SMUGGLED,
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ],
  ...['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', '\x16\x03\x01', 'é', '\xff', 'x'.repeat(9_000)],
]

/** No request at all, or nearly one. */
export const soup: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { arbitrary: fc.constantFrom(...TOKENS), weight: 8 },
      fc.string({ unit: 'binary-ascii', maxLength: 8 }),
      fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    ),
    { minLength: 1, maxLength: 24 },
  )
  .map((parts) => parts.join(''))
