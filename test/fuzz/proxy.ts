// The PROXY protocol: headers that are right, nearly right and wrong, in any pieces. The application sees the client that is named, or nobody.
import net from 'node:net'
import { isIP } from 'node:net'
import fc from 'fast-check'
import { startServer } from '../helpers/server.ts'
import type { Teardown } from '../helpers/temp.ts'
import { within } from '../helpers/until.ts'
import { cuts } from './messages.ts'
import type { Target } from './target.ts'

const GET = Buffer.from('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** After this our end of a header that may not be whole is closed, ms. */
const GIVEN_UP_MS = 60

interface Header {
  readonly bytes: Buffer
  /** What the application must see: a client, `proxy` for the proxy itself, `refused`, or anything that is sound. */
  readonly as: string
}

const port = fc.integer({ min: 0, max: 65_535 })

const v1: fc.Arbitrary<Header> = fc
  .record({ source: fc.ipV4(), target: fc.ipV4(), from: port, to: port })
  .map(({ source, target, from, to }) => ({
    bytes: Buffer.from(`PROXY TCP4 ${source} ${target} ${from} ${to}\r\n`),
    as: `${source} ${from} IPv4`,
  }))

const v2: fc.Arbitrary<Header> = fc
  .record({
    source: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    from: port,
    more: fc.uint8Array({ maxLength: 300 }),
  })
  .map(({ source, from, more }) => {
    const size = Buffer.alloc(6)
    size.set([0x21, 0x11])
    size.writeUInt16BE(12 + more.length, 2)
    const ports = Buffer.from([from >> 8, from & 255, 0, 80])
    const bytes = [SIGNATURE, size.subarray(0, 4), source, Buffer.from([10, 0, 0, 1]), ports, more]
    return { bytes: Buffer.concat(bytes), as: `${source.join('.')} ${from} IPv4` }
  })

const local: fc.Arbitrary<Header> = fc.uint8Array({ maxLength: 100 }).map((more) => ({
  bytes: Buffer.concat([SIGNATURE, Buffer.from([0x20, 0, 0, more.length]), more]),
  as: 'proxy',
}))

const WRONG = [
  ...[
    'PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n',
    'PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n',
    'PROXY TCP4 ::1 ::1 1 2\r\n',
    'PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n',
  ],
  ...[
    'PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n',
    'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n',
    'PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n',
    'proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n',
  ],
  ...[
    'PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n',
    'PROXY\r\n',
    'PROXY \r\n',
    `PROXY UNKNOWN ${'x'.repeat(200)}\r\n`,
    'GET / HTTP/1.1\r\n',
    '\r\n\r\n\0\r\nQUIT\r',
    '\x16\x03\x01',
  ],
]
const wrong: fc.Arbitrary<Header> = fc
  .constantFrom(...WRONG)
  .map((header) => ({ bytes: Buffer.from(header, 'latin1'), as: 'refused' }))

/** One of them with a piece taken out, or other bytes put in. */
const broken: fc.Arbitrary<Header> = fc
  .tuple(fc.oneof(v1, v2), fc.nat(40), fc.nat(5), fc.uint8Array({ maxLength: 5 }))
  .map(([{ bytes }, at, length, other]) => ({
    bytes: Buffer.concat([bytes.subarray(0, at), other, bytes.subarray(at + length)]),
    as: 'sound',
  }))

/** The bodies of what comes back; '' if the connection was closed without an answer. */
function answer(
  url: string,
  bytes: Buffer,
  at: readonly number[],
  isWhole: boolean,
): Promise<string> {
  const marks = at.map((share) => Math.floor(share * bytes.length)).sort((a, b) => a - b)
  const done = new Promise<string>((resolve) => {
    const socket = net.connect({
      port: Number(new URL(url).port),
      host: '127.0.0.1',
      noDelay: true,
    })
    let heard = ''
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')))
    socket.on('error', () => undefined) // ECONNRESET, EPIPE: it was refused while there was more to come
    socket.on('close', () => resolve(heard))
    const ends = [0, ...marks, bytes.length]
    const pieces = ends.slice(1).map((to, n) => bytes.subarray(ends[n], to))
    for (const piece of pieces) setImmediate(() => socket.write(piece))
    if (!isWhole) setTimeout(() => socket.end(), GIVEN_UP_MS)
  })
  return within('the connection was closed', done)
}

function mustBe(heard: string, as: string): void {
  const body = /\r\n\r\n(?:[0-9a-f]+\r\n)?(\S+ \d+ IPv[46])/.exec(heard)?.[1]
  const address = body?.split(' ')[0] ?? ''
  const isSound = body === undefined ? !heard.includes(' 200 ') : isIP(address) > 0
  const isRight = {
    refused: heard === '',
    proxy: address === '127.0.0.1',
    sound: isSound,
  }[as]
  if (isRight ?? body === as) return
  throw new Error(`answered ${JSON.stringify(heard)} instead of ${as}`)
}

export const proxy: Target = {
  name: 'headers of the PROXY protocol, right and wrong',
  kind: 'servers',
  runs: 150,
  async open(t: Teardown) {
    const flags = ['--workers', '1', '--proxy-protocol', 'auto']
    const server = await startServer(t, 'peer.js', ...flags)
    const [worker] = server.pids()
    const headers = fc.array(fc.oneof(v1, v2, local, wrong, broken), { minLength: 1, maxLength: 4 })
    const property = fc.asyncProperty(headers, cuts, async (all, at) => {
      const said = all.map(({ bytes, as }) =>
        answer(server.url, Buffer.concat([bytes, GET]), at, as !== 'sound'),
      )
      const heard = await Promise.all(said)
      all.forEach(({ as }, n) => mustBe(heard[n]!, as))
      const good = Buffer.concat([Buffer.from('PROXY TCP4 192.0.2.1 10.0.0.1 7 80\r\n'), GET])
      mustBe(await answer(server.url, good, [], true), '192.0.2.1 7 IPv4')
      if (server.pids()[0] !== worker) throw new Error('the worker was replaced')
    })
    return { property, servers: [server] }
  },
}
