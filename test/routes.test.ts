// Settings for some requests: a route's own timeout, body limit and concurrency, found by method and path.
import http2 from 'node:http2'
import { describe, expect, test } from 'vitest'
import { RawClient, type Answer } from './helpers/client.ts'
import {
  digestSays,
  expectUnharmed,
  overHttp2,
  timed,
  timeoutsOf,
  wantTimeouts,
} from './helpers/deadlines.ts'
import { spawnServer, startServer } from './helpers/server.ts'

const statusOf = ({ status }: Answer): number => status

describe('a route', { concurrent: true }, () => {
  test('has a timeout of its own: longer, shorter or none', async (t) => {
    const config = {
      timeout: 0.6,
      routes: {
        'GET /wait/long': { timeout: 5 },
        '/wait/short/*': { timeout: '200ms' },
        '/wait/for/**': { timeout: 0 },
      },
    }
    const server = await startServer(t, 'late.mjs', { config })
    wantTimeouts(server)
    const [long, short, never, other] = await Promise.all([
      server.get('/wait/long?ms=1200'),
      timed(server.get('/wait/short/one?ms=1200')),
      server.get('/wait/for/ever/and/ever?ms=1500'),
      timed(server.get('/wait?ms=1200')),
    ])
    expect([long, short, never, other].map(statusOf)).toEqual([200, 504, 200, 504])
    expect(short.ms).toBeLessThan(other.ms)
    expect(short.text).toBe('Gateway Timeout: no response within 0.2 s\n')
    const routes = timeoutsOf(server).map(({ route, seconds }) => [route, seconds])
    expect(routes).toEqual([
      ['/wait/short/*', 0.2],
      [undefined, 0.6],
    ])
    expect(timeoutsOf(server)[0]!.msg).toMatch(
      /GET \/wait\/short\/one\?ms=1200 \[\/wait\/short\/\*\] took longer than 0\.2 s/,
    )
  })

  test('is found whatever the query, the escapes, the dots and the slashes', async (t) => {
    const config = { timeout: 0.4, routes: { 'GET /wait/long': { timeout: 5 } } }
    const server = await startServer(t, 'late.mjs', { config })
    wantTimeouts(server)
    const same = [
      '/wait/long?ms=900&timeout=/other',
      '/wait/l%6Fng?ms=900',
      '//wait//long?ms=900',
      '/./wait/x/../long?ms=900',
      '/wait/long/?ms=900',
    ]
    const others = ['/wait/longer?ms=900', '/wait/long/x?ms=900', '/wait/LONG?ms=900']
    // Raw, because clients tidy paths up.
    const ask = async (path: string, method = 'GET'): Promise<number> => {
      const client = await RawClient.connect(server.url)
      client.send(`${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
      const [, status] = await client.receives(/^HTTP\/1\.1 (\d+)/)
      client.destroy()
      return Number(status)
    }
    const found = await Promise.all(same.map((path) => ask(path)))
    expect(found).toEqual(same.map(() => 200))
    const missed = await Promise.all(others.map((path) => ask(path)))
    expect(missed).toEqual(others.map(() => 504))
    expect(await ask('/wait/long?ms=900', 'DELETE')).toBe(504)
  })

  test('that is written first wins', async (t) => {
    const config = {
      timeout: 5,
      routes: {
        '/wait/a/*': { timeout: 0.3 },
        '/wait/**': { timeout: 5 },
        '/wait/b': { timeout: 0.3 },
      },
    }
    const server = await startServer(t, 'late.mjs', { config })
    wantTimeouts(server)
    const answers = await Promise.all(
      ['a/x', 'b'].map((path) => server.get(`/wait/${path}?ms=700`)),
    )
    expect(answers.map(statusOf)).toEqual([504, 200])
  })

  test('has a body limit of its own, with or without Content-Length', async (t) => {
    const config = {
      maxBody: 1000,
      routes: { 'POST /upload': { maxBody: '1mb' }, '/echo': { maxBody: 10 } },
    }
    const server = await startServer(t, 'late.mjs', { config })
    const post = (path: string, size: number, headers = {}): Promise<Answer> =>
      server.get(path, { method: 'POST', body: 'x'.repeat(size), headers })
    const chunked = { 'transfer-encoding': 'chunked' }
    expect((await post('/upload', 5_000)).text).toBe('received 5000')
    expect((await post('/upload', 5_000, chunked)).text).toBe('received 5000')
    expect((await post('/upload', 2 << 20)).status).toBe(413)
    expect((await post('/echo', 10)).text).toBe('x'.repeat(10))
    expect((await post('/echo', 11)).status).toBe(413)
    expect((await post('/echo', 11, chunked)).status).toBe(413)
    expect((await post('/wait/x', 1_001)).status, 'no route: the general limit').toBe(413)
  })

  const faults: [string, object, RegExp][] = [
    ['GET /a**', { timeout: 1 }, /"GET \/a\*\*".*at character 7, \*\* must be a whole segment/],
    ['get /b', { timeout: 1 }, /"get \/b".*at character 1, the method must be upper case/],
    ['/c', { timeuot: 1 }, /routes\["\/c"\]\.timeuot.*a route has timeout, concurrency/],
    ['/d', { timeout: 'soon' }, /routes\["\/d"\]\.timeout is "soon".*a duration such as 300/],
  ]
  for (const [pattern, settings, complaint] of faults)
    test(`like ${pattern} with ${JSON.stringify(settings)} stops the start and says why`, async (t) => {
      const config = { routes: { [pattern]: settings } }
      const server = spawnServer(t, 'hello.js', { config })
      expect((await server.exit()).code).toBe(2)
      expect(server.stderr).toMatch(complaint)
      expect(server.lines).toEqual([])
    })
})

describe('the concurrency of a route', { concurrent: true }, () => {
  test('lets so many in; the others wait, and after queueTimeout get a 503 that says when to come back', async (t) => {
    const config = { routes: { '/wait/import': { concurrency: 2, queueTimeout: 0.5 } } }
    const server = await startServer(t, 'late.mjs', { config })
    const imports = Array.from({ length: 6 }, () => timed(server.get('/wait/import?ms=400')))
    const others = Array.from({ length: 6 }, () => server.get('/wait/other?ms=400'))
    expect((await Promise.all(others)).map(statusOf), 'other routes').toEqual(others.map(() => 200))
    const answers = await Promise.all(imports)
    const served = answers.filter(({ status }) => status === 200)
    const refused = answers.filter(({ status }) => status === 503)
    expect([served.length, refused.length]).toEqual([4, 2])
    expect(Math.max(...served.map(({ ms }) => ms)), 'the second pair waited').toBeGreaterThan(790)
    for (const { headers, text, ms } of refused) {
      expect(headers['retry-after']).toMatch(/^\d+$/)
      expect(headers.connection).toBe('close')
      expect(text).toMatch(/^Service Unavailable/)
      expect(ms).toBeGreaterThan(490)
    }
    await expectUnharmed(server)
  })

  test('with a queueTimeout of 0 turns away at once whom it has no room for, and lets in again', async (t) => {
    const config = { routes: { '/slow': { concurrency: 1, queueTimeout: 0 } } }
    const server = await startServer(t, 'hello.js', { config })
    let isOver = false
    const inside = server.get('/slow?ms=3000').finally(() => (isOver = true))
    await server.prints(/^request started/)
    const refused = await Promise.all(Array.from({ length: 20 }, () => server.get('/slow')))
    expect(isOver, 'nobody waited for it').toBe(false)
    expect(new Set(refused.map(statusOf))).toEqual(new Set([503]))
    expect((await inside).text).toBe('done')
    expect((await server.get('/slow')).text).toBe('done')
    await expectUnharmed(server)
  })

  test('does not count the time in the queue against the timeout', async (t) => {
    const config = { timeout: 0.8, routes: { '/wait/one': { concurrency: 1 } } }
    const server = await startServer(t, 'late.mjs', { config })
    const answers = await Promise.all([1, 2, 3, 4].map(() => server.get('/wait/one?ms=400')))
    expect(answers.map(statusOf)).toEqual([200, 200, 200, 200])
  })

  test('gives the place of one that timed out, or whose client left, to the next', async (t) => {
    const config = { timeout: 0.5, routes: { '/w/**': { concurrency: 1 } } }
    const server = await startServer(t, 'late.mjs', '--log-level', 'debug', { config })
    wantTimeouts(server)
    const inside = await RawClient.connect(server.url)
    inside.send('GET /w/1?ms=60000 HTTP/1.1\r\nHost: a\r\n\r\n')
    await server.get('/')
    const queued = await RawClient.connect(server.url)
    queued.send('GET /w/2?ms=60000 HTTP/1.1\r\nHost: a\r\n\r\n')
    await server.get('/')
    const late = server.get('/w/3?ms=60000')
    await server.get('/')
    const last = server.get('/w/4')
    queued.destroy()
    inside.destroy()
    expect((await late).status).toBe(504)
    expect((await last).status).toBe(200)
    await digestSays(server, { inFlight: 0, connections: 0 })
  })

  test('costs a worker nothing when its loop stands still for a moment', async (t) => {
    // The first extends its deadline, the second waits for it: by their first deadlines both would be late.
    const routes = { '/extend': { timeout: 1, concurrency: 1 } }
    const server = await startServer(t, 'late.mjs', { config: { routes } })
    const inside = server.get('/extend?seconds=5&ms=3000')
    await server.get('/')
    const queued = server.get('/extend?seconds=5&ms=0')
    expect((await server.get('/wait/a/moment?ms=1500')).status).toBe(200)
    expect((await server.get('/block?ms=1200')).text).toBe('blocked')
    expect((await Promise.all([inside, queued])).map(statusOf)).toEqual([200, 200])
    await expectUnharmed(server)
  })
})

describe('X-Timeout', { concurrent: true }, () => {
  const seen = ({ status, headers }: Answer): unknown => [status, headers['x-timeout']]

  test('is on no response unless somebody asks for it', async (t) => {
    const server = await startServer(t, 'hello.js')
    expect(seen(await server.get('/'))).toEqual([200, undefined])
  })

  test('says with --timeout-header which timeout a request has, and its route', async (t) => {
    const routes = {
      'GET /never': { timeout: '400ms' },
      'POST /echo': { maxBody: 10 },
      '/s*': { timeout: 0 },
      '/"späß\\': {},
    }
    const server = await startServer(t, 'hello.js', '--timeout-header', { config: { routes } })
    wantTimeouts(server)
    expect(seen(await server.get('/'))).toEqual([200, '30'])
    expect(seen(await server.get('/nope'))).toEqual([404, '30'])
    expect(seen(await server.get('/slot'))).toEqual([200, '0; route="/s*"'])
    expect(seen(await server.get('/never')), 'ours').toEqual([504, '0.4; route="GET /never"'])
    const posted = await server.get('/echo', { method: 'POST', body: 'more than ten bytes' })
    expect(seen(posted), 'refused').toEqual([413, '30; route="POST /echo"'])
    expect(seen(await server.get('/%22sp%C3%A4%C3%9F%5C'))).toEqual([
      404,
      '30; route="/%22sp%c3%a4%c3%9f%5c"',
    ])
  })

  test('comes over HTTP/2 too, and harms no bare stream, which cannot have it', async (t) => {
    const server = await startServer(t, 'frameworks/h2c-server.js', '--timeout-header')
    const session = http2.connect(server.url)
    t.onTestFinished(() => session.destroy())
    const stream = session.request({ ':path': '/' })
    const header = await new Promise((resolve) =>
      stream.on('response', (headers) => resolve(headers['x-timeout'])),
    )
    expect(header).toBe('30')
    const bare = await startServer(t, 'bare-streams.js', '--timeout-header')
    const other = http2.connect(bare.url)
    t.onTestFinished(() => other.destroy())
    expect(await overHttp2(other, '/pid')).toMatchObject({ status: 200 })
  })
})
