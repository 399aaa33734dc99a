// The access log's parts that are pure: formats and their atoms, forged values, whom X-Forwarded-For is believed.
import { describe, expect, test } from 'vitest'
import { isFault, meantFormat, parseFormat } from '../../src/access-format.ts'
import { isNetwork, memberOf } from '../../src/networks.ts'
import type { AccessFacts } from '../../src/worker/access-facts.ts'
import { formatter } from '../../src/worker/access-line.ts'
import { ClientAddress } from '../../src/worker/client-address.ts'

interface Given extends Partial<AccessFacts> {
  readonly headers?: Readonly<Record<string, string>>
}

const factsOf = ({ headers = {}, ...more }: Given = {}): AccessFacts => ({
  time: Date.UTC(2026, 10, 23, 3, 4, 5, 678),
  remote: '203.0.113.9',
  remotePort: 4711,
  method: 'GET',
  url: '/a/b?x=1&y=2',
  version: '1.1',
  isEncrypted: false,
  status: 201,
  bytes: 12,
  ms: 1234.5678,
  queuedMs: 250,
  outcome: 'ok',
  route: 'GET /a/*',
  id: 'id-1',
  slot: 3,
  received: (name) => headers[name],
  sent: (name) => ({ 'content-type': 'text/plain' })[name],
  ...more,
})

const line = (format: string, given?: Given, longest = Infinity): string =>
  formatter(format, { pid: 77, env: { REGION: 'eu 1', PATH_INFO: 'not this' } })(
    factsOf(given),
    longest,
  )

const headers = {
  referer: 'http://r/',
  'user-agent': 'curl/8',
  authorization: `Basic ${Buffer.from('jo:s:ecret').toString('base64')}`,
  host: 'shop',
  'x-tenant': 'blue',
}

const atoms: [atom: string, text: string][] = [
  ['%(h)s', '203.0.113.9'],
  ['%(l)s', '-'],
  ['%(u)s', 'jo'],
  ['%(r)s', 'GET /a/b?x=1&y=2 HTTP/1.1'],
  ['%(m)s', 'GET'],
  ['%(U)s', '/a/b'],
  ['%(q)s', 'x=1&y=2'],
  ['%(H)s', 'HTTP/1.1'],
  ['%(s)s', '201'],
  ['%(st)s', '201'],
  ['%(B)s', '12'],
  ['%(b)s', '12'],
  ['%(f)s', 'http://r/'],
  ['%(a)s', 'curl/8'],
  ['%(T)s', '1'],
  ['%(M)s', '1234'],
  ['%(D)s', '1234568'],
  ['%(D)d', '1234568'],
  ['%(L)s', '1.234568'],
  ['%(p)s', '<77>'],
  ['%({Host}i)s', 'shop'],
  ['%({X-TENANT}i)s', 'blue'],
  ['%({x-none}i)s', '-'],
  ['%({Content-Type}o)s', 'text/plain'],
  ['%({x-none}o)s', '-'],
  ['%({REGION}e)s', 'eu 1'],
  ['%({NOWHERE}e)s', '-'],
  ['%({toString}e)s', '-'],
  ['%({REQUEST_METHOD}e)s', 'GET'],
  ['%({PATH_INFO}e)s', '/a/b'],
  ['%({QUERY_STRING}e)s', 'x=1&y=2'],
  ['%({RAW_URI}e)s', '/a/b?x=1&y=2'],
  ['%({SERVER_PROTOCOL}e)s', 'HTTP/1.1'],
  ['%({REMOTE_ADDR}e)s', '203.0.113.9'],
  ['%({REMOTE_PORT}e)s', '4711'],
  ['%({HTTP_X_TENANT}e)s', 'blue'],
  ['%({wsgi.url_scheme}e)s', 'http'],
  ['%(id)s', 'id-1'],
  ['%(slot)s', '3'],
  ['%(queued)s', '0.250000'],
  ['%(outcome)s', 'ok'],
  ['%(route)s', 'GET /a/*'],
  ['100%% of %(m)s', '100% of GET'],
]

describe('a format', () => {
  for (const [atom, text] of atoms)
    test(`${atom} is ${text}`, () => expect(line(atom, { headers })).toBe(`${text}\n`))

  test('has the time where the server is', () => {
    const text = line('%(t)s').trim()
    const [, day, month, year, clock, zone] =
      /^\[(\d\d)\/(\w{3})\/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\]$/.exec(text) ?? []
    expect(Date.parse(`${day} ${month} ${year} ${clock} ${zone}`)).toBe(
      Date.UTC(2026, 10, 23, 3, 4, 5),
    )
  })

  test('says - where nothing is known', () => {
    const nothing = { remote: undefined, bytes: undefined, route: undefined, remotePort: undefined }
    const format = '%(h)s %(u)s %(b)s %(f)s %(a)s %(route)s %({REMOTE_PORT}e)s'
    expect(line(format, nothing)).toBe('- - - - - - -\n')
    expect(line('%(q)s|%(U)s', { url: '/plain' })).toBe('|/plain\n')
  })

  test('is meant by a word', () => {
    expect(meantFormat('auto', false)).toBe('json')
    expect(meantFormat('json', true)).toBe('json')
    expect(meantFormat('%(m)s', true)).toBe('%(m)s')
    const text = line(meantFormat('combined', false), { headers })
    expect(text).toMatch(
      /^203\.0\.113\.9 - jo \[.*\] "GET \/a\/b\?x=1&y=2 HTTP\/1\.1" 201 12 "http:\/\/r\/" "curl\/8"\n$/,
    )
    expect(line(meantFormat('common', false), { headers })).toMatch(/ HTTP\/1\.1" 201 12\n$/)
    expect(line(meantFormat('auto', true), { headers })).toMatch(/ "curl\/8" 1\.234568\n$/)
  })

  const faults: [format: string, at: number, why: RegExp][] = [
    ['%(h)s %(zz)s', 6, /^%\(zz\)s is not an atom; there are h, l, u/],
    ['%h', 0, /written as %\(h\)s/],
    ['ok %', 3, /written as %\(h\)s/],
    ['%(h)', 0, /must end in s/],
    ['%(h)x', 0, /must end in s/],
    ['%({Host})s', 0, /written as %\(h\)s/],
    ['%({Host}x)s', 0, /must end in i/],
    ['%(__proto__)s', 0, /is not an atom/],
    ['a\nb', 1, /control characters/],
  ]
  for (const [format, at, why] of faults)
    test(`${JSON.stringify(format)} is wrong at ${at}`, () => {
      const parsed = parseFormat(format)
      expect(isFault(parsed) && parsed.at).toBe(at)
      expect(isFault(parsed) && parsed.why).toMatch(why)
    })
})

describe('JSON', () => {
  test("is a line of pino's shape", () => {
    const text = line('json', { headers })
    expect(text).toMatch(/^\{"level":"info","pid":77,"time":"2026-11-23T03:04:05\.678Z",.*\}\n$/)
    expect(JSON.parse(text)).toEqual({
      level: 'info',
      pid: 77,
      time: '2026-11-23T03:04:05.678Z',
      event: 'request',
      slot: 3,
      id: 'id-1',
      remote: '203.0.113.9',
      method: 'GET',
      url: '/a/b?x=1&y=2',
      version: '1.1',
      status: 201,
      bytes: 12,
      seconds: 1.234568,
      queued: 0.25,
      outcome: 'ok',
      route: 'GET /a/*',
      referer: 'http://r/',
      agent: 'curl/8',
      msg: 'GET /a/b?x=1&y=2 201',
    })
  })

  test('has null where nothing is known, and times of any length', () => {
    const nothing = { remote: undefined, bytes: undefined, route: undefined, queuedMs: 0 }
    const format = formatter('json', { pid: 1, env: {} })
    const read = (given: Given): unknown => JSON.parse(format(factsOf(given), Infinity))
    expect(read({ ...nothing, ms: 0.0004 })).toMatchObject({
      remote: null,
      bytes: null,
      route: null,
      referer: null,
      agent: null,
      queued: 0,
      seconds: 0,
    })
    expect(read({ ms: 3_600_000.25 })).toMatchObject({ seconds: 3600.00025, remote: '203.0.113.9' })
    expect(read({ ms: 999.9999 })).toMatchObject({ seconds: 1 })
  })

  test('remembers no value of another request', () => {
    const format = formatter('json', { pid: 1, env: {} })
    const read = (given: Given, longest = Infinity): unknown =>
      JSON.parse(format(factsOf(given), longest))
    const agents = ['one', 'two', 'two', 'one']
    for (const agent of agents)
      expect(read({ headers: { 'user-agent': agent }, url: `/${agent}` })).toMatchObject({
        agent,
        url: `/${agent}`,
        referer: null,
      })
    expect(read({ url: '/one' }, 2)).toMatchObject({ url: '/o...', agent: null })
    expect(read({ url: '/one' })).toMatchObject({ url: '/one' })
  })

  test('reads UTF-8, which node takes for Latin-1, and leaves alone what is none', () => {
    const latin1 = (text: string): string => Buffer.from(text).toString('latin1')
    const agent = (value: string): unknown =>
      (JSON.parse(line('json', { headers: { 'user-agent': value } })) as { agent: unknown }).agent
    expect(agent(latin1('Zoë 🦄'))).toBe('Zoë 🦄')
    expect(agent('\xff\xfe')).toBe('\xff\xfe')
    expect(agent(`${latin1('ë')}\xe9`)).toBe(`${latin1('ë')}\xe9`)
  })
})

describe('a forged value', () => {
  const evil = [
    'a" 200 0 "-" "b',
    'a\nb',
    'a\r\nb',
    '\x1b[2J\x07\x00',
    '\\" \\',
    '\x9b31m\x85',
    '\xff\xfe\xc3(',
    '\u2028\u2029',
    '%(h)s %s',
  ]
  for (const value of evil)
    test(`${JSON.stringify(value)} stays in its field, on its line`, () => {
      const given = {
        method: value,
        url: value,
        route: value,
        headers: { 'user-agent': value, referer: value, authorization: basic(value) },
      }
      const text = line('%(u)s|"%(r)s"|"%(a)s"|%(f)s|%(route)s', given)
      expect(text).toMatch(/^[ -~]*\n$/)
      expect(text.match(/(?<!\\)"/g)).toHaveLength(4)
      expect(text.split('|')[0]).not.toMatch(/[ "]/)
      const json = line('json', given)
      expect(json).toMatch(/^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\n$/)
      expect(JSON.parse(json)).toMatchObject({ agent: expect.any(String) as string, status: 201 })
    })

  test('can be read again', () => {
    expect(line('%(a)s', { headers: { 'user-agent': '"\\\n\xe9é' } })).toBe(
      '\\x22\\x5c\\x0a\\xe9\\xe9\n',
    )
    expect(line('%(route)s', { route: 'GET /☃' })).toBe('GET /\\xe2\\x98\\x83\n')
  })

  test('is cut where lines must be short', () => {
    const given = { url: `/${'x'.repeat(5_000)}` }
    expect(line('%(m)s %(U)s', given, 4)).toBe('GET /xxx...\n')
    expect(line('json', given, 64).length).toBeLessThan(600)
    expect(JSON.parse(line('json', given, 64))).toMatchObject({ method: 'GET' })
  })
})

const basic = (user: string): string =>
  `Basic ${Buffer.from(`${user}:x`, 'latin1').toString('base64')}`

describe('the client is', () => {
  const proxies = ['127.0.0.1', '::1', '10.0.0.0/8', 'fd00::/8']
  const cases: [
    peer: string | undefined,
    forwarded: string | undefined,
    client: string | undefined,
    trusted?: string[],
  ][] = [
    ['127.0.0.1', undefined, '127.0.0.1'],
    ['127.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['::1', '203.0.113.9', '203.0.113.9'],
    ['::ffff:127.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['::ffff:10.1.2.3', '203.0.113.9', '203.0.113.9'],
    ['fd12::1', '2001:db8::7', '2001:db8::7'],
    ['198.51.100.1', '203.0.113.9', '198.51.100.1'],
    [undefined, '203.0.113.9', '203.0.113.9'],
    [undefined, undefined, undefined],
    ['', '203.0.113.9', undefined],
    ['', undefined, undefined],
    ['127.0.0.1', '1.1.1.1, 203.0.113.9, 10.0.0.1', '203.0.113.9'],
    ['127.0.0.1', '1.1.1.1,203.0.113.9', '203.0.113.9'],
    ['127.0.0.1', '10.0.0.2, 10.0.0.1', '10.0.0.2'],
    ['127.0.0.1', 'unknown', '127.0.0.1'],
    ['127.0.0.1', '1.1.1.1, garbage", 10.0.0.1', '10.0.0.1'],
    ['127.0.0.1', '', '127.0.0.1'],
    ['127.0.0.1', '203.0.113.9:4711', '203.0.113.9'],
    ['127.0.0.1', '[2001:db8::7]:4711', '2001:db8::7'],
    ['127.0.0.1', '[2001:db8::7]', '2001:db8::7'],
    ['127.0.0.1', '999.1.1.1', '127.0.0.1'],
    ['127.0.0.1', 'fe80::1%eth0', 'fe80::1%eth0'],
    ['198.51.100.1', '1.1.1.1, 203.0.113.9', '1.1.1.1', ['*']],
    ['198.51.100.1', '1.1.1.1, x, 203.0.113.9', '203.0.113.9', ['*']],
    ['127.0.0.1', '203.0.113.9', '127.0.0.1', []],
  ]
  for (const [peer, forwarded, client, trusted = proxies] of cases)
    test(`${client} for ${peer} and ${forwarded}, with ${trusted.join(' ')} trusted`, () => {
      expect(new ClientAddress(trusted).of(peer, forwarded)).toBe(client)
    })
})

describe('networks', () => {
  const known: [text: string, is: boolean][] = [
    ['*', true],
    ['127.0.0.1', true],
    ['10.0.0.0/8', true],
    ['10.0.0.0/0', true],
    ['::1', true],
    ['fd00::/8', true],
    ['::/128', true],
    ['10.0.0.0/33', false],
    ['::/129', false],
    ['10.0.0.0/', false],
    ['10.0.0/8', false],
    ['10.0.0.0/8/8', false],
    ['10.0.0.0/-1', false],
    ['localhost', false],
    ['', false],
    ['fe80::1%eth0', false],
  ]
  for (const [text, is] of known)
    test(`${text} is ${is ? 'one' : 'none'}`, () => expect(isNetwork(text)).toBe(is))

  test('go on answering when more addresses have asked than are remembered', () => {
    const isMember = memberOf(['10.0.0.0/8'])
    const asked = Array.from(
      { length: 2_500 },
      (_, n) => `${n % 2 ? 10 : 11}.0.${n % 250}.${n % 199}`,
    )
    for (const address of asked) expect(isMember(address)).toBe(address.startsWith('10.'))
  })
})
