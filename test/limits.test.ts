// What a client may send, how fast and how much: a clear status for what is over the limit, and an end to every
// connection, whatever comes in.
import { describe, expect, test } from 'vitest'
import { keepAliveClient, RawClient, type Answer } from './helpers/client.ts'
import { startServer, type Server } from './helpers/server.ts'
import { until } from './helpers/until.ts'
import { memoryOf, slotsBooted } from './helpers/workers.ts'

/** Everything the server sends for these bytes, until it closes. */
async function answerTo(server: Server, bytes: string): Promise<string> {
  const client = await RawClient.connect(server.url)
  client.send(bytes)
  await client.closed()
  expect(client.error, 'closed, not reset').toBeUndefined()
  return client.received
}

const head = (lines: readonly string[]): string => `${lines.join('\r\n')}\r\n\r\n`

const fields = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `X-Field-${i}: value`)

describe.concurrent('limits on the head of a request:', () => {
  test('more than --limit-request-fields headers are answered with 431, as many with 200', async (t) => {
    const server = await startServer(t, 'hello.js', '--limit-request-fields', '10')
    const start = ['GET /headers HTTP/1.1', 'Host: a', 'Connection: close']
    expect(await answerTo(server, head([...start, ...fields(8)]))).toMatch(
      /^HTTP\/1\.1 200 [^]*"x-field-7":"value"/,
    )
    // far above the limit newer Nodes (24) answer by themselves, with the same status
    for (const count of [9, 10, 500])
      expect(await answerTo(server, head([...start, ...fields(count)]))).toMatch(/^HTTP\/1\.1 431 /)
  })

  test('by default 2,000 headers arrive whole, and one more is answered with 431, never cut off silently', async (t) => {
    const server = await startServer(t, 'hello.js', '--max-header-size', '64kb')
    const start = ['GET /headers HTTP/1.1', 'Host: a', 'Connection: close']
    const whole = await answerTo(server, head([...start, ...fields(1_998)]))
    expect(whole).toMatch(/^HTTP\/1\.1 200 [^]*"x-field-1997":"value"/)
    expect(await answerTo(server, head([...start, ...fields(1_999)]))).toMatch(/^HTTP\/1\.1 431 /)
  })

  test('more than --max-header-size bytes are answered with 431', async (t) => {
    const server = await startServer(t, 'hello.js', '--max-header-size', '4kb')
    const start = ['GET / HTTP/1.1', 'Host: a', 'Connection: close']
    expect(await answerTo(server, head([...start, `X: ${'x'.repeat(3_000)}`]))).toMatch(/ 200 OK/)
    expect(await answerTo(server, head([...start, `X: ${'x'.repeat(5_000)}`]))).toMatch(
      /^HTTP\/1\.1 431 /,
    )
    expect(slotsBooted(server)).toEqual([0])
  })

  test('a line longer than --limit-request-line is answered with 414', async (t) => {
    const server = await startServer(t, 'hello.js', '--limit-request-line', '40')
    const path = (length: number): string => `/${'x'.repeat(length - 'GET / HTTP/1.1'.length)}`
    expect((await server.get(path(40))).status).toBe(404)
    expect((await server.get(path(41))).status).toBe(414)
  })

  test('two Host headers are answered with 400, however they are written', async (t) => {
    const server = await startServer(t, 'hello.js')
    for (const second of ['Host: b', 'host: a', 'HOST: a'])
      expect(await answerTo(server, head(['GET / HTTP/1.1', 'Host: a', second]))).toMatch(
        /^HTTP\/1\.1 400 [^]*Duplicate Host header/,
      )
  })

  test('headers slower than --headers-timeout are answered with 408', async (t) => {
    const server = await startServer(t, 'hello.js', '--headers-timeout', '1')
    const began = performance.now()
    expect(await answerTo(server, 'GET / HTTP/1.1\r\nHost: a\r\nX-')).toMatch(/^HTTP\/1\.1 408 /)
    expect(performance.now() - began).toBeGreaterThan(900)
    expect(performance.now() - began).toBeLessThan(4_000)
  })
})

describe.concurrent('--max-body', () => {
  const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

  test('refuses a longer Content-Length with 413 before the app sees it, and lets just as much through', async (t) => {
    const server = await startServer(t, 'hello.js', '--max-body', '1kb')
    const post = (size: number): Promise<Answer> =>
      server.get('/echo', { method: 'POST', body: 'x'.repeat(size) })
    expect((await post(1_024)).text).toHaveLength(1_024)
    const answer = await post(1_025)
    expect(answer).toMatchObject({ status: 413, text: 'Body larger than 1024 bytes\n' })
    expect(answer.headers.connection).toBe('close')
    expect((await post(5_000_000)).status, 'however much the client goes on sending').toBe(413)
  })

  test('stops a body of unknown length at the first byte too many', async (t) => {
    const server = await startServer(t, 'hello.js', '--max-body', '1kb')
    const [pid] = server.pids()
    const start = head(['POST /never HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'])
    const client = await RawClient.connect(server.url)
    client.send(start + chunk('x'.repeat(1_024)))
    client.send(chunk('y'))
    await client.receives(/^HTTP\/1\.1 413 [^]*Body larger than 1024 bytes/)
    await client.closed()
    expect((await server.get('/pid')).text).toBe(String(pid))
  })

  test('cuts the connection if the response had begun', async (t) => {
    const server = await startServer(t, 'hello.js', '--max-body', '1kb')
    const client = await RawClient.connect(server.url)
    client.send(head(['POST /echo HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked']))
    client.send(chunk('x'.repeat(1_000)))
    await client.receives(/200 OK[^]*xxx/)
    client.send(chunk('y'.repeat(1_000)))
    await client.closed()
    expect(client.received).not.toMatch(/yyy/)
    expect((await server.get('/')).status).toBe(200)
  })

  test('refuses what asks first (Expect: 100-continue)', async (t) => {
    const server = await startServer(t, 'hello.js', '--max-body', '1kb')
    const lines = ['POST /echo HTTP/1.1', 'Host: a', 'Content-Length: 2000', 'Expect: 100-continue']
    const client = await RawClient.connect(server.url)
    client.send(head(lines))
    await client.receives(/HTTP\/1\.1 413 /)
    await client.closed()
  })
})

describe.concurrent('--keep-alive', () => {
  test('says 75 seconds to clients unless told otherwise', async (t) => {
    const server = await startServer(t, 'hello.js')
    const client = keepAliveClient(server.url)
    expect((await client.get('/')).headers['keep-alive']).toBe('timeout=75')
    client.destroy()
  })

  test('closes a connection that has been idle for so long, and not one in use', async (t) => {
    const server = await startServer(t, 'hello.js', '--keep-alive', '1')
    const idle = await RawClient.connect(server.url)
    const request = head(['GET / HTTP/1.1', 'Host: a'])
    for (let n = 1; n <= 4; n++) {
      idle.send(request)
      await idle.receives(new RegExp(`(hello[^]*){${n}}`))
      await server.get('/slow?ms=400')
    }
    await idle.closed(10_000)
    expect(idle.error).toBeUndefined()
    expect(idle.received.match(/Keep-Alive: timeout=1/g)).toHaveLength(4)
  })
})

describe.concurrent('--worker-connections', () => {
  test('a full worker leaves new clients to the others, resets nobody, and comes back', async (t) => {
    // moving idle connections to whoever has room would make room where there is none
    const flags = ['--worker-connections', '3', '--workers', '2', '--no-rebalance']
    const server = await startServer(t, 'hello.js', ...flags)
    const clients = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const client = keepAliveClient(server.url)
        return { client, pid: (await client.get('/pid')).text }
      }),
    )
    const perWorker = new Map<string, number>()
    for (const { pid } of clients) perWorker.set(pid, (perWorker.get(pid) ?? 0) + 1)
    expect([...perWorker.values()].sort()).toEqual([3, 3])
    const waiting = server.get('/pid')
    for (const { client, pid } of clients) expect((await client.get('/pid')).text).toBe(pid)
    const full = clients.filter(({ pid }) => pid === clients[0]!.pid)
    for (const { client } of full) client.destroy()
    expect((await waiting).text, 'the one with room').toBe(full[0]!.pid)
    for (let n = 0; n < 10; n++) expect((await server.get('/pid')).text).toBe(full[0]!.pid)
    for (const { client } of clients) client.destroy()
    const seen = new Set<string>()
    await until(
      'both serve again',
      async () => seen.add((await server.get('/pid')).text).size === 2,
    )
  })
})

// --- a thousand hostile connections

/** Numbers from 0 to n - 1, the same ones in every run. */
function randomNumbers(seed: number): (n: number) => number {
  let state = seed
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

type Hostile = (random: (n: number) => number) => { bytes: Buffer; drip?: boolean }

const randomBytes = (random: (n: number) => number, size: number): Buffer =>
  Buffer.from(Array.from({ length: size }, () => random(256)))

const post = (lines: readonly string[], body = ''): Buffer =>
  Buffer.from(head(['POST /echo HTTP/1.1', 'Host: a', ...lines]) + body)

/** Each kind breaks the rules in a way of its own. */
const hostile: Record<string, Hostile> = {
  garbage: (random) => ({ bytes: randomBytes(random, 1 + random(2_000)) }),
  'a mutated request': (random) => {
    const bytes = post(['Content-Length: 5', 'X-Field: value'], 'hello')
    for (let n = 0; n <= random(4); n++) bytes[random(bytes.length)] = random(256)
    return { bytes }
  },
  'a truncated head': (random) => {
    const whole = post(['Content-Length: 5'], '')
    return { bytes: whole.subarray(0, 1 + random(whole.length - 2)) }
  },
  'a truncated body': (random) => ({
    bytes: post(['Content-Length: 100'], 'x'.repeat(random(99))),
  }),
  'a truncated chunk': (random) => ({
    bytes: post(['Transfer-Encoding: chunked'], `ff\r\n${'x'.repeat(random(200))}`),
  }),
  'bad chunk sizes': (random) => ({
    bytes: post(
      ['Transfer-Encoding: chunked'],
      `${['-1', 'zz', 'fffffffffffffffff', ' ', '5;'][random(5)]}\r\nhello\r\n0\r\n\r\n`,
    ),
  }),
  'two lengths': (random) => ({
    bytes: post(['Content-Length: 5', `Content-Length: ${random(50)}`], 'hello'),
  }),
  'length and chunks': () => ({
    bytes: post(['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\nGET /smuggled'),
  }),
  'a bad length': (random) => ({
    bytes: post([
      `Content-Length: ${['-1', '1e3', '0x10', '99999999999999999999', '+5'][random(5)]}`,
    ]),
  }),
  'a huge head': (random) => ({
    bytes: Buffer.from(
      head(['GET / HTTP/1.1', 'Host: a', `X: ${'x'.repeat(17_000 + random(50_000))}`]),
    ),
  }),
  'a huge line': (random) => ({
    bytes: Buffer.from(`GET /${'x'.repeat(17_000 + random(50_000))}`),
  }),
  'a huge body': (random) => ({
    bytes: post(['Content-Length: 200000'], 'x'.repeat(100_000 + random(100_000))),
  }),
  'many headers': () => ({
    bytes: Buffer.from(head(['GET / HTTP/1.1', 'Host: a', ...fields(300)])),
  }),
  'bare line feeds': () => ({ bytes: Buffer.from('GET / HTTP/1.1\nHost: a\n\n') }),
  'a header with control characters': () => ({
    bytes: Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\x07\r\n\r\n', 'latin1'),
  }),
  'an unknown method or version': (random) => ({
    bytes: Buffer.from(
      ['BREW / HTTP/1.1\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'][
        random(3)
      ]!,
    ),
  }),
  'a TLS handshake': (random) => ({
    bytes: Buffer.concat([
      Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
      randomBytes(random, 200),
    ]),
  }),
  'a head that drips': () => ({
    bytes: Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nX-Slow: and steady wins the race'),
    drip: true,
  }),
  nothing: () => ({ bytes: Buffer.alloc(0) }),
}

/** Sends it all, or a byte now and then; resolves when the server has closed the connection. */
async function attack(server: Server, { bytes, drip }: ReturnType<Hostile>): Promise<void> {
  const client = await RawClient.connect(server.url)
  client.socket.setNoDelay(true)
  let sent = 0
  const timer = drip
    ? setInterval(() => client.send(bytes.subarray(sent, ++sent)), 150)
    : setImmediate(() => client.send(bytes))
  try {
    await client.closed()
  } finally {
    clearInterval(timer as NodeJS.Timeout)
    client.destroy()
  }
}

test('a thousand garbage, truncated, oversized and dripping requests: each is answered or closed, no worker dies', async (t) => {
  const flags = [
    '--headers-timeout',
    '1',
    '--timeout',
    '2',
    '--keep-alive',
    '1',
    '--max-body',
    '64kb',
  ]
  const limits = ['--limit-request-fields', '100', '--workers', '2']
  const server = await startServer(t, 'hello.js', ...flags, ...limits)
  server.expectLog(/^REQUEST TIMEOUT/, /^ALERT: 5 timeouts/)
  const workers = server.pids()
  const random = randomNumbers(20_26)
  const kinds = Object.values(hostile)
  const attacks = Array.from({ length: 1_000 }, (_, i) => kinds[i % kinds.length]!(random))
  const memory = process.platform === 'linux' ? memoryOf(server.pid) : 0
  const queue = attacks.values()
  const began = performance.now()
  await Promise.all(
    Array.from({ length: 200 }, async () => {
      for (const next of queue) await attack(server, next)
    }),
  )
  expect(performance.now() - began, 'in bounded time').toBeLessThan(40_000)
  expect(server.pids(), 'no worker died').toEqual(workers)
  if (process.platform === 'linux') expect(memoryOf(server.pid) - memory).toBeLessThan(20e6)
  expect((await server.get('/')).text).toBe('hello')
  server.signal('SIGTERM')
  const exit = await server.exit()
  expect(exit.code).toBe(0)
  expect(exit.ms, 'no connection was left to wait for').toBeLessThan(4_000)
})
