// A worker that leaves, seen by clients that cannot be handed over, TLS and HTTP/2, and by those who wait in the kernel's queue:
// whatever the transport, nobody loses a request.
import http2 from 'node:http2'
import net from 'node:net'
import tls from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { startLoad } from './helpers/load.ts'
import { fixtures, startServer, type Server, type ServerOptions } from './helpers/server.ts'
import { socketPath, tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const secure = (t: Teardown, create: string): ServerOptions => ({
  cwd: tempDir(t, {
    'app.js': `
      const { readFileSync } = require('node:fs')
      const { handler, port, host } = require('${fixtures}/routes.js')
      const key = readFileSync('${fixtures}/tls/key.pem')
      const cert = readFileSync('${fixtures}/tls/cert.pem')
      require('node:${create.split('.')[0]}').${create.split('.')[1]}({ key, cert, allowHTTP1: true }, handler)
        .listen(port, host)`,
  }),
})

/** Sends SIGHUP and waits until everybody is replaced. */
async function reload(server: Server): Promise<void> {
  const from = server.lines.length
  const old = server.pids()
  server.signal('SIGHUP')
  await server.log(/^Reload finished after/, { from })
  await until('the old workers are gone', () => old.every((pid) => !server.pids().includes(pid)))
}

/** One HTTP/2 session, opened anew only when the server has said GOAWAY or closed it. */
class Http2Client {
  answers = 0
  readonly failures: string[] = []
  readonly sessions = new Set<http2.ClientHttp2Session>()
  #session: http2.ClientHttp2Session | undefined
  #state: 'running' | 'stopped' = 'running'
  readonly #url: string
  readonly #done: Promise<void>

  constructor(t: Teardown, url: string, think: number) {
    this.#url = url
    this.#done = this.#run(think)
    t.onTestFinished(() => this.stop())
  }

  async stop(): Promise<void> {
    this.#state = 'stopped'
    await this.#done
    this.#session?.destroy()
  }

  async #run(think: number): Promise<void> {
    while (this.#state === 'running') {
      await this.#ask().catch((error: unknown) => this.failures.push(String(error)))
      await sleep(think)
    }
  }

  #ask(): Promise<void> {
    const session = this.#usable()
    return new Promise((resolve, reject) => {
      const body = this.answers % 3 === 0 ? 'x'.repeat(16_384) : undefined
      const method = body ? 'POST' : 'GET'
      const stream = session.request({ ':path': body ? '/echo' : '/', ':method': method })
      let text = ''
      stream.on('data', (chunk) => (text += String(chunk)))
      stream.on('error', reject)
      stream.on('close', () => {
        if (text !== (body ?? 'hello')) return reject(new Error(`got ${text.length} bytes`))
        this.answers++
        resolve()
      })
      stream.end(body)
    })
  }

  #usable(): http2.ClientHttp2Session {
    if (this.#session && !this.#session.closed && !this.#session.destroyed) return this.#session
    const session = (this.#session = http2.connect(this.#url, { rejectUnauthorized: false }))
    session.on('error', (error) => this.failures.push(`session: ${String(error)}`))
    this.sessions.add(session)
    return session
  }
}

describe('reloads', { concurrent: true }, () => {
  test('cost HTTP/2 clients over TLS a new session each, and no request', async (t) => {
    const options = secure(t, 'http2.createSecureServer')
    const server = await startServer(t, 'app.js', '--workers', '2', '--drain-idle', '5', options)
    const clients = [0, 0, 2, 2, 20].map((think) => new Http2Client(t, server.url, think))
    for (let round = 0; round < 3; round++) {
      const before = clients.map(({ answers }) => answers)
      await until('all are served', () => clients.every((c, n) => c.answers > before[n]! + 2))
      await reload(server)
    }
    for (const client of clients) {
      await client.stop()
      expect(client.failures).toEqual([])
      expect(client.sessions.size).toBeGreaterThan(2)
    }
  })

  test('cost TLS clients a new connection, and no request', async (t) => {
    const options = secure(t, 'https.createServer')
    const server = await startServer(t, 'app.js', '--workers', '2', '--drain-idle', '5', options)
    const load = startLoad(t, server.url, { keepAlive: 6, newConnections: 3 })
    for (let round = 0; round < 3; round++) {
      await load.everyoneServed()
      await reload(server)
    }
    await load.everyoneServed()
    await load.stop()
    expect(load.failures).toEqual([])
  })

  for (const transport of ['TCP', 'a unix socket'])
    test(`leave whom the kernel keeps waiting over ${transport} in their place`, async (t) => {
      const bind = transport === 'TCP' ? '127.0.0.1:0' : `unix:${socketPath(t)}`
      const server = await startServer(t, 'hello-export.js', { bind })
      const busy = server.get('/block?ms=1500')
      const path = /^unix:(.+)$/.exec(server.url)?.[1]
      const at = path ? { path } : { port: Number(new URL(server.url).port), host: '127.0.0.1' }
      const waiting = Array.from({ length: 60 }, () => net.connect(at))
      t.onTestFinished(() => waiting.forEach((socket) => socket.destroy()))
      const ends: string[] = []
      for (const socket of waiting) {
        let text = ''
        socket.on('data', (chunk) => (text += String(chunk)))
        socket.on('error', (error) => ends.push(String(error)))
        socket.on('end', () => ends.push(text.endsWith('hello') ? 'served' : `got ${text}`))
        socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      }
      server.signal('SIGHUP')
      await server.log(/^Reload finished/)
      await busy
      await until('all have had their end', () => ends.length === waiting.length)
      expect(ends.filter((end) => end !== 'served')).toEqual([])
    })
})

describe('a stop', { concurrent: true }, () => {
  for (const create of ['https.createServer', 'http.createServer'])
    test(`lets a big response of ${create} be sent whole, however slowly it is read`, async (t) => {
      const isPlain = create === 'http.createServer'
      const app = isPlain ? 'hello.js' : 'app.js'
      const options = isPlain ? {} : secure(t, create)
      const server = await startServer(t, app, '--drain-idle', '0.1', options)
      const at = { port: Number(new URL(server.url).port), host: '127.0.0.1' }
      const socket = isPlain ? net.connect(at) : tls.connect({ ...at, rejectUnauthorized: false })
      t.onTestFinished(() => void socket.destroy())
      let [received, end] = [0, '']
      socket.on('error', (error) => (end = String(error)))
      socket.on('end', () => (end ||= 'FIN'))
      socket.write('GET /big?mb=16 HTTP/1.1\r\nHost: a\r\n\r\n')
      socket.once('data', () => socket.pause())
      socket.on('data', (chunk) => (received += chunk.length))
      await until('it has begun', () => received > 0)
      server.signal('SIGTERM')
      await server.log(/^Worker exiting/)
      await sleep(500) // a client that reads nothing for longer than idle ones are waited for
      socket.resume()
      await until('it is over', () => end)
      expect(end).toBe('FIN')
      expect(received).toBeGreaterThan(16 * 1024 ** 2)
      expect(await server.exit()).toMatchObject({ code: 0 })
    })
})

describe('a stop waits no longer than --drain-idle', { concurrent: true }, () => {
  for (const create of ['https.createServer', 'http2.createSecureServer'])
    test(`for connections to ${create} that have asked nothing yet, or nothing more`, async (t) => {
      const flags = ['--drain-idle', '0.5']
      const server = await startServer(t, 'app.js', ...flags, secure(t, create))
      const port = Number(new URL(server.url).port)
      const options = { port, host: '127.0.0.1', rejectUnauthorized: false }
      const handshaken = tls.connect({ ...options, ALPNProtocols: ['http/1.1'] })
      const asked = tls.connect({ ...options, ALPNProtocols: ['http/1.1'] })
      const mute = net.connect(options)
      const all = [handshaken, asked, mute]
      const ends: string[] = []
      for (const socket of all) {
        socket.on('error', (error) => ends.push(String(error)))
        socket.on('end', () => ends.push('FIN'))
        t.onTestFinished(() => void socket.destroy())
      }
      let answer = ''
      asked.on('data', (chunk) => (answer += String(chunk)))
      asked.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await until('an answer', () => answer.endsWith('hello'))
      await until('the other handshake', () => handshaken.getProtocol() !== null)
      handshaken.resume()
      mute.resume()
      await until('the third one is there', () => mute.readyState === 'open')
      server.signal('SIGTERM')
      const exit = await server.exit()
      expect(exit.code).toBe(0)
      expect(exit.ms, 'not --graceful-timeout').toBeLessThan(15_000)
      await until('all have had their end', () => ends.length === all.length)
      expect(ends).toEqual(all.map(() => 'FIN'))
    })

  test('for idle HTTP/2 sessions, which hear GOAWAY and no error', async (t) => {
    const options = secure(t, 'http2.createSecureServer')
    const server = await startServer(t, 'app.js', '--drain-idle', '0.5', options)
    const session = http2.connect(server.url, { rejectUnauthorized: false })
    t.onTestFinished(() => session.destroy())
    const heard: string[] = []
    session.on('error', (error) => heard.push(String(error)))
    session.on('goaway', (code) => heard.push(`GOAWAY ${code}`))
    const stream = session.request({ ':path': '/' }).resume()
    await until('the session is idle', () => stream.closed)
    const signalled = performance.now()
    server.signal('SIGTERM')
    await until('the session is over', () => session.destroyed)
    expect(performance.now() - signalled).toBeGreaterThan(450)
    expect(new Set(heard)).toEqual(new Set(['GOAWAY 0']))
    expect(await server.exit()).toMatchObject({ code: 0 })
  })
})
