// Deadlines while the event loop turns: every late request is answered or cut, whatever its handler does then, and its
// neighbours notice nothing.
import http2 from 'node:http2'
import { describe, expect, test } from 'vitest'
import { keepAliveClient, RawClient, type Answer } from './helpers/client.ts'
import { expectUnharmed, leave, overHttp2, timed, wantTimeouts } from './helpers/deadlines.ts'
import { startServer } from './helpers/server.ts'

describe('a late request', { concurrent: true }, () => {
  test('gets its 504 in time, from the worker it was with, and 200 neighbours notice nothing', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '2')
    const late = timed(server.get('/never'))
    const neighbours = Array.from({ length: 200 }, () => server.get('/slow?ms=1000'))
    for (const { status } of await Promise.all(neighbours)) expect(status).toBe(200)
    const { status, ms } = await late
    expect(status).toBe(504)
    expect(ms).toBeGreaterThanOrEqual(2_000)
    expect(ms).toBeLessThan(3_000)
    wantTimeouts(server)
    await expectUnharmed(server)
  })

  test('gets it in the type it prefers', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '0.4')
    wantTimeouts(server)
    const ask = (accept: string | undefined): Promise<Answer> =>
      server.get('/never', { headers: accept === undefined ? {} : { accept } })
    const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
    const [nothing, any, json, html, weighed] = await Promise.all(
      [undefined, '*/*', 'application/json', browser, 'text/html;q=0.1, text/*;q=0.2'].map(ask),
    )
    for (const plain of [nothing, any, weighed]) {
      expect(plain!.headers['content-type']).toBe('text/plain; charset=utf-8')
      expect(plain!.text).toBe('Gateway Timeout: no response within 0.4 s\n')
    }
    expect(json!.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(json!.json()).toEqual({
      error: 'Gateway Timeout',
      status: 504,
      message: 'Gateway Timeout: no response within 0.4 s',
      requestId: json!.headers['x-request-id'],
    })
    expect(html!.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(html!.text).toMatch(/<h1>504 Gateway Timeout<\/h1>/)
  })

  test("has the client's X-Request-Id if that is one, else its own, in the answer and the log", async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.4')
    wantTimeouts(server)
    const ask = (id?: string): Promise<Answer> =>
      server.get('/never', { headers: id === undefined ? {} : { 'x-request-id': id } })
    const [given, made, refused] = await Promise.all([
      ask('order-4711'),
      ask(),
      ask('<script>alert(1)</script>'),
    ])
    expect(given.headers['x-request-id']).toBe('order-4711')
    const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/
    expect(made.headers['x-request-id']).toMatch(uuid)
    expect(refused.headers['x-request-id']).toMatch(uuid)
    const ids = (await server.logTimes(/^REQUEST TIMEOUT/, 3)).map(({ id }) => id)
    expect(ids.sort()).toEqual([given, made, refused].map((a) => a.headers['x-request-id']).sort())
    const { id } = (await server.get('/context', { headers: { 'x-request-id': 'a.b' } })).json<{
      id: string
    }>()
    expect(id, 'what the handler sees').toBe('a.b')
  })

  test('with the method HEAD gets headers alone', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '0.4')
    wantTimeouts(server)
    const answer = await server.get('/never', { method: 'HEAD' })
    expect([answer.status, answer.text]).toEqual([504, ''])
  })

  test('whose response had begun is cut off', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.4')
    wantTimeouts(server)
    await expect(server.get('/begun')).rejects.toMatchObject({ code: 'ECONNRESET' })
    const line = await server.log(/^REQUEST TIMEOUT/)
    expect(line).toMatchObject({ answered: false })
    await expectUnharmed(server)
  })

  test('in front of another one in a pipeline gets its 504, and the connection ends', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '0.4')
    wantTimeouts(server)
    const client = await RawClient.connect(server.url)
    client.send('GET /never HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives(/^HTTP\/1\.1 504 [^]*Gateway Timeout/)
    await client.closed()
    expect(client.error).toBeUndefined()
    expect(client.received).not.toMatch(/hello/)
  })

  test('is answered while its worker leaves', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '1', '--drain-idle', '0.1')
    wantTimeouts(server)
    const late = server.get('/never')
    await server.get('/') // which came after it
    server.signal('SIGTERM')
    expect((await late).status).toBe(504)
    expect(await server.exit()).toMatchObject({ code: 0 })
  })
})

const lateWrites = [
  'setHeader',
  'writeHead',
  'write',
  'flushHeaders',
  'end',
  'chain',
  'pipe',
  'callback',
  'trailers',
  'destroy',
]

describe('what a handler does after its 504 goes nowhere and harms nobody:', () => {
  test('every way to write to a response', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.4', '--max-orphans', '0')
    wantTimeouts(server)
    const client = keepAliveClient(server.url)
    t.onTestFinished(() => client.destroy())
    const answers = await Promise.all(
      lateWrites.map((how) => server.get(`/late?how=${how}&ms=800`)),
    )
    for (const { status, headers } of answers)
      expect([status, headers['x-late']]).toEqual([504, undefined])
    for (const how of lateWrites) await server.prints(new RegExp(`^wrote late: ${how}$`))
    await expectUnharmed(server)
  })

  for (const FRAMEWORK of ['express', 'express4', 'koa', 'fastify'])
    test(`${FRAMEWORK} answering, or failing`, async (t) => {
      const env = { FRAMEWORK }
      const server = await startServer(t, 'late-frameworks.js', '--timeout', '0.3', { env })
      wantTimeouts(server)
      const answers = await Promise.all([server.get('/json'), server.get('/throw')])
      expect(answers.map(({ status }) => status)).toEqual([504, 504])
      await server.prints(/^late: json$/)
      await server.prints(/^late: throw$/)
      expect((await server.get('/pid')).text).toBe(String(server.allPids()[0]))
      expect(server.stderr).not.toMatch(/ERR_HTTP_HEADERS_SENT/)
    })

  test('an application that works with bare HTTP/2 streams', async (t) => {
    const server = await startServer(t, 'bare-streams.js', '--timeout', '0.4')
    wantTimeouts(server)
    const session = http2.connect(server.url)
    t.onTestFinished(() => session.destroy())
    expect(await overHttp2(session, '/late')).toMatchObject({ status: 504 })
    await server.prints(/^answered late$/)
    expect(await overHttp2(session, '/pid')).toEqual({
      status: 200,
      text: String(server.allPids()[0]),
    })
  })

  test('a rejection by the signal that nobody catches', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.4')
    wantTimeouts(server)
    expect((await server.get('/rethrow')).status).toBe(504)
    await leave(server, '/rethrow')
    await expectUnharmed(server)
  })
})

describe('every kind of server:', { concurrent: true }, () => {
  for (const kind of ['http-server', 'https-server'])
    test(kind, async (t) => {
      const server = await startServer(t, `frameworks/${kind}.js`, '--timeout', '0.4')
      wantTimeouts(server)
      expect((await server.get('/never')).status).toBe(504)
      expect((await server.get('/')).text).toBe('hello')
    })

  for (const kind of ['h2c-server', 'http2-server'])
    test(kind, async (t) => {
      const server = await startServer(t, `frameworks/${kind}.js`, '--timeout', '0.4')
      wantTimeouts(server)
      const session = http2.connect(server.url, { rejectUnauthorized: false })
      t.onTestFinished(() => session.destroy())
      const [late, other] = await Promise.all([
        overHttp2(session, '/never'),
        overHttp2(session, '/slow?ms=200'),
      ])
      expect(late).toEqual({ status: 504, text: 'Gateway Timeout: no response within 0.4 s\n' })
      expect(other, 'another stream of the same connection').toEqual({ status: 200, text: 'done' })
      expect(await overHttp2(session, '/')).toEqual({ status: 200, text: 'hello' })
    })
})
