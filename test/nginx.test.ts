// Behind a real nginx with the site that `supervisor init` writes, which never tries twice: neither reloads nor recycling cost its
// clients anything, and what the site lets through arrives.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { RawClient, request } from './helpers/client.ts'
import { startLoad } from './helpers/load.ts'
import { nginxVersion, startNginx } from './helpers/nginx.ts'
import { fixtures, startServer } from './helpers/server.ts'
import { socketPath, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const version = nginxVersion()
if (version === undefined)
  console.error(
    'test/nginx.test.ts is skipped: there is no nginx (apt-get install -y --no-install-recommends nginx-light)',
  )

const binds: Record<string, (t: Teardown) => string> = {
  TCP: () => '127.0.0.1:0',
  'a unix socket': (t) => `unix:${socketPath(t)}`,
}
const cases = [
  { transport: 'TCP', way: 'with hand-over', flags: [] },
  { transport: 'a unix socket', way: 'with hand-over', flags: [] },
  { transport: 'TCP', way: 'without hand-over', flags: ['--no-handover', '--drain-idle', '5'] },
]

describe.skipIf(version === undefined)('behind nginx', { concurrent: true }, () => {
  for (const { transport, way, flags } of cases)
    test(`over ${transport}, ${way}, three reloads and two recycled workers cost no request`, async (t) => {
      const bind = binds[transport]!(t)
      const recycle = ['--max-requests', '150']
      const all = ['--workers', '2', ...recycle, ...flags]
      const server = await startServer(t, 'hello-export.js', ...all, { bind })
      const nginx = await startNginx(t, server.url)
      const plain = startLoad(t, nginx.url, { keepAlive: 4, newConnections: 1, pause: 8 })
      const bodies = startLoad(t, nginx.url, {
        keepAlive: 2,
        newConnections: 0,
        path: '/echo',
        body: 'x'.repeat(16_384),
        pause: 20,
      })
      for (let round = 0; round < 3; round++) {
        await Promise.all([plain.everyoneServed(), bodies.everyoneServed()])
        const from = server.lines.length
        server.signal('SIGHUP')
        await server.log(/^Reload finished/, { from })
        await sleep(50) // not the next one while the last worker says goodbye
      }
      await until(
        'two workers were recycled',
        () => server.lines.filter(({ event }) => event === 'recycling').length >= 2,
        30_000,
      )
      await Promise.all([plain.everyoneServed(), bodies.everyoneServed()])
      await Promise.all([plain.stop(), bodies.stop()])
      expect([...plain.failures, ...bodies.failures], nginx.errors()).toEqual([])
    }, 120_000)

  test('the app may speak TLS, and another one at its address is not taken for it', async (t) => {
    const pem = (name: string): string => join(fixtures, 'tls', name)
    const flags = ['--certfile', pem('cert.pem'), '--keyfile', pem('key.pem')]
    const server = await startServer(t, 'hello-export.js', ...flags)
    const nginx = await startNginx(t, server.url, flags)
    expect((await request(nginx.url, '/')).status).toBe(200)
    const others = ['--certfile', pem('renewed-cert.pem'), '--keyfile', pem('renewed-key.pem')]
    const other = await startServer(t, 'hello-export.js', ...others)
    const stranger = await startNginx(t, other.url, flags, 502)
    expect(stranger.errors()).toMatch(/upstream SSL certificate verify error/)
  }, 60_000)

  test('a WebSocket, a large upload and our own 504 pass, and a body above maxBody does not', async (t) => {
    const settings = ['--routes', '{"/never":{"timeout":0.5}}', '--max-body', '8mb']
    const server = await startServer(t, 'streams.js', ...settings, { bind: false })
    server.expectLog(/^REQUEST TIMEOUT .* GET \/never /)
    const nginx = await startNginx(t, server.url, settings)

    const socket = await RawClient.connect(nginx.url)
    t.onTestFinished(() => socket.destroy())
    socket.send('GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    await socket.receives(/^HTTP\/1\.1 101 /)
    socket.send('are you there?')
    await socket.receives(/are you there\?$/)

    const body = 'x'.repeat(3 * 1024 ** 2)
    const echo = await request(nginx.url, '/echo', { method: 'POST', body })
    expect([echo.status, echo.text.length]).toEqual([200, body.length])
    const tooLarge = await RawClient.connect(nginx.url)
    t.onTestFinished(() => tooLarge.destroy())
    tooLarge.send('POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Length: 9000000\r\n\r\n')
    await tooLarge.receives(/^HTTP\/1\.1 413 /)

    const late = await request(nginx.url, '/never', { headers: { accept: 'application/json' } })
    expect([late.status, late.headers['content-type']]).toEqual([
      504,
      expect.stringMatching(/^application\/json/),
    ])
    const { text } = await request(nginx.url, '/headers', { headers: { host: 'shop.example' } })
    expect(JSON.parse(text)).toMatchObject({
      host: 'shop.example',
      'x-forwarded-proto': 'http',
      'x-forwarded-for': expect.anything() as unknown,
    })
    expect(nginx.errors()).not.toMatch(/timed out/)
  }, 60_000)
})
