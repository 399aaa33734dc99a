// What the request timeout counts: not the client's time, not streams that are meant to stay open. And who hears of it: the
// log early and once, an alert when there are many, a webhook.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { RawClient } from './helpers/client.ts'
import { digestSays, eventsOf, timeoutsOf, wantTimeouts } from './helpers/deadlines.ts'
import { startServer, type Server } from './helpers/server.ts'
import type { Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

/** A client that sends `pieces` of 1,000 bytes, one every `ms`, of a body of `size`. */
async function upload(
  t: Teardown,
  server: Server,
  path: string,
  { pieces, ms, size = pieces * 1_000 }: { pieces: number; ms: number; size?: number },
): Promise<RawClient> {
  const client = await RawClient.connect(server.url)
  t.onTestFinished(() => client.destroy())
  client.send(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`)
  for (let n = 0; n < pieces && client.received === ''; n++) {
    client.send('x'.repeat(1_000))
    await sleep(ms)
  }
  return client
}

describe('the time that a client takes to send its body', { concurrent: true }, () => {
  test("is its own, as long as it sends: the handler's clock stands still", async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.5')
    const client = await upload(t, server, '/upload', { pieces: 12, ms: 250 })
    await client.receives(/ 200 OK[^]*received 12000/)
    expect(timeoutsOf(server)).toEqual([])
  })

  test('does not prolong the time that the handler has after it', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.5')
    wantTimeouts(server)
    const client = await upload(t, server, '/upload-then-hang', { pieces: 8, ms: 250 })
    expect(client.received, 'nothing yet').toBe('')
    await client.receives(/ 504 /, 3_000)
  })

  test('counts when it stops sending', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.5')
    wantTimeouts(server)
    const client = await upload(t, server, '/upload', { pieces: 2, ms: 100, size: 1_000_000 })
    await client.receives(/ 504 /, 5_000)
    await client.closed()
    expect(client.error).toBeUndefined()
  })

  test('counts when it sends slower than --min-upload-rate, the first five seconds apart', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.5', '--min-upload-rate', '50kb')
    wantTimeouts(server)
    const began = performance.now()
    const client = await upload(t, server, '/upload', { pieces: 200, ms: 100, size: 1_000_000 })
    await client.receives(/ 504 /)
    expect(performance.now() - began).toBeGreaterThan(5_000)
    expect(performance.now() - began).toBeLessThan(12_000)
  })

  test('counts when the handler does not read it', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.5')
    wantTimeouts(server)
    const client = await upload(t, server, '/never', { pieces: 500, ms: 10, size: 10_000_000 })
    await client.receives(/ 504 /)
  })
})

test('an echo over an upgraded connection and server-sent events live through ten timeouts of others', async (t) => {
  const flags = [
    '--timeout',
    '0.3',
    '--alert-timeouts',
    '0 in 1s',
    '--drain-idle',
    '0.1',
    '--drain-upgraded',
    '0.1',
  ]
  const server = await startServer(t, 'streams.js', ...flags)
  wantTimeouts(server)
  const events = await RawClient.connect(server.url)
  events.send('GET /events HTTP/1.1\r\nHost: a\r\n\r\n')
  const echo = await RawClient.connect(server.url)
  echo.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
  await echo.receives(/101 Switching/)
  for (let n = 0; n < 10; n++) {
    expect((await server.get('/never')).status).toBe(504)
    echo.send(`echo ${n}.`)
    await echo.receives(new RegExp(`echo ${n}\\.$`))
  }
  const ticks = (): number => events.received.split('tick').length
  const before = ticks()
  expect(before).toBeGreaterThan(20)
  await until('more events come', () => ticks() > before + 1)
  expect(timeoutsOf(server)).toHaveLength(10)
  expect(eventsOf(server, 'requestSlow').filter(({ url }) => url === '/events')).toEqual([])
})

describe('the log', { concurrent: true }, () => {
  test('has a request that is slow once, with the share it has used, and none that was quick', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '2', '--slow-ratio', '0.25')
    const [pid] = server.pids()
    const id = { 'x-request-id': 'slow-1' }
    await server.get('/wait/short?ms=1')
    expect((await server.get('/wait/long?ms=1500', { headers: id })).text).toBe('done')
    const lines = eventsOf(server, 'requestSlow')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({ level: 'warning', worker: pid, id: 'slow-1', timeout: 2 })
    expect(lines[0]!['seconds']).toBeGreaterThanOrEqual(0.5)
    expect(lines[0]!.msg).toMatch(
      /^Slow request \(pid:\d+\): GET \/wait\/long\?ms=1500 has taken \S+ s of its 2 s/,
    )
  })

  test('has no slow request with --slow-ratio 0', async (t) => {
    const off = await startServer(t, 'late.mjs', '--timeout', '1', '--slow-ratio', '0')
    await off.get('/wait/long?ms=800')
    expect(eventsOf(off, 'requestSlow')).toEqual([])
  })

  test('has one alert for a burst of timeouts, and the webhook gets it', async (t) => {
    const posts: { type: string | undefined; body: string }[] = []
    const webhook = createServer((req, res) => {
      let body = ''
      req.on('data', (chunk: Buffer) => (body += chunk.toString()))
      req.on('end', () => {
        posts.push({ type: req.headers['content-type'], body })
        res.end()
      })
    }).listen(0, '127.0.0.1')
    t.onTestFinished(() => void webhook.close())
    await until('the webhook listens', () => webhook.listening)
    const url = `http://127.0.0.1:${(webhook.address() as AddressInfo).port}/alerts`
    const flags = ['--timeout', '0.3', '--alert-timeouts', '3 in 10s', '--alert-webhook', url]
    const server = await startServer(t, 'hello.js', ...flags)
    wantTimeouts(server)
    await Promise.all([server.get('/never'), server.get('/never')])
    expect(eventsOf(server, 'alert')).toEqual([])
    await Promise.all([server.get('/never'), server.get('/never')])
    const alert = await server.log(/^ALERT: 3 timeouts in 10 s/)
    expect(alert).toMatchObject({ level: 'critical', timeouts: 3, seconds: 10 })
    await until('the webhook was called', () => posts.length > 0)
    expect(posts[0]!.type).toBe('application/json')
    const said = JSON.parse(posts[0]!.body) as { time: string }
    expect(said).toEqual({
      event: 'alert',
      app: 'hello',
      timeouts: 3,
      seconds: 10,
      time: expect.any(String) as string,
    })
    expect(new Date(said.time).getTime()).toBeGreaterThan(Date.now() - 60_000)
    expect(eventsOf(server, 'alert')).toHaveLength(1)
  })

  test('says so if the webhook fails', async (t) => {
    const flags = ['--timeout', '0.3', '--alert-timeouts', '1 in 10s']
    const webhook = ['--alert-webhook', 'http://127.0.0.1:9/']
    const server = await startServer(t, 'hello.js', ...flags, ...webhook)
    wantTimeouts(server)
    server.expectLog(/^The alert webhook failed/)
    await server.get('/never')
    expect(await server.log(/^The alert webhook failed: /)).toMatchObject({ level: 'error' })
    expect((await server.get('/')).text).toBe('hello')
  })
})

describe('handlers that go on after their 504', { concurrent: true }, () => {
  test('are counted until they end', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.4', '--log-level', 'debug')
    wantTimeouts(server)
    const answers = await Promise.all([1, 2, 3].map(() => server.get('/late?how=end&ms=3000')))
    expect(answers.map(({ status }) => status)).toEqual([504, 504, 504])
    await digestSays(server, { orphans: 3, inFlight: 0, timeouts: 3 })
    await digestSays(server, { orphans: 0 })
  })

  test('are forgotten when nothing is left of them, if they never say that they end', async (t) => {
    const flags = ['--timeout', '0.3', '--log-level', 'debug', '--node-args=--expose-gc']
    const server = await startServer(t, 'late.mjs', ...flags)
    wantTimeouts(server)
    await Promise.all([server.get('/careful'), server.get('/careful')])
    await digestSays(server, { orphans: 2, timeouts: 2 })
    await until('nobody counts them any more', async () => {
      await server.get('/gc')
      const last = eventsOf(server, 'digest').at(-1)
      return last?.['timeouts'] === 2 && last['orphans'] === 0
    })
  })

  test('are reason to replace the worker when there are --max-orphans of them', async (t) => {
    const server = await startServer(t, 'late.mjs', '--timeout', '0.4', '--max-orphans', '3')
    wantTimeouts(server)
    const [pid] = server.pids()
    await Promise.all([server.get('/watch'), server.get('/watch')])
    expect((await server.get('/pid')).text, 'two are not enough').toBe(String(pid))
    await server.get('/watch')
    const gone = await server.log(/^Worker exited/)
    expect(gone).toMatchObject({ worker: pid, reason: 'orphans' })
    const successor = await server.log(/^Worker ready \((?!.*after 0 s)/, { from: 6 })
    expect(successor['worker'], 'ready before the old one left').not.toBe(pid)
    expect(server.lines.indexOf(successor)).toBeLessThan(server.lines.indexOf(gone))
  })
})
