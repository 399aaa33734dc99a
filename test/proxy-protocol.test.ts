// The PROXY protocol in front of everything: the client that it names is the one that apps and logs see; whoever has no right
// to speak it, or speaks it badly, is sent away.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { RawClient } from './helpers/client.ts'
import { startServer, type Server } from './helpers/server.ts'
import { socketPath, tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const PAIR = ['--certfile', 'tls/cert.pem', '--keyfile', 'tls/key.pem']
const V1 = 'PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n'
const V2 = Buffer.from(
  '0d0a0d0a000d0a515549540a' + '2111000c' + 'cb0071070a000001' + '12670050',
  'hex',
)
const LOCAL = Buffer.from('0d0a0d0a000d0a515549540a' + '20000000', 'hex')
const CLIENT = '203.0.113.7 4711 IPv4'
const REFUSED = /^Connection from (127\.0\.0\.1|a unix socket) closed /
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

async function connect(t: Teardown, base: string): Promise<RawClient> {
  const client = await RawClient.connect(base)
  t.onTestFinished(() => client.destroy())
  return client
}

/** The body of an answer to GET, by a connection that begins so. */
async function answered(t: Teardown, base: string, header: string | Buffer): Promise<string> {
  const client = await connect(t, base)
  client.send(Buffer.concat([Buffer.from(header as string), Buffer.from(GET)]))
  const [, body] = await client.receives(/\r\n\r\n(\S+ \S+ \S+)/)
  return body!
}

/** TLS behind a header of the PROXY protocol. */
async function secure(t: Teardown, url: string, protocol: string): Promise<tls.TLSSocket> {
  const { socket } = await connect(t, url)
  socket.removeAllListeners('data')
  socket.write(V1)
  const options = { socket, rejectUnauthorized: false, ALPNProtocols: [protocol] }
  const secured = tls.connect(options)
  t.onTestFinished(() => void secured.destroy())
  await until('the handshake', () => secured.getProtocol() !== null && secured.authorizationError)
  return secured
}

describe.concurrent('--proxy-protocol', () => {
  for (const app of ['peer.js', 'peer-listens.js'])
    test(`names the client to an app, by either version and in any pieces (${app})`, async (t) => {
      const server = await startServer(t, app, '--proxy-protocol', 'on', '--ready-check', '/')
      expect(await answered(t, server.url, V1)).toBe(CLIENT)
      expect(await answered(t, server.url, V2)).toBe(CLIENT)
      const own = await answered(t, server.url, LOCAL)
      expect(own).toMatch(/^127\.0\.0\.1 \d+ IPv4$/)
      const slow = await connect(t, server.url)
      slow.socket.setNoDelay(true)
      for (const byte of V1 + GET) {
        slow.send(byte)
        await new Promise((resolve) => setImmediate(resolve))
      }
      await slow.receives(new RegExp(CLIENT))
      slow.received = ''
      slow.send(GET + GET)
      await slow.receives(new RegExp(`${CLIENT}[^]*${CLIENT}`))
    })

  test('comes before TLS, with HTTP/1.1 and HTTP/2, and on a unix socket', async (t) => {
    const path = socketPath(t)
    const more = ['--bind', `unix:${path}`, '--proxy-allow-from', '127.0.0.0/8']
    const server = await startServer(t, 'peer.js', '--proxy-protocol', 'v1', ...more)
    const flags = [...PAIR, '--http2', '--proxy-protocol', 'v1']
    const over = await startServer(t, 'peer.js', ...flags)
    expect(await answered(t, `unix:${path}`, V1)).toBe(CLIENT)
    expect(await answered(t, server.url, V1)).toBe(CLIENT)
    const http1 = await secure(t, over.url, 'http/1.1')
    let text = ''
    http1.on('data', (chunk: Buffer) => (text += chunk.toString()))
    http1.write(GET)
    await until('the client is named by HTTP/1.1', () => text.includes(CLIENT))
    const socket = await secure(t, over.url, 'h2')
    const session = http2.connect(over.url, { createConnection: () => socket })
    t.onTestFinished(() => session.destroy())
    let body = ''
    const stream = session.request({ ':path': '/' })
    stream.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    await until('the client is named by HTTP/2', () => body.includes(CLIENT))
  })

  test('names the client to the access log, whose X-Forwarded-For is believed only of proxies', async (t) => {
    const file = join(tempDir(t), 'access.log')
    const flags = ['--access-log', file, '--access-logformat', '%(h)s']
    const server = await startServer(t, 'peer.js', '--proxy-protocol', 'auto', ...flags)
    const forwarded = GET.replace('\r\n\r\n', '\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n')
    for (const header of [V1, LOCAL]) {
      const client = await connect(t, server.url)
      client.send(Buffer.concat([Buffer.from(header as string), Buffer.from(forwarded)]))
      await client.receives(/IPv4/)
      client.destroy()
    }
    const lines = (): string[] => readFileSync(file, 'utf8').split('\n').filter(Boolean)
    await until('two lines', () => lines().length === 2)
    expect(lines().sort()).toEqual(['192.0.2.9', '203.0.113.7'])
  })

  test('closes what has no header, a bad one, half of one or none in time, and goes on', async (t) => {
    const flags = ['--proxy-protocol', 'auto', '--headers-timeout', '4']
    const server = await startServer(t, 'peer.js', ...flags)
    const [worker] = server.pids()
    const bad = [GET, `PROXY ${'x'.repeat(200)}`, 'PROXY TCP4 a b c d\r\n', V2.subarray(0, 20), '']
    const clients = await Promise.all(bad.map(() => connect(t, server.url)))
    clients.forEach((client, i) => client.send(bad[i]!))
    const half = await connect(t, server.url)
    half.send('PROXY TCP4 203')
    half.socket.end()
    for (const client of [...clients, half]) {
      await client.closed()
      expect(client.received).toBe('')
    }
    const { level } = await server.log(/PROXY .*\(--proxy-protocol\)|its PROXY/)
    expect(level).toBe('warning')
    const told = server.lines.filter(({ msg }) => REFUSED.test(msg))
    expect(told.length, 'the others are counted').toBeLessThan(bad.length)
    expect(await answered(t, server.url, V1)).toBe(CLIENT)
    expect(server.pids()).toEqual([worker])
  })

  test('closes what comes from elsewhere than --proxy-allow-from', async (t) => {
    const flags = ['--proxy-protocol', 'auto', '--proxy-allow-from', '10.0.0.0/8']
    const server = await startServer(t, 'peer.js', ...flags)
    // closed before a client of ours would be seen to be connected
    await expect(server.get('/')).rejects.toThrow(/hang up|ECONNRESET|EPIPE/)
    await server.log(/^Connection from 127\.0\.0\.1 closed .* not in --proxy-allow-from/)
  })

  test('loses no request, and no name, in reloads', async (t) => {
    const server = await startServer(t, 'peer.js', '--proxy-protocol', 'v1', '--workers', '2')
    const clients = [1, 2, 3, 4].map((n) => new Speaker(t, server, n))
    const all = (): boolean => clients.every(({ served }) => served >= 5)
    await until('everybody was served', all)
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    for (const client of clients) client.served = 0
    await until('everybody was served again', all)
    for (const client of clients) await client.stop()
    expect(clients.flatMap(({ failures }) => failures)).toEqual([])
  })
})

/** A client behind a proxy, with a port of its own, that asks again and again by connections that it keeps. */
class Speaker {
  served = 0
  readonly failures: string[] = []
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  readonly #running: Promise<void>
  #state: 'running' | 'stopping' = 'running'

  constructor(t: Teardown, server: Server, port: number) {
    const { hostname, port: serverPort } = new URL(server.url)
    this.#agent.createConnection = () => {
      const socket = net.connect(Number(serverPort), hostname)
      socket.write(`PROXY TCP4 203.0.113.7 10.0.0.1 ${port} 80\r\n`)
      return socket
    }
    this.#running = this.#run(`203.0.113.7 ${port} IPv4`)
    t.onTestFinished(() => this.stop())
  }

  async stop(): Promise<void> {
    this.#state = 'stopping'
    await this.#running
    this.#agent.destroy()
  }

  async #run(name: string): Promise<void> {
    while (this.#state === 'running') {
      const answer = await this.#ask()
      if (answer === name) this.served++
      else this.failures.push(answer)
    }
  }

  #ask(): Promise<string> {
    return new Promise((resolve) => {
      const request = http.request({ agent: this.#agent, path: '/' }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => resolve(text))
        response.on('error', (error) => resolve(String(error)))
      })
      request.on('error', (error) => resolve(String(error)))
      request.end()
    })
  }
}
