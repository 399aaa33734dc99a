// The header of the PROXY protocol: what is read, what is refused, and that no bytes whatever can harm.
import { expect, test } from 'vitest'
import { readProxyHeader, type Header } from '../../src/worker/proxy-header.ts'

const read = (bytes: string | Buffer, mode: 'v1' | 'v2' | 'auto' = 'auto'): Header =>
  readProxyHeader(Buffer.from(bytes as string, 'latin1'), mode)

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** `size`: what it claims, if not the truth. */
function v2(command: number, family: number, body: readonly number[], size = body.length): Buffer {
  return Buffer.concat([
    SIGNATURE,
    Buffer.from([command, family, size >> 8, size & 255]),
    Buffer.from(body),
  ])
}

const IPV4 = [203, 0, 113, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80]
const IPV6 = [
  ...[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
  ...[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  ...[0x1f, 0x90, 0, 80],
]
const client4 = { address: '203.0.113.7', port: 8080, family: 'IPv4' }
const client6 = { address: '2001:db8::7', port: 8080, family: 'IPv6' }

test.each<[string, Buffer | string, object | undefined]>([
  ['TCP4', 'PROXY TCP4 203.0.113.7 10.0.0.1 8080 80\r\n', client4],
  ['TCP6', 'PROXY TCP6 2001:DB8:0::7 2001:db8::1 8080 80\r\n', client6],
  ['UNKNOWN', 'PROXY UNKNOWN\r\n', undefined],
  ['UNKNOWN with whatever', 'PROXY UNKNOWN ff::1 ff::2 1 x\r\n', undefined],
  ['IPv4 in version 2', v2(0x21, 0x11, IPV4), client4],
  ['IPv6 in version 2', v2(0x21, 0x21, IPV6), client6],
  ['additions in version 2', v2(0x21, 0x11, [...IPV4, 4, 0, 2, 1, 1]), client4],
  ['LOCAL', v2(0x20, 0x00, []), undefined],
  ['LOCAL with addresses', v2(0x20, 0x11, IPV4), undefined],
  ['an unknown family', v2(0x21, 0x00, [1, 2, 3]), undefined],
  ['UDP', v2(0x21, 0x12, IPV4), undefined],
  ['a unix socket', v2(0x21, 0x31, Array<number>(216).fill(0)), undefined],
])('%s is read, whole, in pieces, and with bytes behind it', (_, header, client) => {
  const bytes = Buffer.from(header as string, 'latin1')
  const complete = { is: 'complete', length: bytes.length, client }
  expect(read(bytes)).toEqual(complete)
  expect(read(Buffer.concat([bytes, Buffer.from('GET / HTTP/1.1\r\n\r\n')]))).toEqual(complete)
  for (let length = 0; length < bytes.length; length++)
    expect(read(bytes.subarray(0, length)), `${length} bytes`).toEqual({ is: 'incomplete' })
})

test.each<[Buffer | string, RegExp, ('v1' | 'v2')?]>([
  ['GET / HTTP/1.1\r\n\r\n', /does not begin with/],
  ['\x16\x03\x01', /does not begin with/],
  ['P', /does not begin with/, 'v2'],
  ['\r\n', /does not begin with/, 'v1'],
  ['proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n', /does not begin with/],
  [`PROXY ${'x'.repeat(101)}`, /too long/],
  [`PROXY UNKNOWN ${'x'.repeat(100)}\r\n`, /too long/],
  ['PROXY \r\n', /malformed/],
  ['PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n', /malformed/],
  ['PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n', /malformed/],
  ['PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n', /malformed/],
  ['PROXY TCP4 1.1.1.1  1.1.1.1 1 1\r\n', /malformed/],
  ['PROXY TCP4 ::1 ::1 1 1\r\n', /malformed/],
  ['PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n', /malformed/],
  ['PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n', /malformed/],
  ['PROXY TCP4 1.1.1.256 1.1.1.1 1 1\r\n', /malformed/],
  ['PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n', /malformed/],
  ['PROXY TCP4 1.1.1.1 1.1.1.1 1 -1\r\n', /malformed/],
  ['PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n', /malformed/],
  [v2(0x22, 0x11, IPV4), /malformed/],
  [v2(0x11, 0x11, IPV4), /malformed/],
  [v2(0x21, 0x41, IPV4), /malformed/],
  [v2(0x21, 0x13, IPV4), /malformed/],
  [v2(0x21, 0x11, IPV4.slice(1)), /too short/],
  [v2(0x21, 0x21, IPV6.slice(1)), /too short/],
  [v2(0x21, 0x11, [], 4097), /too long/],
])('%j is refused', (bytes, why, mode) => {
  expect(read(bytes, mode)).toEqual({ is: 'wrong', why: expect.stringMatching(why) as string })
})

/** The same numbers every time: what fails once fails again. */
function* randomBytes(seed: number): Generator<number> {
  for (let x = seed; ;) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0
    yield x >>> 24
  }
}

test('no bytes whatever make it throw, go on for ever, or find a header that is not there', () => {
  const random = randomBytes(1)
  const next = (): number => random.next().value as number
  const starts = [
    Buffer.alloc(0),
    Buffer.from('PROXY '),
    Buffer.from('PROXY TCP4 '),
    SIGNATURE,
    v2(0x21, 0x21, [], 40).subarray(0, 16),
  ]
  for (let round = 0; round < 20_000; round++) {
    const noise = Buffer.from(Array.from({ length: next() }, next))
    const bytes = Buffer.concat([starts[round % starts.length]!, noise])
    const header = read(bytes)
    if (header.is === 'incomplete') expect(bytes.length).toBeLessThan(16 + 4096)
    if (header.is === 'complete') expect(header.length).toBeLessThanOrEqual(bytes.length)
    if (header.is === 'complete' && header.client)
      expect(header.client.port).toBeLessThanOrEqual(65_535)
  }
})
