// A blocked event loop: its client gets a 504, the neighbours a 503, the log the request, the function and the line,
// and a successor the place. Told to real processes that stand still in every way we know.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import http2 from 'node:http2'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { keepAliveClient, RawClient, type Answer } from './helpers/client.ts'
import { Episode } from './helpers/episode.ts'
import { startLoad } from './helpers/load.ts'
import { childrenOf, isAlive, signalIfThere } from './helpers/process.ts'
import { fixtures, startServer, type LogLine, type Server } from './helpers/server.ts'
import { socketPath, tempDir } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const SOON = ['--timeout', '0.6']
/** What a busy machine may add to a deadline, ms. */
const LATE_MS = 4_000

/** `blocking.js:12`: where a fixture says `name stands here`. */
function standsAt(file: string, name: string): string {
  const lines = readFileSync(join(fixtures, file), 'utf8').split('\n')
  return `${file}:${lines.findIndex((line) => line.endsWith(`// ${name} stands here`)) + 1}`
}

/** The post-mortem, which this test wants. */
function postMortem(server: Server): Promise<LogLine> {
  server.expectLog(/^WORKER TIMEOUT/, /^ALERT/)
  return server.log(/^WORKER TIMEOUT/)
}

/** Sends a request and waits until its handler stands still. */
async function block(server: Server, path = '/while'): Promise<{ answer: Promise<Answer> }> {
  const answer = server.get(path)
  answer.catch(() => undefined) // whoever awaits it hears of it
  await server.prints(/^blocking/)
  return { answer }
}

async function expectSuccessorOf(server: Server, old: number): Promise<void> {
  const successor = Number((await server.get('/pid')).text)
  expect(successor).not.toBe(old)
  expect(isAlive(old)).toBe(false)
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

/** The request that blocks, and the function that stands still in it. */
const inJavaScript = [
  ['an endless loop', '/while', 'spinForever'],
  ['a regular expression that backtracks', '/regex', 'backtrack'],
  ['Atomics.wait', '/atomics', 'waitForNobody'],
  ['microtasks that starve all timers', '/microtasks', 'starveTimers'],
  ['an endless loop after an await', '/after-await', 'spinForever'],
  ['an endless loop in a timer', '/timer', 'spinForever'],
  ['an endless loop in setImmediate', '/immediate', 'spinForever'],
] as const

const inNativeCode = [
  ['pbkdf2Sync', '/pbkdf2'],
  ['a huge JSON.parse', '/json'],
  ["execSync('sleep')", '/exec'],
] as const

const cases = [
  ...inJavaScript.map(([what, path, name]) => ({ what, path, name, transport: 'TCP' })),
  ...inNativeCode.map(([what, path]) => ({ what, path, name: undefined, transport: 'TCP' })),
  { what: 'an endless loop', path: '/while', name: 'spinForever', transport: 'a unix socket' },
  { what: 'pbkdf2Sync', path: '/pbkdf2', name: undefined, transport: 'a unix socket' },
]

describe('the client gets a 504, the log the place, a successor the work:', () => {
  for (const { what, path, name, transport } of cases)
    test(`${what}, on ${transport}`, async (t) => {
      const bind = transport === 'TCP' ? '127.0.0.1:0' : `unix:${socketPath(t)}`
      const server = await startServer(t, 'blocking.js', ...SOON, { bind })
      const [pid] = server.pids()
      const began = performance.now()
      const answer = await server.get(`${path}?secret=1`)
      const took = performance.now() - began
      expect(answer.status).toBe(504)
      expect(answer.headers.connection).toBe('close')
      expect(answer.text).toMatch(/^Gateway Timeout/)
      expect(took).toBeGreaterThan(600)
      expect(took).toBeLessThan(600 + LATE_MS)
      const line = await postMortem(server)
      expect(line).toMatchObject({ level: 'critical', worker: pid, slot: 0, reason: 'timeout' })
      const culprit = { method: 'GET', url: `${path}?secret=1`, outcome: '504' }
      expect(line['culprit']).toMatchObject(culprit)
      expect(line['seconds']).toBeGreaterThan(0.5)
      expect(line['rss']).toBeGreaterThan(20e6)
      if (name === undefined) {
        expect(line.msg).toMatch(`GET ${path}?secret=1 (or code outside of it) blocked`)
        expect(line.msg).toMatch(/, in native code \(no JavaScript stack\); killed, 0 other/)
        expect(line).toMatchObject({ certain: false, stack: null })
      } else {
        expect(line.msg).toMatch(`GET ${path}?secret=1 blocked the event loop for`)
        // an async function that is just being resumed stands, for V8, at its first line
        const lines =
          path === '/microtasks' ? 'blocking\\.js:(26|28)' : standsAt('blocking.js', name)
        expect(line.msg).toMatch(new RegExp(`, at .*${name} .*/${lines}:`))
        expect(line).toMatchObject({ certain: true })
      }
      await expectSuccessorOf(server, pid!)
    })

  test('reading from a pipe that nobody writes to', async (t) => {
    const fifo = join(tempDir(t), 'fifo')
    execFileSync('mkfifo', [fifo])
    const server = await startServer(t, 'blocking.js', ...SOON)
    const [pid] = server.pids()
    expect((await server.get(`/fifo?path=${fifo}`)).status).toBe(504)
    expect((await postMortem(server)).msg).toMatch(/^WORKER TIMEOUT .* GET \/fifo.* native code/)
    await expectSuccessorOf(server, pid!)
  })

  test('and what the worker had started dies with it', async (t) => {
    const server = await startServer(t, 'blocking.js', ...SOON)
    const [pid] = server.pids()
    const answer = server.get('/exec')
    const [shell] = await until('the worker started something', () => {
      const children = childrenOf(pid!)
      return children.length > 0 ? children : undefined
    })
    expect((await answer).status).toBe(504)
    await postMortem(server)
    await until('it is gone', () => !isAlive(shell!))
  })
})

describe('of a TypeScript app the log has the lines of the source:', () => {
  for (const path of ['/while', '/after-await', '/timer'])
    test(path, async (t) => {
      const server = await startServer(t, 'blocking.ts', ...SOON)
      expect((await server.get(path)).status).toBe(504)
      const line = await postMortem(server)
      const place = standsAt('blocking.ts', 'spinForever')
      expect(line.msg).toMatch(new RegExp(`, at .*spinForever .*/${place}:`))
    })
})

describe('where a 504 cannot be written, the connection is cut, and the log says so:', () => {
  test('a response that is half sent', async (t) => {
    const server = await startServer(t, 'blocking.js', ...SOON)
    const client = await RawClient.connect(server.url)
    client.send(get('/half-sent'))
    await client.receives(/half of it/)
    await client.closed()
    expect(client.received, 'no second response').not.toMatch(/HTTP\/1\.1 50/)
    expect(client.received, 'not a complete one').not.toMatch(/\r\n0\r\n\r\n$/)
    const line = await postMortem(server)
    expect(line['culprit']).toMatchObject({ url: '/half-sent', outcome: 'reset' })
    expect(line.msg).toMatch(standsAt('blocking.js', 'spinForever'))
  })

  test('a response of 32 MB that its client does not read', async (t) => {
    const server = await startServer(t, 'blocking.js', ...SOON)
    const client = await RawClient.connect(server.url)
    client.socket.pause()
    client.send(get('/big'))
    // Served after it, so /big has begun.
    await server.get('/')
    const { answer } = await block(server)
    expect((await answer).status).toBe(504)
    client.socket.resume()
    await client.closed()
    const [head, body] = client.received.split('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1\.1 200 OK/)
    expect(body, 'nothing of ours is in it').toMatch(/^x*$/)
    expect((await postMortem(server))['listed']).toMatchObject([{ url: '/big', outcome: 'reset' }])
  })

  test('TLS', async (t) => {
    const server = await startServer(t, 'frameworks/https-server.js', ...SOON)
    await expect(server.get('/block?ms=60000')).rejects.toMatchObject({ code: 'ECONNRESET' })
    const line = await postMortem(server)
    const culprit = { url: '/block?ms=60000', outcome: 'reset' }
    expect(line).toMatchObject({ certain: true, culprit })
    expect(line.msg).toMatch(/\/block.* \(.*routes\.js:\d+/)
    expect((await server.get('/')).text).toBe('hello')
  })

  test('HTTP/2', async (t) => {
    const server = await startServer(t, 'frameworks/h2c-server.js', ...SOON)
    const session = http2.connect(server.url)
    t.onTestFinished(() => session.destroy())
    session.on('error', () => undefined) // ECONNRESET, which the stream has too
    const ended = new Promise((resolve) => {
      const stream = session.request({ ':path': '/block?ms=60000' })
      stream.on('response', resolve).on('error', resolve)
      stream.on('close', () => resolve('closed without a response'))
    })
    expect(String(await ended)).toMatch(/ECONNRESET|closed without a response/)
    const line = await postMortem(server)
    const culprit = { method: 'GET', url: '/block?ms=60000', outcome: 'reset' }
    expect(line).toMatchObject({ certain: true, culprit })
  })
})

describe('the neighbours', () => {
  test('get a 503 that asks them to try again, all 500 of them, and are counted', async (t) => {
    // No other request is late, and the loop may stand still for half a minute.
    const config = { routes: { '/while': { timeout: 0.6 } } }
    const server = await startServer(t, 'blocking.js', '--log-level', 'debug', { config })
    const neighbours = Array.from({ length: 500 }, (_, i) => server.get(`/never?${i}`))
    await server.log(/: 500 requests in flight/)
    const { answer } = await block(server)
    expect((await answer).status).toBe(504)
    for (const { status, headers, text } of await Promise.all(neighbours)) {
      expect([status, headers['retry-after'], headers.connection]).toEqual([503, '1', 'close'])
      expect(text).toBe('Service Unavailable: try again\n')
    }
    const line = await postMortem(server)
    expect(line).toMatchObject({ neighbours: 500, certain: true, reason: 'timeout' })
    expect(line['listed']).toHaveLength(20)
    expect(line['listed']).toContainEqual(
      expect.objectContaining({ method: 'GET', url: '/never?0', outcome: '503' }),
    )
    expect(line.msg).toMatch(/killed, 500 other requests lost$/)
  })

  test('on a kept connection that ask during the block get a 503 too', async (t) => {
    const server = await startServer(t, 'blocking.js', ...SOON)
    const kept = keepAliveClient(server.url)
    t.onTestFinished(() => kept.destroy())
    const before = await kept.get('/')
    const { answer } = await block(server)
    const during = await kept.get('/')
    expect(during.status).toBe(503)
    expect(during.localPort, 'the same connection').toBe(before.localPort)
    expect((await answer).status).toBe(504)
    await postMortem(server)
    expect((await kept.get('/')).status).toBe(200)
  })

  test('on idle connections hear at once that the worker is gone, before they ask it in vain', async (t) => {
    const server = await startServer(t, 'blocking.js', ...SOON)
    const idle = await Promise.all(Array.from({ length: 300 }, () => RawClient.connect(server.url)))
    t.onTestFinished(() => idle.forEach((client) => client.destroy()))
    for (const client of idle) {
      client.send(get('/'))
      await client.receives(/hello$/)
      client.received = ''
    }
    const { answer } = await block(server)
    expect((await answer).status).toBe(504)
    // Until the kernel has closed the sockets of a killed process, requests on them are accepted, and lost.
    const asked: RawClient[] = []
    for (const client of idle) {
      await new Promise(setImmediate)
      if (client.socket.readyState !== 'open') continue
      client.send(get('/'))
      asked.push(client)
    }
    await Promise.all(asked.map((client) => client.closed()))
    const lost = asked.filter(({ received }) => !received.startsWith('HTTP/1.1 503 '))
    // Those whose request and whose end crossed each other.
    expect(lost.length).toBeLessThan(10)
    await postMortem(server)
  })

  test('that connect during the block are served by the successor', async (t) => {
    const server = await startServer(t, 'blocking.js', ...SOON)
    const { answer } = await block(server)
    const newcomers = await Promise.all(Array.from({ length: 20 }, () => server.get('/')))
    expect(newcomers.map(({ status }) => status)).toEqual(newcomers.map(() => 200))
    expect((await answer).status).toBe(504)
    await postMortem(server)
  })

  test('in a pipeline: those before get their answers, the request that blocks a 504, those behind it nothing', async (t) => {
    const server = await startServer(t, 'blocking.js', ...SOON)
    const client = await RawClient.connect(server.url)
    client.send(get('/') + get('/while') + get('/'))
    await client.receives(/^HTTP\/1\.1 200 OK[^]*helloHTTP\/1\.1 504 /)
    await client.closed()
    expect(client.error).toBeUndefined()
    expect(client.received.match(/HTTP\/1\.1/g)).toHaveLength(2)
    await postMortem(server)
  })

  test('never see a reset or hang over the whole episode, and only those of the blocked worker see a 503', async (t) => {
    const server = await startServer(t, 'blocking.js', '--workers', '2', '--timeout', '2')
    const episode = new Episode(t, server.url, { keepAlive: 16, newConnection: 8, slow: 8 })
    await episode.goesOn(2)
    const began = performance.now()
    const { answer } = await block(server)
    expect((await answer).status).toBe(504)
    expect(performance.now() - began).toBeLessThan(2_000 + LATE_MS)
    const mortem = await postMortem(server)
    await server.logTimes(/^Worker ready/, 3)
    await episode.goesOn(3)
    await episode.stop()
    const { failures } = episode
    // A request that began before the block is late as well.
    expect(failures.filter((failure) => !/: 503$|^slow \d: 504$/.test(failure))).toEqual([])
    // Each of them was on the blocked worker, so at most once, and the log counted those in flight.
    expect(new Set(failures).size).toBe(failures.length)
    expect(failures.length).toBeGreaterThanOrEqual(mortem['neighbours'] as number)
    expect(failures.length, 'the other worker went on').toBeLessThan(32)
  })
})

test('an upload of 2 MB that is half read gets its 504 whole', async (t) => {
  const server = await startServer(t, 'blocking.js', ...SOON)
  const client = await RawClient.connect(server.url)
  client.send('POST /half-read HTTP/1.1\r\nHost: a\r\nContent-Length: 2097152\r\n\r\n')
  client.send(Buffer.alloc(2 << 20, 'x'))
  await client.receives(/^HTTP\/1\.1 504 [^]*Gateway Timeout\n$/)
  await client.closed()
  expect(client.error).toBeUndefined()
  expect((await postMortem(server))['culprit']).toMatchObject({ method: 'POST', outcome: '504' })
})

describe('--stall-timeout', () => {
  test('ends a worker that no request blocks, and its log says so', async (t) => {
    const server = await startServer(t, 'blocking.js', '--stall-timeout', '2')
    const [pid] = server.pids()
    await server.get('/soon')
    const line = await postMortem(server)
    expect(line).toMatchObject({ reason: 'stall', neighbours: 0, certain: false })
    expect(line.msg).toMatch(/: code outside of any request blocked the event loop for \d/)
    expect(line.msg).toMatch(standsAt('blocking.js', 'spinForever'))
    await expectSuccessorOf(server, pid!)
  })

  test('gives the request that blocks a 504, although it is not late yet, so that nobody tries it again', async (t) => {
    const server = await startServer(t, 'blocking.js', '--stall-timeout', '2')
    const neighbour = server.get('/never')
    const { answer } = await block(server)
    expect((await answer).status).toBe(504)
    expect((await neighbour).status).toBe(503)
    expect(await postMortem(server)).toMatchObject({ reason: 'stall', certain: true })
  })

  test('of next to nothing does not kill a worker for being idle', async (t) => {
    const server = await startServer(t, 'blocking.js', '--timeout', '0.3', '--log-level', 'debug')
    const [pid] = server.pids()
    await server.logTimes(/in flight, 0 connections$/, 4)
    expect((await server.get('/pid')).text).toBe(String(pid))
  })
})

describe('nobody is killed', () => {
  test('for a boot that blocks for longer than the timeout', async (t) => {
    const server = await startServer(t, 'blocks-at-boot.js', '--timeout', '0.3')
    expect(server.allPids()).toHaveLength(1)
    expect((await server.get('/')).text).toBe('hello')
  })

  test('for being busy all the time, as long as its loop turns', async (t) => {
    const flags = ['--stall-timeout', '2', '--log-level', 'debug']
    const server = await startServer(t, 'hello.js', ...flags)
    const [pid] = server.pids()
    const busy = { keepAlive: 4, newConnections: 0, path: '/block?ms=100', pause: 0 }
    const load = startLoad(t, server.url, busy)
    const isFull = ({ event, utilization }: LogLine): boolean =>
      event === 'digest' && Number(utilization) > 0.9
    await until('it was busy for twice as long', () => server.lines.filter(isFull).length >= 5)
    await load.stop()
    expect(load.failures).toEqual([])
    expect((await server.get('/pid')).text).toBe(String(pid))
  })

  test('while a debugger may be attached', async (t) => {
    const server = await startServer(t, 'hello.js', '--timeout', '0.3', '--node-args=--inspect=0')
    const [pid] = server.pids()
    expect((await server.get('/block?ms=3500')).text).toBe('blocked')
    expect((await server.get('/pid')).text).toBe(String(pid))
  })

  test('for having been asleep', async (t) => {
    // digests, which say that the request is there, come every second or a little later
    const flags = ['--timeout', '4', '--stall-timeout', '20', '--log-level', 'debug']
    const server = await startServer(t, 'hello.js', ...flags)
    const [pid] = server.pids()
    await server.log(/in flight/) // its watchdog is there
    const late = server.get('/never')
    await server.log(/1 request in flight/)
    process.kill(pid!, 'SIGSTOP')
    const asleep = performance.now()
    await until('it slept for longer than the timeout', () => performance.now() - asleep > 5_000)
    process.kill(pid!, 'SIGCONT')
    server.expectLog(/^REQUEST TIMEOUT/)
    expect((await late).status, 'by the loop itself, which turns again').toBe(504)
    expect((await server.get('/pid')).text).toBe(String(pid))
  })
})

describe('the master has the last word', () => {
  test('on a worker that is stopped with its watchdog: its log has the last digest', async (t) => {
    const flags = ['--stall-timeout', '1', '--workers', '2', '--log-level', 'debug']
    const server = await startServer(t, 'hello.js', ...flags)
    const waiting = server.get('/never').catch((error: NodeJS.ErrnoException) => error.code)
    const { worker } = await server.log(/1 request in flight/)
    process.kill(worker as number, 'SIGSTOP')
    const line = await postMortem(server)
    expect(line).toMatchObject({ event: 'workerSilent', level: 'critical', worker })
    expect(line.msg).toMatch(
      /nothing heard from it for \d.*not even from its watchdog.*1 request in/,
    )
    expect(line['digest']).toMatchObject({
      inFlight: 1,
      oldest: [{ method: 'GET', url: '/never' }],
    })
    expect(await waiting).toBe('ECONNRESET')
    await server.logTimes(/^Worker ready/, 3)
    expect(isAlive(worker as number)).toBe(false)
  })

  test('but not after its own sleep', async (t) => {
    const server = await startServer(t, 'hello.js', '--stall-timeout', '1', '--log-level', 'debug')
    const [pid] = server.pids()
    await server.log(/in flight/)
    for (const one of [server.pid, pid!]) process.kill(one, 'SIGSTOP')
    const asleep = performance.now()
    await until('both slept long enough', () => performance.now() - asleep > 4_500)
    const before = server.lines.length
    for (const one of [server.pid, pid!]) process.kill(one, 'SIGCONT')
    await server.log(/in flight/, { from: before + 2 })
    expect((await server.get('/pid')).text).toBe(String(pid))
  })
})

describe('a blocked worker', () => {
  test('keeps nobody else from anything: new clients, signals, what the log says', async (t) => {
    const flags = ['--workers', '2', '--log-level', 'debug', '--graceful-timeout', '1']
    const server = await startServer(t, 'blocking.js', '--timeout', '0', ...flags)
    const { answer } = await block(server)
    const answers = await Promise.all(Array.from({ length: 50 }, () => server.get('/pid')))
    const pids = new Set(answers.map(({ text }) => Number(text)))
    expect(pids.size, 'none waits for the blocked one').toBe(1)
    const [blocked] = server.pids().filter((pid) => !pids.has(pid))
    server.signal('SIGTTIN')
    await server.log(/^Workers: 2 -> 3$/)
    await server.logTimes(/^Worker ready/, 3)
    await until('its watchdog tells how long it stands still', () =>
      server.lines.some(
        ({ event, worker, stale, inFlight }) =>
          event === 'digest' && worker === blocked && Number(stale) > 1 && inFlight === 1,
      ),
    )
    server.expectLog(/was sent SIGKILL: it had not finished within 1 s/)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 1 })
    await expect(answer).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  test('does not hold up a stop', async (t) => {
    const server = await startServer(t, 'blocking.js', ...SOON, '--graceful-timeout', '20')
    const { answer } = await block(server)
    server.signal('SIGTERM')
    expect((await answer).status).toBe(504)
    await postMortem(server)
    const exit = await server.exit()
    expect(exit.code).toBe(0)
    expect(exit.ms).toBeLessThan(10_000)
  })

  test('does not hold up a reload', async (t) => {
    const server = await startServer(t, 'blocking.js', ...SOON, '--graceful-timeout', '20')
    const { answer } = await block(server)
    server.signal('SIGHUP')
    expect((await answer).status).toBe(504)
    await postMortem(server)
    await server.log(/^Reload finished/)
    expect((await server.get('/')).text).toBe('hello')
  })

  test('does not outlive a master that was killed', async (t) => {
    const server = await startServer(t, 'blocking.js')
    const [pid] = server.pids()
    const { answer } = await block(server)
    process.kill(server.pid, 'SIGKILL')
    await until('it is gone', () => !isAlive(pid!))
    await expect(answer).rejects.toMatchObject({ code: 'ECONNRESET' })
    signalIfThere(-pid!, 'SIGKILL')
  })

  test('has a culprit by its lateness alone if requestContext is off', async (t) => {
    const server = await startServer(t, 'blocking.js', ...SOON, '--no-request-context')
    const { answer } = await block(server)
    expect((await answer).status).toBe(504)
    const line = await postMortem(server)
    expect(line).toMatchObject({ certain: false, culprit: { url: '/while' } })
    expect(line.msg).toMatch(/GET \/while \(or code outside of it\) blocked/)
    expect(line.msg).toMatch(standsAt('blocking.js', 'spinForever'))
  })
})

test('a worker whose watchdog cannot be started says so, and serves', async (t) => {
  const server = await startServer(t, 'without-threads.js')
  const [pid] = server.pids()
  server.expectLog(/has no watchdog/)
  const line = await server.log(/has no watchdog, a blocked event loop stays blocked: no threads/)
  expect(line.level).toBe('warning')
  expect(Number((await server.get('/pid')).text)).toBe(pid)
})
