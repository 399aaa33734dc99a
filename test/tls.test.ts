// TLS for apps that export their handler: which apps, which clients, HTTP/2, and certificates that change while it runs.
import { copyFileSync, readFileSync, renameSync } from 'node:fs'
import http2 from 'node:http2'
import { join } from 'node:path'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { keepAliveClient, RawClient, request } from './helpers/client.ts'
import { runCommand } from './helpers/command.ts'
import { startLoad } from './helpers/load.ts'
import { fixtures, spawnServer, startServer, type Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until, within } from './helpers/until.ts'

const pem = (name: string): string => join(fixtures, 'tls', name)
const PAIR = ['--certfile', pem('cert.pem'), '--keyfile', pem('key.pem')]

interface Handshake {
  readonly socket: tls.TLSSocket
  readonly error: Error | undefined
}

/** A client of ours after its handshake, or after the server has refused it. */
async function connect(t: Teardown, url: string, options: tls.ConnectionOptions = {}) {
  const { port, hostname } = new URL(url)
  const socket = tls.connect({
    port: Number(port),
    host: hostname,
    rejectUnauthorized: false,
    ...options,
  })
  t.onTestFinished(() => void socket.destroy())
  return new Promise<Handshake>((resolve) => {
    socket.once('secureConnect', () => resolve({ socket, error: undefined }))
    socket.once('error', (error) => resolve({ socket, error }))
  })
}

/** The status line that it gets, or nothing: TLS 1.3 tells a client late that it is refused. */
async function statusOf({ socket, error }: Handshake): Promise<string> {
  if (error) return ''
  let received = ''
  let isOver = false
  socket.on('data', (chunk: Buffer) => (received += chunk.toString()))
  socket.on('error', () => (isOver = true)) // the alert that refuses it
  socket.on('close', () => (isOver = true))
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  await until('an answer or the end', () => isOver)
  return /^HTTP\S+ (\d+)/.exec(received)?.[1] ?? ''
}

const commonName = ({ socket }: Handshake): string =>
  String((socket.getPeerCertificate().subject as { CN?: string }).CN)

/** A pair of files that can be replaced, each at once as `mv` does. */
function renewable(t: Teardown) {
  const dir = tempDir(t)
  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')]
  const put = (from: string, to: string): void => {
    copyFileSync(pem(from), `${to}.new`)
    renameSync(`${to}.new`, to)
  }
  put('cert.pem', cert)
  put('key.pem', key)
  return { flags: ['--certfile', cert, '--keyfile', key], cert, key, put }
}

/** A session of HTTP/2 and a way to ask by it. */
function http2Client(t: Teardown, url: string) {
  const session = http2.connect(url, { rejectUnauthorized: false })
  session.on('error', () => undefined) // the requests tell
  t.onTestFinished(() => session.destroy())
  const get = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':path': path })
      let text = ''
      stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      stream.on('error', reject)
      stream.on('response', (headers) => (text = `${headers[':status']} `))
      stream.on('end', () => resolve(text))
      stream.end()
    })
  return { session, get }
}

const forms: Record<string, string> = {
  'a function': 'hello-export.js',
  'an Express app': 'frameworks/express.js',
  'a Koa app': 'frameworks/koa.js',
  'a Hono app': 'frameworks/hono.mjs',
  'a Fastify app': 'frameworks/fastify.js',
  'an http.Server': 'frameworks/http-server.js',
}

describe.concurrent('--certfile', () => {
  for (const [what, app] of Object.entries(forms))
    test(`serves ${what} over TLS, with keep-alive`, async (t) => {
      const server = await startServer(t, app, ...PAIR)
      expect(server.url).toMatch(/^https:/)
      const client = keepAliveClient(server.url)
      t.onTestFinished(() => client.destroy())
      const first = await client.get('/')
      expect(first).toMatchObject({ status: 200, text: 'hello' })
      expect((await client.get('/')).localPort).toBe(first.localPort)
      const { port } = new URL(server.url)
      const plain = await RawClient.connect(`http://127.0.0.1:${port}`)
      t.onTestFinished(() => plain.destroy())
      plain.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
      await plain.closed()
      expect(plain.received).not.toContain('200')
    })

  test('is answered by a ready check and on two addresses, and a late request gets its 504', async (t) => {
    const more = ['--bind', '[::1]:0', '--ready-check', '/', '--timeout', '1']
    const server = await startServer(t, 'frameworks/http-server.js', ...PAIR, ...more)
    server.expectLog(/^REQUEST TIMEOUT/)
    expect(server.urls).toHaveLength(2)
    for (const url of server.urls) expect((await request(url, '/')).text).toBe('hello')
    expect((await server.get('/never')).status).toBe(504)
  })

  test('resumes the session of a client with any worker', async (t) => {
    const server = await startServer(t, 'hello-export.js', ...PAIR, '--workers', '2')
    const options = { maxVersion: 'TLSv1.2' } as const
    const { socket } = await connect(t, server.url, options)
    const session = socket.getSession()
    const seen = new Set<string>()
    await until('both workers were met', async () => {
      const next = await connect(t, server.url, { ...options, session: session! })
      expect(next.socket.isSessionReused()).toBe(true)
      let text = ''
      next.socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
      next.socket.write('GET /pid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
      await until('an answer', () => /\r\n\r\n\d+/.test(text))
      seen.add(/\r\n\r\n(\d+)/.exec(text)![1]!)
      return seen.size === 2
    })
  })

  test('with --cert-reqs lets in whom it should', async (t) => {
    const good = {
      cert: readFileSync(pem('client-cert.pem')),
      key: readFileSync(pem('client-key.pem')),
    }
    const bad = { cert: readFileSync(pem('cert.pem')), key: readFileSync(pem('key.pem')) }
    const answers = async (certReqs: string): Promise<string[]> => {
      const more = ['--ca-certs', pem('ca.pem'), '--cert-reqs', certReqs]
      const { url } = await startServer(t, 'hello-export.js', ...PAIR, ...more)
      const clients = [good, bad, {}].map(async (one) => statusOf(await connect(t, url, one)))
      return Promise.all(clients)
    }
    expect(await Promise.all(['2', 'optional', 'none'].map(answers))).toEqual([
      ['200', '', ''],
      ['200', '', '200'],
      ['200', '200', '200'],
    ])
  })

  test('takes a renewed certificate when its file changes, and drops no connection for it', async (t) => {
    const files = renewable(t)
    const server = await startServer(t, 'hello-export.js', ...files.flags, '--workers', '2')
    const load = startLoad(t, server.url, { keepAlive: 4, newConnections: 2, pause: 20 })
    await load.everyoneServed()
    const client = keepAliveClient(server.url)
    t.onTestFinished(() => client.destroy())
    const before = await client.get('/')
    const workers = server.pids()
    server.expectLog(/^The new certificate is not used, .* does not belong to the certificate/)
    files.put('renewed-cert.pem', files.cert)
    await server.log(/^The new certificate is not used/)
    expect(commonName(await connect(t, server.url))).toBe('localhost')
    files.put('renewed-key.pem', files.key)
    await server.log(/^New certificate: .* expires in \d+ days/)
    await until('new clients see it', async () =>
      (await Promise.all([1, 2, 3, 4].map(() => connect(t, server.url)))).every(
        (one) => commonName(one) === 'renewed',
      ),
    )
    expect((await client.get('/')).localPort).toBe(before.localPort)
    await load.everyoneServed()
    files.put('cert.pem', files.cert)
    files.put('key.pem', files.key)
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    expect(commonName(await connect(t, server.url))).toBe('localhost')
    expect(server.pids()).not.toEqual(workers)
    expect(await load.stop()).toMatchObject({ refused: 0, reset: 0, hung: 0, other: 0 })
  })

  test('that has expired serves, and says so', async (t) => {
    const flags = ['--certfile', pem('expired-with-key.pem'), '--preload']
    const server = await startServer(t, 'hello-export.js', ...flags)
    expect((await server.get('/')).text).toBe('hello')
    await server.log(/^The certificate .*expired-with-key.pem has expired \d+ days ago/)
  })
})

describe.concurrent('a start, and a check, are refused with', () => {
  // 1: only a try of the app could tell
  for (const [what, app, flags, says, code = 1] of [
    [
      'the key of another certificate',
      'hello-export.js',
      ['--certfile', pem('cert.pem'), '--keyfile', pem('renewed-key.pem')],
      /renewed-key.pem does not belong to/,
      2,
    ],
    ['an app that listens by itself', 'hello.js', PAIR, /--certfile cannot be used: .*by itself/],
    ['Express and --http2', 'frameworks/express.js', [...PAIR, '--http2'], /--http2 .*Express/],
    ['Fastify and --http2', 'frameworks/fastify.js', [...PAIR, '--http2'], /--http2 .*of its own/],
  ] as const)
    test(what, async (t) => {
      const server = spawnServer(t, app, ...flags)
      server.expectLog(says)
      expect(await server.exit()).toMatchObject({ code: 2 })
      const told = [server.stderr, ...server.lines.map(({ msg }) => msg)].join('\n')
      expect(told).toMatch(says)
      expect(told).not.toContain('Server is ready')
      const check = await runCommand({}, ['check', app, ...flags])
      expect(check).toMatchObject({ code, stderr: expect.stringMatching(says) as string })
    })

  test('nothing, but a warning, if the app has TLS of its own', async (t) => {
    const own = (app: string): Promise<Server> => startServer(t, `frameworks/${app}`, ...PAIR)
    for (const server of await Promise.all(
      ['https-server.js', 'https-server-listens.js'].map(own),
    )) {
      expect((await server.get('/')).text).toBe('hello')
      await server.log(/^--certfile has no effect: the application has TLS of its own/)
    }
  })
})

describe.concurrent('--http2', () => {
  for (const app of ['hello-export.js', 'frameworks/koa.js', 'frameworks/hono.mjs'])
    test(`speaks HTTP/2 with those who can and HTTP/1.1 with the others (${app})`, async (t) => {
      const server = await startServer(t, app, ...PAIR, '--http2')
      const client = http2Client(t, server.url)
      expect(await Promise.all(['/', '/'].map(client.get))).toEqual(['200 hello', '200 hello'])
      expect((await server.get('/')).text).toBe('hello')
    })

  test('keeps deadlines, keep-alive and a drain without loss', async (t) => {
    const times = ['--timeout', '3', '--keep-alive', '1']
    const server = await startServer(t, 'hello-export.js', ...PAIR, '--http2', ...times)
    server.expectLog(/^REQUEST TIMEOUT/)
    const [idle, busy] = [http2Client(t, server.url), http2Client(t, server.url)]
    await idle.get('/')
    const goaway = new Promise((resolve) => idle.session.once('goaway', resolve))
    expect(await busy.get('/never')).toMatch(/^504 /)
    await within('the idle session was ended', goaway)
    const last = http2Client(t, server.url)
    const slow = last.get('/slow?ms=300')
    await server.prints(/^request started/)
    server.signal('SIGTERM')
    expect(await slow).toBe('200 done')
    expect(await server.exit()).toMatchObject({ code: 0 })
  })
})
