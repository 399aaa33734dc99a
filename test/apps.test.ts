// Every form of an application that can be started, unmodified; both ways, listening and exporting, pass the same checks.
import http2 from 'node:http2'
import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { keepAliveClient, RawClient, request } from './helpers/client.ts'
import { fixtures, spawnServer, startServer, type Server } from './helpers/server.ts'
import { sharedServer } from './helpers/shared.ts'
import { socketPath, tempDir } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

interface Facts {
  pid: number
  isWorker: boolean
  id: number
  slot: string
  argv: string[]
  isMain: boolean
}

const factsOf = async (server: Server, url = server.url): Promise<Facts> =>
  (await request(url, '/cluster')).json<Facts>()

/** What any HTTP app must do behind us, whatever it is made of. */
async function checkApp(server: Server, url = server.url): Promise<void> {
  const body = 'echo '.repeat(20_000)
  const client = keepAliveClient(url)
  try {
    const hello = await client.get('/')
    expect(hello).toMatchObject({ status: 200, text: 'hello' })
    const echo = await client.get('/echo', { method: 'POST', body, headers: textPlain })
    expect(echo.text === body, 'the body comes back whole').toBe(true)
    expect(echo.localPort, 'over the connection of the first request').toBe(hello.localPort)
    const cookies = (await client.get('/cookies')).headers['set-cookie'] ?? []
    expect(cookies.map((cookie) => cookie.split(';')[0])).toEqual(['a=1', 'b=2'])
    const head = await client.get('/', { method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, text: '' })
  } finally {
    client.destroy()
  }
  const facts = await factsOf(server, url)
  expect(facts).toMatchObject({ isWorker: true, slot: '0' })
  expect(server.allPids()).toContain(facts.pid)
}

const textPlain = { 'content-type': 'application/octet-stream' }

const listening = {
  CommonJS: 'hello.js',
  'ESM with top-level await': 'hello.mjs',
  'TypeScript (.ts)': 'hello.ts',
  'TypeScript (.mts)': 'hello.mts',
  'TypeScript (.cts)': 'hello.cts',
  'Express 5': 'frameworks/express-listens.js',
  'Express 4': 'frameworks/express4-listens.js',
  Koa: 'frameworks/koa-listens.js',
  Fastify: 'frameworks/fastify-listens.js',
  'an http.Server': 'frameworks/http-server-listens.js',
  'an https.Server': 'frameworks/https-server-listens.js',
  'an http2 server over TLS': 'frameworks/http2-server-listens.js',
  'a host name that is looked up first': 'listens-on-a-name.js',
  'a main() that is exported': 'factory-listens.js',
}

const exporting = {
  'a (req, res) function from CommonJS': 'hello-export.js',
  'a (req, res) function from ESM with top-level await': 'hello-export.mjs',
  'a (req, res) function from TypeScript (.ts)': 'hello-export.ts',
  'a (req, res) function from TypeScript (.mts)': 'hello-export.mts',
  'a (req, res) function from TypeScript (.cts)': 'hello-export.cts',
  'an Express 5 app': 'frameworks/express.js',
  'an Express 4 app': 'frameworks/express4.js',
  'a Koa app': 'frameworks/koa.js',
  'a Fastify instance': 'frameworks/fastify.js',
  'a Hono app': 'frameworks/hono.mjs',
  'an object with fetch()': 'frameworks/fetch.mjs',
  'an http.Server': 'frameworks/http-server.js',
  'an https.Server': 'frameworks/https-server.js',
  'an http2 server over TLS': 'frameworks/http2-server.js',
  'a factory': 'factory.js',
  'an async factory': 'factory-async.mjs',
  'a promise': 'promise.js',
  "transpiled code's default": 'transpiled.js',
  'an object with a default property': 'default-property.js',
  'an app whose text speaks of listen() without calling it': 'exports-with-timer.js',
  'a named export of CommonJS': 'named-exports.js:app',
  'a named server of CommonJS': 'named-exports.js:server',
  'a named factory of CommonJS': 'named-exports.js:create',
  'a nested export of CommonJS': 'named-exports.js:nested.app',
  'a named export of ESM': 'named-exports.mjs:app',
  'a named server of ESM': 'named-exports.mjs:server',
  'a named factory of ESM': 'named-exports.mjs:create',
  'a nested export of ESM': 'named-exports.mjs:nested.app',
}

describe('an app that listens by itself is served:', () => {
  for (const [what, app] of Object.entries(listening)) {
    test(what, async (t) => {
      const server = await startServer(t, app)
      await checkApp(server)
      expect(server.urls).toHaveLength(1)
    })
  }

  test('HTTP/2 without TLS', async (t) => {
    const server = await startServer(t, 'frameworks/h2c-server-listens.js')
    expect(await http2Get(server.url, '/')).toBe('hello')
  })

  test('on two ports at once', async (t) => {
    const server = await startServer(t, 'two-ports.js', '--workers', '2')
    await server.logTimes(/^Listening at/, 2)
    const [first, second] = server.urls
    const answers = await Promise.all([request(first!, '/'), request(second!, '/')])
    expect(answers.map(({ text }) => text).sort()).toEqual(['hello', 'second'])
  })

  test('on an IPv6 address', async (t) => {
    const server = await startServer(t, 'ipv6.js')
    expect(server.url).toMatch(/^http:\/\/\[::1\]:\d+$/)
    await checkApp(server)
  })

  test('on the path of a unix socket', async (t) => {
    const path = socketPath(t)
    const server = await startServer(t, 'unix-path.js', '--workers', '2', {
      env: { SOCKET_PATH: path },
    })
    expect(server.url).toBe(`unix:${path}`)
    expect((await server.get('/')).text).toBe('hello')
  })

  test('on port 0: all workers share the port, and it survives the end of all of them', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2', { bind: false })
    expect(server.urls).toHaveLength(1)
    server.expectLog(/was ended by SIGKILL/)
    const old = server.pids()
    for (const pid of old) process.kill(pid, 'SIGKILL')
    await server.logTimes(/^Worker ready/, 4)
    expect(server.urls).toHaveLength(1)
    expect(old).not.toContain(Number((await server.get('/pid')).text))
  })
})

describe('an app that exports is served:', () => {
  for (const [what, app] of Object.entries(exporting)) {
    test(what, async (t) => {
      const server = await startServer(t, app)
      await checkApp(server)
      expect(server.urls).toHaveLength(1)
    })
  }

  test('an HTTP/2 server without TLS', async (t) => {
    const server = await startServer(t, 'frameworks/h2c-server.js')
    expect(await http2Get(server.url, '/')).toBe('hello')
  })

  test('on TCP, IPv6 and a unix socket at once, by every worker', async (t) => {
    const path = socketPath(t)
    const flags = ['--bind', '[::1]:0', '--bind', `unix:${path}`, '--workers', '2']
    const server = await startServer(t, 'hello-export.js', ...flags)
    await server.logTimes(/^Listening at/, 3)
    for (const url of server.urls) await checkAnySlot(server, url)
  })

  test('an https.Server on two addresses', async (t) => {
    const server = await startServer(t, 'frameworks/https-server.js', '--bind', '[::1]:0')
    await server.logTimes(/^Listening at/, 2)
    expect(server.urls.map((url) => url.replace(/\d+$/, ''))).toEqual([
      'https://127.0.0.1:',
      'https://[::1]:',
    ])
    for (const url of server.urls) await checkApp(server, url)
  })

  test('on an inherited file descriptor', async (t) => {
    const socket = net.createServer().listen(0, '127.0.0.1')
    await until('listening', () => socket.listening)
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
    const { port } = socket.address() as net.AddressInfo
    const server = await startServer(t, 'hello-export.js', { bind: 'fd://3', fds: [fd] })
    // Else this process would accept some of the connections.
    socket.close()
    await checkApp(server, `http://127.0.0.1:${port}`)
  })

  test('a Fastify instance: its onListen and onClose hooks run', async (t) => {
    const server = await startServer(t, 'frameworks/fastify.js')
    await server.prints(/onListen hook ran/)
    server.signal('SIGTERM')
    await server.prints(/onClose hook ran/)
    expect(await server.exit()).toMatchObject({ code: 0 })
  })

  test("a Hono app: Node's request is where its helpers look for it", async (t) => {
    const server = await startServer(t, 'frameworks/hono.mjs')
    expect((await server.get('/peer')).text).toBe('127.0.0.1')
  })
})

const checkAnySlot = async (server: Server, url: string): Promise<void> => {
  expect((await request(url, '/')).text).toBe('hello')
  const { pid, slot } = await factsOf(server, url)
  expect(server.pids()).toContain(pid)
  expect(['0', '1']).toContain(slot)
}

function http2Get(url: string, path: string): Promise<string> {
  const session = http2.connect(url)
  const answer = new Promise<string>((resolve, reject) => {
    let text = ''
    session.on('error', reject)
    const stream = session.request({ ':path': path })
    stream.on('error', reject)
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
    stream.on('end', () => resolve(text))
  })
  return answer.finally(() => session.close())
}

describe('when an app both exports and listens', () => {
  for (const app of ['listens-and-exports.js', 'listens-later.js']) {
    test(`its own listen() wins (${app})`, async (t) => {
      const server = await startServer(t, app, { bind: false })
      expect(server.urls).toHaveLength(1)
      expect(server.url).not.toMatch(/:8000$/)
      await checkApp(server)
    })
  }

  test('an export that was named is served as well', async (t) => {
    const server = await startServer(t, 'listens-and-exports.js:default', '--bind', '[::1]:0')
    await server.logTimes(/^Listening at/, 3)
    for (const url of server.urls) await checkApp(server, url)
  })
})

describe('a worker', () => {
  test('has a unique cluster id and a slot that is used again after a crash', async (t) => {
    const server = await startServer(t, 'hello-export.js', '--workers', '3')
    const seen = await factsOfAll(server, 3)
    expect(seen.map(({ slot }) => slot).sort()).toEqual(['0', '1', '2'])
    expect(new Set(seen.map(({ id }) => id)).size).toBe(3)
    const victim = seen.find(({ slot }) => slot === '1')!
    server.expectLog(/was ended by SIGKILL/)
    process.kill(victim.pid, 'SIGKILL')
    await server.logTimes(/^Worker ready/, 4)
    const now = await factsOfAll(server, 3)
    expect(now.map(({ slot }) => slot).sort()).toEqual(['0', '1', '2'])
    expect(now.map(({ id }) => id)).not.toContain(victim.id)
  })

  test('runs the app as its main module, with the arguments after --', async (t) => {
    const server = await startServer(t, 'hello.js', { appArgs: ['--color', 'a b'] })
    const { argv, isMain } = await factsOf(server)
    expect(argv).toEqual([`${fixtures}/hello.js`, '--color', 'a b'])
    expect(isMain).toBe(true)
  })

  test('runs the app after instrumentation that comes with --import', async (t) => {
    for (const env of [{}, { NODE_OPTIONS: '--import ./instrument.mjs' }]) {
      const flags = 'NODE_OPTIONS' in env ? [] : ['--node-args', '--import ./instrument.mjs']
      const server = await startServer(t, 'instrumented.mjs', ...flags, { env })
      expect((await server.get('/')).text).toBe('true')
    }
  })

  test('is told by HOSTNAME where to listen if it is the standalone server of Next.js', async (t) => {
    const app = `
      const { createServer } = require('node:http')
      const { HOSTNAME, PORT } = process.env
      createServer((req, res) => res.end(HOSTNAME)).listen(PORT, HOSTNAME === 'box' ? '::1' : HOSTNAME)`
    const cwd = tempDir(t, { 'next/.next/BUILD_ID': 'a1', 'next/server.js': app, 'server.js': app })
    const options = { cwd, env: { HOSTNAME: 'box' } }
    expect((await startServer(t, 'next/server.js', options)).url).toMatch('http://127.0.0.1:')
    const other = await startServer(t, 'server.js', options)
    expect((await other.get('/')).text, 'for others it is the name of the machine').toBe('box')
  })

  test('is started with the main of package.json if no file is given', async (t) => {
    const cwd = tempDir(t, {
      'package.json': '{ "main": "./server.js" }',
      'server.js': 'module.exports = (req, res) => res.end("from main")',
    })
    const server = await startServer(t, '--timeout=30', { cwd })
    expect((await server.get('/')).text).toBe('from main')
  })
})

/** The facts of so many different workers. */
async function factsOfAll(server: Server, count: number): Promise<Facts[]> {
  const seen = new Map<number, Facts>()
  await until(`${count} workers answered`, async () => {
    const facts = await Promise.all(Array.from({ length: 8 }, () => factsOf(server)))
    for (const fact of facts) if (server.pids().includes(fact.pid)) seen.set(fact.pid, fact)
    return seen.size >= count
  })
  return [...seen.values()]
}

const unservable: Record<string, [exit: number, said: RegExp]> = {
  'ends.js': [3, /ends\.js ended without listening and without exporting an app/],
  'await-forever.mjs': [3, /await-forever\.mjs ended at a top-level await that nothing can settle/],
  'factory-throws.js': [3, /was called as a factory and threw: no database today/],
  'frameworks/fastify-plugin-fails.js': [3, /could not be served: the plugin has no database/],
  'throw-at-boot.js': [3, /thrown while the app was loaded/],
  'throw-at-boot.mjs': [3, /thrown while the app was loaded/],
  'reject-at-boot.js': [3, /rejected while the app was loaded/],
  'exit-at-boot.js': [3, /exited with code 7/],
  'exit-zero.js': [3, /exited with code 0/],
  'broken/syntax-error.js': [3, /SyntaxError/],
  'broken/missing-module.js': [3, /Cannot find module 'a-module-that-is-not-there'/],
  'named-exports.js': [4, /exports app, server, create: name the one .*named-exports\.js:app/],
  'named-exports.mjs': [4, /exports app, create, server: name the one .*named-exports\.mjs:app/],
  'named-exports.js:nope': [4, /no export "nope"; it exports app, server, create, nested, port/],
  'named-exports.js:port': [4, /the export "port" is the number 3000; it must be a \(req, res\)/],
  'export-object.js': [4, /default export is an object with the keys port, host; it must be/],
  'export-default-object.mjs': [4, /an object with the keys port, host; it must be a \(req, res\)/],
  'export-class.js': [4, /default export is the class App, not an instance of it; it must be/],
  'export-unary.js': [4, /the default export is a function with 1 parameter; it must be/],
}

describe('an app that cannot be served ends the start at once, with the reason:', () => {
  for (const [app, [code, said]] of Object.entries(unservable)) {
    test(`${app} (exit ${code})`, async (t) => {
      // With 4 workers: test/boot.test.ts.
      const server = spawnServer(t, app)
      server.expectLog(/./)
      const exit = await server.exit()
      const everything = [server.stderr, ...server.lines.map(({ msg }) => msg)].join('\n')
      expect(everything).toMatch(said)
      expect(exit.code).toBe(code)
      expect(server.lines.some(({ msg }) => msg.startsWith('Listening at'))).toBe(false)
    })
  }
})

describe('an app with fetch()', () => {
  const start = sharedServer('frameworks/fetch.mjs')

  test('sees the address that the client asked for', async () => {
    const server = start()
    const headers = { host: 'example.com:81' }
    expect((await server.get('/url?a=1', { headers })).text).toBe('http://example.com:81/url?a=1')
    const proxied = await raw(server, 'GET http://other.example/url HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(proxied).toMatch(/http:\/\/other\.example\/url$/)
  })

  test('gets a Content-Length for a short body, and none for a stream', async () => {
    const server = start()
    expect((await server.get('/')).headers['content-length']).toBe('5')
    const stream = await server.get('/events')
    expect(stream.headers['transfer-encoding']).toBe('chunked')
    expect(stream.text).toBe('data: 1\n\n')
  })

  test('sends the headers of an event stream before the first event', async () => {
    const server = start()
    const client = await RawClient.connect(server.url)
    client.send('GET /events HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives(/\r\n\r\n/)
    expect(client.received).not.toContain('data: 1')
    await client.receives(/data: 1/)
    client.destroy()
  })

  test('passes a body on as it comes, both ways', async () => {
    const server = start()
    const client = await RawClient.connect(server.url)
    client.send('POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    client.send('5\r\nfirst\r\n')
    await client.receives(/first/)
    client.send('6\r\nsecond\r\n0\r\n\r\n')
    await client.receives(/second\r\n0\r\n/)
    client.destroy()
  })

  test('keeps the connection when it ignores or cancels a body', async (t) => {
    const server = start()
    const client = keepAliveClient(server.url)
    t.onTestFinished(() => client.destroy())
    const body = Buffer.alloc(1 << 20)
    const first = await client.get('/ignore-body', { method: 'POST', body })
    expect(first).toMatchObject({ status: 200, text: 'ignored' })
    const second = await client.get('/cancel-body', { method: 'POST', body })
    expect(second).toMatchObject({ status: 413, text: 'cancelled', localPort: first.localPort })
    const third = await client.get('/')
    expect(third).toMatchObject({ status: 200, localPort: first.localPort })
  })

  test('has an abort signal that fires when the client leaves', async () => {
    const server = start()
    const client = await RawClient.connect(server.url)
    client.send('GET /until-aborted HTTP/1.1\r\nHost: a\r\n\r\n')
    await server.prints(/waiting for the client to leave/)
    client.destroy()
    await until('aborted', async () => (await server.get('/aborted')).text === '1')
  })

  test('answers 500 when it throws or returns no response, and serves on', async () => {
    const server = start()
    for (const path of ['/throws', '/no-response']) {
      expect(await server.get(path)).toMatchObject({ status: 500, text: 'Internal Server Error' })
    }
    await server.complains(/the fetch handler threw/)
    await server.complains(/fetch\(\) returned undefined; it must return a Response/)
    expect((await server.get('/')).text).toBe('hello')
    expect(server.allPids()).toHaveLength(1)
  })

  test('breaks the connection off when its stream breaks', async () => {
    const server = start()
    await expect(server.get('/broken-stream')).rejects.toThrow(/aborted|socket hang up/)
    expect((await server.get('/')).text).toBe('hello')
  })

  test('can answer without a body', async () => {
    const server = start()
    expect(await server.get('/empty')).toMatchObject({ status: 204, text: '' })
  })

  test('never sees a request whose Host is none', async () => {
    const server = start()
    expect(await raw(server, 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /)
  })
})

/** The answer to bytes sent by hand, read until it is complete. */
async function raw(server: Server, bytes: string): Promise<string> {
  const client = await RawClient.connect(server.url)
  client.send(bytes)
  await client.receives(/\r\n\r\n[^]+/)
  client.destroy()
  return client.received
}
