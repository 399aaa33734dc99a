// --blocked interrupt: the request that blocks the event loop is stopped and gets a 504 through any protocol, its neighbours
// get their answers, and the worker is replaced. Where that can't be done, the worker is killed as without it.
import { readFileSync } from 'node:fs'
import http2 from 'node:http2'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { keepAliveClient, RawClient, type Answer } from './helpers/client.ts'
import { eventsOf, expectUnharmed, overHttp2 } from './helpers/deadlines.ts'
import { isAlive } from './helpers/process.ts'
import { fixtures, startServer, type LogLine, type Server } from './helpers/server.ts'
import type { Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const INTERRUPT = ['--blocked', 'interrupt']
/** Only what blocks is late soon. */
const config = {
  routes: { '/slow': { timeout: 30 }, '/': { timeout: 30 }, '/**': { timeout: 0.6 } },
}
const interrupted = /^WORKER TIMEOUT .*; interrupted, /
const killed = /^WORKER TIMEOUT .*; killed, /

type Reply = Pick<Answer, 'text'> & { readonly status: number | undefined }

interface Client {
  get(path: string): Promise<Reply>
}

/** `blocking.js:12`: where a fixture says `name stands here`. */
function standsAt(file: string, name: string): string {
  const lines = readFileSync(join(fixtures, file), 'utf8').split('\n')
  return `${file}:${lines.findIndex((line) => line.endsWith(`// ${name} stands here`)) + 1}`
}

/** Connections that lead to the server's one worker, and stay with it. */
function clientOf(t: Teardown, server: Server, protocol: string): Client {
  if (protocol !== 'http2') {
    const clients = [0, 1, 2].map(() => keepAliveClient(server.url))
    t.onTestFinished(() => clients.forEach((client) => client.destroy()))
    let turn = 0
    return { get: (path) => clients[turn++ % clients.length]!.get(path) }
  }
  const session = http2.connect(server.url, { rejectUnauthorized: false })
  session.on('error', () => undefined) // the streams have it too
  t.onTestFinished(() => session.destroy())
  return { get: (path) => overHttp2(session, path) }
}

/** Waits for the event; the log may also say that there are many timeouts. */
async function interruption(server: Server): Promise<LogLine> {
  server.expectLog(interrupted, /^ALERT/)
  return server.log(interrupted)
}

/** A successor first; then the old one finishes what it has, and goes. */
async function expectRetired(server: Server, old: number): Promise<void> {
  await server.log(new RegExp(`^Worker exited \\(pid: ${old}\\) .*: interrupted$`))
  const events = server.lines.map(({ event, worker }) => `${event} ${String(worker)}`)
  const [, successor] = server.allPids()
  expect(events.indexOf(`workerReady ${successor}`)).toBeGreaterThan(0)
  expect(events.indexOf(`workerExiting ${old}`)).toBeGreaterThan(
    events.indexOf(`workerReady ${successor}`),
  )
  expect(isAlive(old)).toBe(false)
  expect(isAlive(successor!)).toBe(true)
}

/** One for each place where a stack begins; a protocol shows in the first, and in who answers the others. */
const beginnings = [
  ['an endless loop', '/while', 'spinForever'],
  ['an endless loop after an await', '/after-await', 'spinForever'],
  ['an endless loop in a timer', '/timer', 'spinForever'],
] as const
const contexts = [
  ...beginnings,
  ['a regular expression that backtracks', '/regex', 'backtrack'],
  ['Atomics.wait', '/atomics', 'waitForNobody'],
  ['an endless loop in setImmediate', '/immediate', 'spinForever'],
  ['an endless loop in an async generator', '/generator', 'spinForever'],
] as const

const apps = {
  http: 'blocking.js',
  https: 'blocking-servers/https.js',
  http2: 'blocking-servers/http2.js',
}

for (const [protocol, app] of Object.entries(apps))
  describe(`over ${protocol}, the culprit gets a 504 and its neighbours a 200:`, () => {
    for (const [what, path, name] of protocol === 'http' ? contexts : beginnings)
      test(what, async (t) => {
        const server = await startServer(t, app, ...INTERRUPT, { config })
        const [pid] = server.pids()
        const client = clientOf(t, server, protocol)
        const slow = client.get('/slow?ms=1500')
        await server.prints(/^request started/)
        expect((await client.get('/')).status, 'a connection is open').toBe(200)
        const culprit = client.get(`${path}?secret=1`)
        await server.prints(/^blocking/)
        const fast = client.get('/')
        expect(await culprit).toMatchObject({
          status: 504,
          text: 'Gateway Timeout: no response within 0.6 s\n',
        })
        expect(await fast).toMatchObject({ status: 200, text: 'hello' })
        expect(await slow).toMatchObject({ status: 200, text: 'done' })
        const line = await interruption(server)
        expect(line).toMatchObject({ level: 'error', worker: pid, slot: 0, reason: 'timeout' })
        expect(line).toMatchObject({ certain: true, neighbours: 1 })
        expect(line['listed']).toMatchObject([{ method: 'GET', url: '/slow?ms=1500' }])
        const url = `${path}?secret=1`
        expect(line['culprit']).toMatchObject({ method: 'GET', url, outcome: '504' })
        expect((line['culprit'] as { id: string }).id).toMatch(/^[\da-f-]{36}$/)
        expect((line['culprit'] as { age: number }).age).toBeGreaterThan(0.5)
        expect(line['seconds']).toBeGreaterThan(0.5)
        expect(line.msg).toMatch(`GET ${path}?secret=1 blocked the event loop for`)
        expect(line.msg).toMatch(new RegExp(`, at .*${name} .*/${standsAt('blocking.js', name)}:`))
        expect(line.msg).toMatch(/; interrupted, answered 504; 1 other request kept, the worker is/)
        await expectRetired(server, pid!)
        expect(server.stderr).toBe('')
        expect(server.lines.map(({ event }) => event)).not.toContain('requestTimeout')
      })
  })

/** One worker, one request that blocks, and a neighbour on the same worker that gets its answer all the same. */
async function interruptedBy(t: Teardown, path: string, ...flags: string[]): Promise<Server> {
  const server = await startServer(t, 'blocking.js', ...INTERRUPT, ...flags, { config })
  const slow = server.get('/slow?ms=1500')
  await server.prints(/^request started/)
  expect((await server.get(path)).status).toBe(504)
  expect((await slow).text).toBe('done')
  return server
}

describe('what is stopped', () => {
  test('does not run its finally blocks', async (t) => {
    const server = await interruptedBy(t, '/finally')
    await expectRetired(server, server.allPids()[0]!)
    await interruption(server)
    expect(server.output).not.toContain('finally ran')
  })

  test('leaves the other immediates of its turn of the loop to run', async (t) => {
    const server = await interruptedBy(t, '/immediates')
    await interruption(server)
    await server.prints(/^the next immediate ran/)
    expect(
      server.output.filter((line) => line === 'blocking'),
      'not again',
    ).toHaveLength(1)
  })

  // Before Node 24, node's own hooks run with each promise, and an exception in one of them would end the process.
  const promises = [
    ['microtasks that starve all timers', '/microtasks'],
    ['a loop that makes promises', '/promises'],
  ] as const
  for (const [what, path] of promises)
    test(`may be ${what}`, async (t) => {
      const server = await interruptedBy(t, path)
      expect((await interruption(server)).msg).toMatch(`GET ${path} blocked`)
      await expectRetired(server, server.allPids()[0]!)
      expect(server.stderr).toBe('')
    })

  test('may be a listener of a body that came later', async (t) => {
    const server = await startServer(t, 'blocking.js', ...INTERRUPT, { config })
    const client = await RawClient.connect(server.url)
    client.send('POST /half-read HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n')
    await server.get('/') // so the handler has added its listener
    client.send('body')
    await server.prints(/^blocking/)
    const neighbour = server.get('/')
    await client.receives(/^HTTP\/1\.1 504 /)
    expect((await neighbour).text).toBe('hello')
    const line = await interruption(server)
    expect(line).toMatchObject({ certain: true, culprit: { method: 'POST', url: '/half-read' } })
    await expectRetired(server, server.allPids()[0]!)
    client.destroy()
  })

  test('is in the log with the lines of the source, in TypeScript', async (t) => {
    for (const path of ['/while', '/after-await', '/timer']) {
      const server = await startServer(t, 'blocking.ts', ...INTERRUPT, '--timeout', '0.6')
      expect((await server.get(path)).status).toBe(504)
      const place = standsAt('blocking.ts', 'spinForever')
      expect((await interruption(server)).msg).toMatch(
        new RegExp(`, at .*spinForever .*/${place}:`),
      )
    }
  })

  test('has the X-Request-Id of its client, in the answer and in the log', async (t) => {
    const server = await startServer(t, 'blocking.js', ...INTERRUPT, { config })
    const answer = await server.get('/while', {
      headers: { 'x-request-id': 'mine', accept: 'application/json' },
    })
    expect(answer.headers).toMatchObject({ 'x-request-id': 'mine', connection: 'close' })
    expect(answer.json()).toMatchObject({ status: 504, requestId: 'mine' })
    expect((await interruption(server))['culprit']).toMatchObject({ id: 'mine' })
  })

  test('has its connection cut if its response has begun', async (t) => {
    const server = await startServer(t, 'blocking.js', ...INTERRUPT, { config })
    const client = await RawClient.connect(server.url)
    client.send('GET /half-sent HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives(/half of it/)
    await client.closed()
    expect(client.received).not.toMatch(/\r\n0\r\n\r\n$|HTTP\/1\.1 504/)
    const line = await interruption(server)
    expect(line['culprit']).toMatchObject({ url: '/half-sent', outcome: 'reset' })
    expect(line.msg).toMatch('interrupted, its response had begun, the connection was closed;')
  })

  test('keeps its response if that was complete', async (t) => {
    const server = await startServer(t, 'blocking.js', ...INTERRUPT, { config })
    expect(await server.get('/answered')).toMatchObject({ status: 200, text: 'answered' })
    expect((await interruption(server))['culprit']).toMatchObject({ outcome: 'complete' })
    await expectRetired(server, server.allPids()[0]!)
  })

  test('need not be late itself: --stall-timeout is enough', async (t) => {
    const server = await startServer(t, 'blocking.js', ...INTERRUPT, '--stall-timeout', '2')
    const slow = server.get('/slow?ms=4000')
    await server.prints(/^request started/)
    const answer = await server.get('/while')
    expect(answer.status).toBe(504)
    expect(answer.text).toBe('Gateway Timeout: it held up all other requests\n')
    expect((await slow).status).toBe(200)
    expect(await interruption(server)).toMatchObject({ reason: 'stall', certain: true })
  })

  test('need not be late itself: that it makes another one late is enough', async (t) => {
    const server = await startServer(t, 'blocking.js', ...INTERRUPT, {
      config: { routes: { '/never': { timeout: 0.6 } } },
    })
    const late = server.get('/never')
    const answer = await server.get('/while')
    expect(answer.status).toBe(504)
    server.expectLog(/^REQUEST TIMEOUT .* GET \/never /)
    expect((await late).status, 'by the loop itself, which turns again').toBe(504)
    expect((await interruption(server))['culprit']).toMatchObject({ url: '/while' })
  })

  test('may be several requests one after another', async (t) => {
    const server = await startServer(t, 'blocking.js', ...INTERRUPT, { config })
    const [pid] = server.pids()
    const slow = server.get('/slow?ms=4000')
    await server.prints(/^request started/)
    const client = keepAliveClient(server.url)
    t.onTestFinished(() => client.destroy())
    await client.get('/')
    const first = server.get('/timer')
    await server.prints(/^blocking/)
    // On the same worker, so it blocks as soon as it is read.
    expect((await client.get('/while')).status).toBe(504)
    expect((await first).status).toBe(504)
    await interruption(server)
    await server.logTimes(interrupted, 2)
    expect((await slow).text).toBe('done')
    expect(eventsOf(server, 'workerInterrupted').map(({ worker }) => worker)).toEqual([pid, pid])
    await expectRetired(server, pid!)
  })
})

describe('nobody is hurt', () => {
  test('in a server that is busy and has requests that are late', async (t) => {
    const server = await startServer(t, 'blocking.js', ...INTERRUPT, {
      config: { routes: { '/never': { timeout: 0.6 } } },
    })
    server.expectLog(/^REQUEST TIMEOUT .* GET \/never /, /^ALERT/)
    const late = Array.from({ length: 20 }, () => server.get('/never'))
    const busy = Array.from({ length: 8 }, async () => {
      const client = keepAliveClient(server.url)
      t.onTestFinished(() => client.destroy())
      for (let n = 0; n < 8; n++) expect((await client.get('/block?ms=60')).status).toBe(200)
    })
    await Promise.all(busy)
    for (const { status } of await Promise.all(late)) expect(status).toBe(504)
    await expectUnharmed(server)
  })

  test('when the loop turns again at the very moment of the interruption', async (t) => {
    const server = await startServer(t, 'blocking.js', ...INTERRUPT, {
      config: { routes: { '/block': { timeout: 0.2 } } },
    })
    server.expectLog(interrupted, /^REQUEST TIMEOUT .* GET \/block/, /^ALERT/)
    // The moment is looked for: blocks that end before it become longer, others shorter. That nothing was killed is checked at the end.
    const seen = new Set<number>()
    let [ms, step, last] = [600, 100, 0]
    for (let round = 0; round < 12; round++) {
      const neighbours = [server.get('/slow?ms=800'), server.get('/')]
      await neighbours[1]
      const { status } = await server.get(`/block?ms=${ms}`)
      for (const { status } of await Promise.all(neighbours)) expect(status).toBe(200)
      if (seen.has(status) && status !== last) step = Math.max(step / 2, 10)
      ms += status === 200 ? step : -step
      last = status
      seen.add(status)
    }
    expect([...seen].sort(), 'on both sides of it').toEqual([200, 504])
  })
})

/** Of a server on which nothing can be interrupted: a blocked worker is killed, its neighbour is lost. */
async function expectKill(server: Server, path = '/while'): Promise<LogLine> {
  server.expectLog(killed, /^ALERT/)
  const [pid] = server.pids()
  const slow = server.get('/slow?ms=20000')
  await server.prints(/^request started/)
  expect((await server.get(path)).status).toBe(504)
  expect((await slow).status).toBe(503)
  const line = await server.log(killed)
  expect(line).toMatchObject({ level: 'critical', worker: pid })
  await until('the old one is gone', () => !isAlive(pid!))
  return line
}

describe('the worker is killed as without it', () => {
  test('if native code blocks it', async (t) => {
    const server = await startServer(t, 'blocking.js', ...INTERRUPT, { config })
    expect((await expectKill(server, '/pbkdf2')).msg).toMatch(', in native code ')
  })

  test('if no request is to blame', async (t) => {
    const flags = [...INTERRUPT, '--stall-timeout', '2']
    const server = await startServer(t, 'blocking.js', ...flags)
    server.expectLog(killed)
    await server.get('/soon')
    expect(await server.log(killed)).toMatchObject({ reason: 'stall', certain: false })
  })

  const wrap = `--node-args=--require=${join(fixtures, 'wraps-fatal-exception.js')}`
  const hindrances = [
    ['Node is not as we know it', wrap, 'process._fatalException is not what it was'],
    [
      'requests have no context',
      '--no-request-context',
      'without --request-context nobody knows which request is to blame',
    ],
  ] as const
  for (const [what, flag, why] of hindrances)
    test(`if ${what}, and one line of the log says so`, async (t) => {
      const server = await startServer(t, 'blocking.js', ...INTERRUPT, flag, { config })
      await expectKill(server)
      await server.logTimes(/^Worker ready/, 2)
      const text = `--blocked interrupt has no effect, a blocked worker is killed: ${why}`
      const warnings = eventsOf(server, 'warning')
      expect(warnings.map(({ msg, level }) => [level, msg])).toEqual([['warning', text]])
    })
})

test('a stop lets a blocked worker be interrupted, and its neighbours finish', async (t) => {
  const server = await startServer(t, 'blocking.js', ...INTERRUPT, { config })
  const slow = server.get('/slow?ms=1500')
  await server.prints(/^request started/)
  const culprit = server.get('/while')
  await server.prints(/^blocking/)
  server.signal('SIGTERM')
  expect((await culprit).status).toBe(504)
  expect((await slow).text).toBe('done')
  await interruption(server)
  expect((await server.exit()).code).toBe(0)
})
