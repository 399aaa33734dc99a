// What a handler can know of its request, from nodicorn/app: its signal, its deadline, its id; and the global fetch that
// follows the request although nobody told it.
import { writeFileSync } from 'node:fs'
import { createServer, type Server as HttpServer } from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { keepAliveClient, RawClient } from './helpers/client.ts'
import { expectUnharmed, leave, wantTimeouts } from './helpers/deadlines.ts'
import { startServer, type Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

interface Context {
  readonly deadline: number
  readonly id: string
  readonly aborted: boolean
}

describe('nodicorn/app', { concurrent: true }, () => {
  test('tells a handler its deadline and id, and everyone else that there is none', async (t) => {
    const routes = { '/context': { timeout: 7 } }
    const server = await startServer(t, 'late.mjs', { config: { routes } })
    const context = (await server.get('/context')).json<Context>()
    expect(context.deadline).toBeGreaterThan(6)
    expect(context.deadline).toBeLessThanOrEqual(7)
    expect(context.id).toMatch(/^[\da-f-]{36}$/)
    expect(context.aborted).toBe(false)
    const outside = (await server.get('/outside')).json()
    expect(outside).toEqual({ deadline: 'Infinity', aborted: false })
  })

  test('an idle connection keeps nothing of its last request in memory', async (t) => {
    const flags = ['--workers', '1', '--node-args=--expose-gc']
    const server = await startServer(t, 'forgets.cjs', ...flags)
    const clients = Array.from({ length: 5 }, () => keepAliveClient(server.url))
    t.onTestFinished(() => clients.forEach((client) => client.destroy()))
    for (const client of clients) expect((await client.get('/')).text).toBe('seen')
    await until('they are forgotten', async () => (await server.get('/held')).text === '0')
  })

  test('aborts the signal with a TimeoutError at the deadline', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.4')
    wantTimeouts(server)
    expect((await server.get('/watch')).status).toBe(504)
    await server.prints(/^\/watch aborted with TimeoutError$/)
  })

  test('aborts the signal with an AbortError when the client leaves', async (t) => {
    const server = await startServer(t, 'late.mjs')
    await leave(server, '/watch')
    await server.prints(/^\/watch aborted with AbortError$/)
  })

  test('never aborts the signal of a request that ended well', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.4')
    expect((await server.get('/watch-then-end')).text).toBe('ended')
    await server.get('/wait/longer?ms=300')
    await server.get('/wait/longer?ms=300')
    expect(server.output.filter((line) => line.includes('aborted'))).toEqual([])
  })

  test('lets a handler move its deadline, up to --timeout-ceiling', async (t) => {
    const flags = ['--timeout', '0.5', '--timeout-ceiling', '2']
    const server = await startServer(t, 'late.mjs', ...flags)
    wantTimeouts(server)
    const [extended, beyond, refused] = await Promise.all([
      server.get('/extend?seconds=1.5&ms=1000'),
      server.get('/extend?seconds=60&ms=5000'),
      server.get('/extend?seconds=0.1&ms=0'),
    ])
    expect(extended.status).toBe(200)
    const { left, after } = extended.json<{ left: number; after: number }>()
    expect(left).toBeCloseTo(1.5, 1)
    expect(after).toBeLessThan(0.6)
    expect(beyond.status, 'the ceiling').toBe(504)
    expect(refused.json<{ left: number }>().left, 'never earlier').toBeGreaterThan(0.3)
  })

  test('knows nothing without the request context, and the 504 comes all the same', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.5', '--no-request-context')
    wantTimeouts(server)
    const context = (await server.get('/outside')).json()
    expect(context).toEqual({ deadline: 'Infinity', aborted: false })
    expect((await server.get('/context')).json<Context>().id).toBeUndefined()
    expect((await server.get('/extend?seconds=60&ms=2000')).status).toBe(504)
  })

  test('is not what the code of a connection is in, after a request or between two', async (t) => {
    const server = await startServer(t, 'connections.mjs', { bind: false })
    await until('both addresses are told', () => server.urls.length === 2)
    for (const url of server.urls) {
      const client = await RawClient.connect(url)
      for (const id of ['first', 'second']) {
        const head = `POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: ${id}\r\nContent-Length: 1\r\n\r\n`
        client.send(head)
        client.send('x')
        await client.receives(new RegExp(`\\r\\n${id}`))
      }
      client.socket.destroy()
    }
    for (const name of ['plain', 'heard']) await server.prints(new RegExp(`^${name}: close`))
    expect(server.output.filter((line) => / in /.test(line) && !/no request$/.test(line))).toEqual(
      [],
    )
    expect(server.output).toContain('heard: data in no request')
  })

  test('and what else goes without the request context is said once for the whole server', async (t) => {
    const flags = ['--no-request-context', '--workers', '2', '--timeout', '0.5']
    const server = await startServer(t, 'blocks.js', ...flags)
    server.expectLog(/^WORKER TIMEOUT/)
    expect((await server.get('/forever')).status).toBe(504)
    const line = await server.log(/^WORKER TIMEOUT/)
    expect(line).toMatchObject({ certain: false, culprit: { url: '/forever' } })
    await server.logTimes(/^Worker ready/, 3)
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    const said = server.lines.filter(({ event }) => event === 'noRequestContext')
    expect(said).toHaveLength(1)
    expect(said[0]).toMatchObject({ level: 'info', pid: server.pid })
    for (const name of ['requestSignal()', 'extendTimeout()', 'requestId()', '--abort-fetch'])
      expect(said[0]!.msg).toContain(name)
  })

  test('that goes at a reload is missed then, and is not before', async (t) => {
    const file = join(tempDir(t, { 'c.json': '{}' }), 'c.json')
    const server = await startServer(t, 'hello.js', '-c', file)
    const said = (): number => server.lines.filter((l) => l.event === 'noRequestContext').length
    expect(said()).toBe(0)
    for (const _ of ['goes', 'stays away']) {
      writeFileSync(file, '{ "requestContext": false }')
      const from = server.lines.length
      server.signal('SIGHUP')
      await server.log(/^Reload finished/, { from })
      expect(said()).toBe(1)
    }
  })
})

describe('who listens for a body that comes later', { concurrent: true }, () => {
  const APP = 'reads-bodies.mjs'
  const start = async (t: Teardown, ...flags: string[]): Promise<Server> => {
    const server = await startServer(t, APP, ...flags, { bind: false })
    await until('all addresses are told', () => server.urls.length === 3)
    return server
  }

  /** The handler has added its listeners before the body comes, in two parts. */
  async function post(server: Server, path: string, id: string): Promise<RawClient> {
    const client = await RawClient.connect(server.urls[0]!)
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: ${id}\r\nContent-Length: 4\r\n\r\n`
    client.send(head)
    await server.prints(new RegExp(`^begun in ${id}$`))
    client.send('bo')
    await server.get('/') // so the worker has read the first part
    client.send('dy')
    return client
  }

  test('is in its request: every kind of listener, on a connection that is used again', async (t) => {
    const server = await start(t)
    const wanted = {
      '/data': 'data in DATA, end in DATA',
      '/readable': 'readable in READABLE, end in READABLE',
      '/once': 'once end in ONCE, end in ONCE',
      '/added': 'added data in ADDED, end in ADDED',
    }
    for (const [path, said] of Object.entries(wanted)) {
      const id = path.slice(1).toUpperCase()
      const client = await post(server, path, id)
      await client.receives(new RegExp(`\r\n${said}`))
      client.send('GET /data HTTP/1.1\r\nHost: a\r\nX-Request-Id: none\r\n\r\n')
      await client.receives(/\r\nend in none/)
      client.destroy()
    }
  })

  test('is in its request over HTTP/2, also of bare streams', async (t) => {
    const server = await start(t)
    for (const [index, url] of server.urls.slice(1).entries()) {
      const session = http2.connect(url)
      t.onTestFinished(() => session.destroy())
      const id = `http2-${index}`
      const stream = session.request({
        ':method': 'POST',
        ':path': '/data',
        'x-request-id': id,
      })
      stream.write('bo')
      await server.prints(new RegExp(`^begun in ${id}$`))
      stream.end('dy')
      let text = ''
      for await (const chunk of stream) text += String(chunk)
      expect(text).toBe(`data in ${id}, end in ${id}`)
    }
  })

  test('and throws: that request is answered 500', async (t) => {
    const server = await start(t)
    server.expectLog(/^UNCAUGHT ERROR/)
    const client = await post(server, '/throw', 'thrower')
    await client.receives(/^HTTP\/1\.1 500 /)
    const line = await server.log(/^UNCAUGHT ERROR .*thrown at the end/)
    expect(line).toMatchObject({ outcome: '500', request: { id: 'thrower', url: '/throw' } })
    client.destroy()
  })

  test('and blocks the event loop: that request is to blame', async (t) => {
    const server = await start(t, '--timeout', '1')
    server.expectLog(/^WORKER TIMEOUT/)
    const client = await post(server, '/block', 'blocker')
    await client.receives(/^HTTP\/1\.1 504 /)
    const line = await server.log(/^WORKER TIMEOUT/)
    expect(line).toMatchObject({ certain: true, culprit: { id: 'blocker', url: '/block' } })
    expect(line.msg).toMatch(/spinForever .*reads-bodies\.mjs:\d+/)
    client.destroy()
  })
})

interface Upstream {
  readonly url: string
  /** Requests so far. */
  asked(): number
  /** Those of them that it still has. */
  open(): number
}

/** An upstream that never answers /never and half answers /half. */
async function upstream(t: Teardown): Promise<Upstream> {
  let asked = 0
  let open = 0
  const server: HttpServer = createServer((req, res) => {
    asked++
    open++
    res.on('close', () => open--)
    if (req.url === '/half') res.write('half')
    if (req.url === '/') res.end('from upstream')
  }).listen(0, '127.0.0.1')
  t.onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  await until('the upstream listens', () => server.listening)
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, asked: () => asked, open: () => open }
}

describe('the global fetch of an app that knows nothing of us', { concurrent: true }, () => {
  test('works', async (t) => {
    const { url } = await upstream(t)
    const server = await startServer(t, 'late.mjs')
    expect((await server.get(`/fetch?url=${url}/`)).text).toBe('from upstream')
    expect((await server.get(`/proxy?url=${url}/`)).text).toBe('from upstream')
  })

  test('ends at the deadline, and an app that does not catch it lives on', async (t) => {
    const { url, open } = await upstream(t)
    const server = await startServer(t, 'late.mjs', '--timeout', '0.5')
    wantTimeouts(server)
    expect((await server.get(`/fetch?url=${url}/never`)).status).toBe(504)
    await server.prints(/^fetch failed with TimeoutError$/)
    await until('the upstream is rid of it', () => open() === 0)
    await expectUnharmed(server)
  })

  test('ends when the client leaves, and an app that does not catch it lives on', async (t) => {
    const { url, asked, open } = await upstream(t)
    const server = await startServer(t, 'late.mjs')
    for (const [index, path] of [`/fetch?url=${url}/never`, `/proxy?url=${url}/half`].entries()) {
      const client = await RawClient.connect(server.url)
      client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
      await until('the upstream was asked', () => asked() === index + 1)
      client.destroy()
      await until('the upstream is rid of it', () => open() === 0)
    }
    await server.prints(/^fetch failed with AbortError$/)
    await expectUnharmed(server)
  })

  test('goes on as ever with --no-abort-fetch', async (t) => {
    const { url, open } = await upstream(t)
    const server = await startServer(t, 'late.mjs', '--timeout', '0.5', '--no-abort-fetch')
    wantTimeouts(server)
    expect((await server.get(`/fetch?url=${url}/never`)).status).toBe(504)
    await server.get('/wait/a/moment?ms=300')
    expect(open(), 'for ever').toBe(1)
    expect(server.output.filter((line) => line.includes('failed'))).toEqual([])
  })

  test('obeys its own signal too', async (t) => {
    const { url } = await upstream(t)
    const server = await startServer(t, 'late.mjs')
    const answer = await server.get(`/fetch-with-own-signal?url=${url}/never`)
    expect(answer.text).toBe('MyOwnError')
    await expectUnharmed(server)
  })
})
