// The admin address: health, views and commands of a real server, over HTTP, for those who may.
import { existsSync, statSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ServerStatus } from '../src/control-protocol.ts'
import { RawClient, request, type Answer, type RequestOptions } from './helpers/client.ts'
import { isAlive } from './helpers/process.ts'
import { spawnServer, startServer, type Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const TOKEN = 'only-for-this-test-4711'
const LOCAL = ['--admin', '127.0.0.1:0']
const withToken = { env: { SUPERVISOR_ADMIN_TOKEN: TOKEN } }
const bearer = { authorization: `Bearer ${TOKEN}` }

async function adminOf(server: Server): Promise<string> {
  const { url } = (await server.log(/^Admin address: /)) as unknown as { url: string }
  return url
}

const start = async (
  t: Teardown,
  ...args: Parameters<typeof startServer> extends [unknown, unknown, ...infer Rest] ? Rest : never
): Promise<{ server: Server; admin: string }> => {
  const server = await startServer(t, 'hello-export.js', ...args)
  return { server, admin: await adminOf(server) }
}

const post = (admin: string, command: string, options: RequestOptions = {}): Promise<Answer> =>
  request(admin, `/api/commands/${command}`, { method: 'POST', ...options })

const statusOf = async (admin: string, options?: RequestOptions): Promise<ServerStatus> =>
  (await request(admin, '/api/status', options)).json<ServerStatus>()

/** The answer of /readyz: its status, and its reasons in one line. */
async function readiness(admin: string): Promise<[number, string]> {
  const answer = await request(admin, '/readyz')
  const { reasons = [] } = answer.json<{ reasons?: string[] }>()
  return [answer.status, reasons.join(' | ')]
}

const readsAs = (admin: string, status: number, reason: RegExp): Promise<unknown> =>
  until(`/readyz is ${status}, ${reason}`, async () => {
    const [now, reasons] = await readiness(admin)
    return now === status && reason.test(reasons)
  })

describe.concurrent('health', () => {
  test('follows the server from its start to its end', async (t) => {
    const go = join(tempDir(t), 'go')
    const env = { GO: go }
    const flags = [...LOCAL, '--pre-stop-delay', '1.5']
    const server = spawnServer(t, 'boots-when-told.mjs', ...flags, { env })
    const admin = await adminOf(server)
    expect(await readiness(admin)).toEqual([503, expect.stringMatching(/the server is starting/)])
    expect((await request(admin, '/livez')).status).toBe(200)
    writeFileSync(go, '')
    await server.log(/^Server is ready/)
    await readsAs(admin, 200, /^$/)
    const slow = server.get('/slow?ms=5000')
    await server.prints(/request started/)
    server.signal('SIGTERM')
    await readsAs(admin, 503, /about to stop \(--pre-stop-delay\)/)
    await server.log(/^Shutting down/)
    await readsAs(admin, 503, /is stopping/)
    expect((await request(admin, '/livez')).status, 'to its end').toBe(200)
    expect((await slow).text).toBe('done')
    expect(await server.exit()).toMatchObject({ code: 0 })
    await expect(request(admin, '/livez')).rejects.toThrow(/ECONNREFUSED/)
  })

  test('and everything else answers at once while all workers are blocked', async (t) => {
    const { server, admin } = await start(t, ...LOCAL, '--timeout', '120')
    server.get('/block?ms=60000').catch(() => undefined) // it ends with the test
    await readsAs(admin, 503, /0 of 1 workers can serve \(--min-ready\); 1 blocked/)
    const times: number[] = []
    for (let n = 0; n < 10; n++) {
      for (const path of ['/livez', '/readyz', '/api/status', '/api/requests']) {
        const from = performance.now()
        expect((await request(admin, path)).status).toBe(path === '/readyz' ? 503 : 200)
        times.push(performance.now() - from)
      }
    }
    const median = times.sort((a, b) => a - b)[20]
    expect(median, 'ms; this machine may be busy').toBeLessThan(200)
    const { requests } = (await request(admin, '/api/requests')).json<{ requests: object[] }>()
    expect(requests).toEqual([expect.objectContaining({ url: '/block?ms=60000', timeout: 120 })])
    server.signal('SIGKILL')
  })

  test('is served by two masters in turn without a gap, over TCP and a unix socket', async (t) => {
    const path = join(tempDir(t), 'admin.sock')
    const servers = [await start(t, ...LOCAL), await start(t, '--admin', `unix:${path}`)]
    for (const { server, admin } of servers) {
      const answers: string[] = []
      let isOver = false
      const poll = async (what: string): Promise<void> => {
        while (!isOver) {
          const said = await request(admin, what).then(
            ({ status, text }) => `${status} ${text.trim()}`,
            (error: Error) => error.message,
          )
          answers.push(said)
        }
      }
      const polls = [poll('/livez'), poll('/readyz')]
      server.signal('SIGUSR2')
      const { master } = (await server.log(/^Upgraded/)) as unknown as { master: number }
      await server.left()
      expect((await statusOf(admin)).pid).toBe(master)
      await until('enough have asked', () => answers.length > 20)
      isOver = true
      await Promise.all(polls)
      const others = answers.filter((said) => !said.includes('; 1 blocked')) // a busy machine may stop a worker for a second
      expect([...new Set(others)]).toEqual(['200 {"status":"ok"}'])
      process.kill(master, 'SIGTERM')
      await until('the new master is gone', () => !isAlive(master))
    }
    expect(existsSync(path), 'the file of the socket goes with the last master').toBe(false)
  })
})

describe.concurrent('whoever asks', () => {
  test('on this machine sees all, and changes nothing without a token', async (t) => {
    const { admin } = await start(t, ...LOCAL)
    expect(await statusOf(admin)).toMatchObject({ state: 'running', ready: 1 })
    expect((await request(admin, '/')).text).toMatch(/<!doctype html>/)
    const rebound = await request(admin, '/api/status', { headers: { host: 'evil.example' } })
    expect([rebound.status, rebound.text]).toEqual([403, expect.stringMatching(/localhost/)])
    const health = await request(admin, '/livez', { headers: { host: 'lb.example' } })
    expect(health.status).toBe(200)
    const action = await post(admin, 'scale', { body: '{"by":1}' })
    expect([action.status, action.text]).toEqual([
      403,
      expect.stringMatching(/SUPERVISOR_ADMIN_TOKEN/),
    ])
    expect((await statusOf(admin)).target).toBe(1)
  })

  test('with the token changes things, and the log says who it was, but never the token', async (t) => {
    const { server, admin } = await start(t, ...LOCAL, withToken)
    for (const headers of [{}, { authorization: 'Bearer wrong-wrong-wrong' }])
      expect((await post(admin, 'reload', { headers })).status).toBe(401)
    for (let n = 0; n < 20; n++)
      await request(admin, '/api/session', { headers: { authorization: 'Bearer guess' } })
    await server.logTimes(/^Wrong admin token from 127\.0\.0\.1 for \/api\/commands\/reload$/, 1)
    const scaled = await post(admin, 'scale', { headers: bearer, body: '{"by":1}' })
    expect([scaled.status, scaled.json()]).toEqual([200, { result: { from: 1, to: 2 }, items: [] }])
    await server.log(/^Handling command: scale by 1 \(http \(127\.0\.0\.1\)\)$/)
    const headers = { ...bearer, 'sec-fetch-site': 'same-origin' }
    const reloaded = await post(admin, 'reload', { headers, body: '{"wait":true}' })
    expect(reloaded.json<{ items: { event: string }[] }>().items.map(({ event }) => event)).toEqual(
      expect.arrayContaining(['reloading', 'reloaded']),
    )
    await server.log(/^Handling command: reload wait \(page \(127\.0\.0\.1\)\)$/)
    const wrong = await post(admin, 'relaod', { headers })
    expect([wrong.status, wrong.text]).toEqual([400, expect.stringMatching(/did you mean reload/)])
    expect((await post(admin, 'scale', { headers, body: '[1]' })).status).toBe(400)
    expect((await post(admin, 'scale', { headers, body: ' '.repeat(70_000) })).status).toBe(413)
    const inherited = await server.get('/env?name=SUPERVISOR_ADMIN_TOKEN')
    expect(inherited.text, 'workers do not have it').toBe('')
    expect(JSON.stringify(server.lines)).not.toContain(TOKEN)
    const refusals = server.lines.filter(({ event }) => event === 'wrongToken')
    expect(refusals, 'one line a minute').toHaveLength(1)
  })

  test('from other machines sees health, and more only with the token', async (t) => {
    const open = spawnServer(t, 'hello-export.js', '--admin', '0.0.0.0:0')
    expect(await open.exit()).toMatchObject({ code: 2 })
    expect(open.stderrLines).toEqual([
      expect.stringMatching(/--admin 0\.0\.0\.0:0 can be reached .* SUPERVISOR_ADMIN_TOKEN/),
    ])
    const { admin } = await start(t, '--admin', '0.0.0.0:0', withToken)
    expect((await request(admin, '/readyz')).status).toBe(200)
    expect((await request(admin, '/api/session')).json()).toMatchObject({ needsToken: true })
    for (const path of ['/api/status', '/api/requests', '/api/events', '/metrics'])
      expect((await request(admin, path)).status, path).toBe(401)
    const headers = { ...bearer, host: 'admin.example' }
    expect(await statusOf(admin, { headers })).toMatchObject({ state: 'running' })
  })

  test('gets a clear answer to nonsense, and the server goes on', async (t) => {
    const { server, admin } = await start(t, ...LOCAL)
    const of = async (path: string, options?: RequestOptions): Promise<number> =>
      (await request(admin, path, options)).status
    for (const path of ['/nothing', '/../etc/passwd', '//', '/__proto__', '/page.js/'])
      expect(await of(path), path).toBe(404)
    expect(await of('/livez', { method: 'POST' })).toBe(405)
    expect(await of('/api/commands/reload')).toBe(405)
    const head = await request(admin, '/readyz', { method: 'HEAD' })
    expect([head.status, head.text]).toEqual([200, ''])
    for (const bytes of ['\0\x01\x02\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', 'x'.repeat(100_000)]) {
      const raw = await RawClient.connect(admin)
      raw.send(bytes)
      await raw.closed()
    }
    const { headers } = await request(admin, '/')
    expect(headers['content-security-policy']).toMatch(/default-src 'none'; script-src 'self'/)
    expect(await statusOf(admin)).toMatchObject({ state: 'running' })
    expect((await server.get('/')).text).toBe('hello')
  })
})

describe.concurrent('the events', () => {
  test('begin with what was, and go on with what is, for fifty clients and no more', async (t) => {
    const { server, admin } = await start(t, ...LOCAL, withToken)
    const clients = await Promise.all(Array.from({ length: 50 }, () => RawClient.connect(admin)))
    t.onTestFinished(() => clients.forEach((client) => client.destroy()))
    for (const client of clients) client.send('GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const [first, second, ...others] = clients
    await Promise.all(clients.map((client) => client.receives(/event: hello[^]*event: picture/)))
    expect((await request(admin, '/api/events')).status, 'one too many').toBe(503)
    for (const client of others) client.destroy()
    second!.socket.pause() // it does not read any more
    await first!.receives(/event: picture[^]*event: picture/)
    await post(admin, 'recycle', { headers: bearer })
    await first!.receives(/event: event\ndata: \{[^\n]*"event":"workerExited"/)
    await until('there is room again', async () => {
      const raw = await RawClient.connect(admin)
      raw.send('HEAD /api/events HTTP/1.0\r\nHost: localhost\r\n\r\n')
      await raw.closed()
      return raw.received.includes('200 OK')
    })
    const [old] = server.masters()
    server.signal('SIGUSR2')
    await server.log(/^Upgraded/)
    await first!.closed()
    expect(first!.error, 'told to come again').toBeUndefined()
    await until('the old master is gone', () => !isAlive(old!))
  })
})

describe.concurrent('the address', () => {
  test('is an exclusive one, which stops the start if it is taken', async (t) => {
    const other = http.createServer().listen(0, '127.0.0.1')
    t.onTestFinished(() => void other.close())
    await until('it listens', () => other.listening)
    const { port } = other.address() as { port: number }
    const pidfile = join(tempDir(t), 'pid')
    const flags = ['--admin', `127.0.0.1:${port}`, '--pid', pidfile]
    const server = spawnServer(t, 'hello-export.js', ...flags)
    expect(await server.exit()).toMatchObject({ code: 1 })
    expect(server.stderr).toMatch(/Connection in use.*another --admin/)
    expect(existsSync(pidfile)).toBe(false)
  })

  test('may be a unix socket, for its owner and group', async (t) => {
    const path = join(tempDir(t), 'admin.sock')
    const { server, admin } = await start(t, '--admin', `unix:${path}`)
    expect(statSync(path).mode & 0o777).toBe(0o660)
    expect((await statusOf(admin)).pid).toBe(server.pid)
    const second = spawnServer(t, 'hello-export.js', '--admin', `unix:${path}`)
    second.expectLog(/There is no admin address unix:/)
    await second.log(/There is no admin address unix:.*another server has it/)
    expect((await statusOf(admin)).pid).toBe(server.pid)
    const nowhere = await startServer(t, 'hello-export.js', '--admin', 'unix:/nowhere/admin.sock')
    nowhere.expectLog(/There is no admin address unix:/)
    await nowhere.log(
      /There is no admin address unix:\/nowhere\/admin\.sock \(--admin\): .*(ENOENT|EACCES)/,
    )
    expect((await nowhere.get('/')).text, 'it serves all the same').toBe('hello')
  })
})
