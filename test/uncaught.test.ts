// An error that nobody caught: its request gets a 500, the others notice nothing, the worker is replaced; and what an app
// decides by itself is respected.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { keepAliveClient } from './helpers/client.ts'
import { startLoad } from './helpers/load.ts'
import { fixtures, startServer, type LogLine, type Server } from './helpers/server.ts'
import { tempDir } from './helpers/temp.ts'
import { until } from './helpers/until.ts'
import { clientOfEach, extremes } from './helpers/workers.ts'

const wantUncaught = (server: Server): void => server.expectLog(/^UNCAUGHT ERROR/)

/** The ways in which a request of the fixture fails, and what the log calls it. */
const ways = {
  sync: 'Error: sync',
  immediate: 'Error: immediate',
  timer: 'Error: timer',
  tick: 'Error: tick',
  callback: 'Error: callback',
  emitter: 'Error: emitter',
  async: 'Error: async',
  later: 'Error: later',
  text: 'UnhandledPromiseRejection: This error originated',
  weird: 'an error that cannot be shown',
  'writes-on': 'Error: writes-on',
}

describe('an uncaught error', { concurrent: true }, () => {
  for (const [way, error] of Object.entries(ways)) {
    test(`out of a request (${way}) answers it 500, and its worker leaves`, async (t) => {
      const server = await startServer(t, 'fails.js', '--drain-idle', '0.2')
      wantUncaught(server)
      const [pid] = server.pids()
      const headers = { accept: 'application/json', 'x-request-id': 'the-culprit' }
      const answer = await server.get(`/${way}`, { headers })
      expect(answer.status).toBe(500)
      expect(answer.headers['x-request-id']).toBe('the-culprit')
      expect(answer.json()).toMatchObject({ error: 'Internal Server Error', status: 500 })
      const line = await server.log(/^UNCAUGHT ERROR/)
      expect(line.msg).toContain(error)
      expect(line.msg).toContain(`; GET /${way} was answered 500`)
      const request = { method: 'GET', url: `/${way}`, id: 'the-culprit' }
      expect(line).toMatchObject({ level: 'error', worker: pid, outcome: '500', request })
      await server.complains(new RegExp(error))
      expect(await server.log(/^Worker exited/)).toMatchObject({ worker: pid, reason: 'uncaught' })
      expect((await server.get('/')).text).toBe('hello')
    })
  }

  test('names the line of the code and has the whole stack, on stderr too', async (t) => {
    const server = await startServer(t, 'fails.js')
    wantUncaught(server)
    await server.get('/immediate')
    const line = await server.log(/^UNCAUGHT ERROR/)
    expect(line.msg).toMatch(/Error: immediate, at .*fails\.js:\d+:\d+\)?; GET/)
    expect(String(line['stack'])).toMatch(/at .*fail \(.*fails\.js:\d+/)
    await server.complains(/Error: immediate\n {4}at .*fail \(.*fails\.js:\d+/)
  })

  test('spares the eight neighbours in flight, and its successor boots at once', async (t) => {
    const server = await startServer(t, 'fails.js')
    wantUncaught(server)
    const neighbours = Array.from({ length: 8 }, () => server.get('/slow?ms=1500'))
    await until('they are in flight', () => server.output.length >= 8)
    expect((await server.get('/immediate')).status).toBe(500)
    const failed = await server.log(/^UNCAUGHT ERROR/)
    await server.logTimes(/^Worker ready/, 2)
    const boot = server.lines.findLast(({ event }) => event === 'booting')!
    expect(Date.parse(boot.time) - Date.parse(failed.time)).toBeLessThan(500)
    expect((await server.get('/')).text).toBe('hello')
    const answers = await Promise.all(neighbours)
    expect(answers.map(({ status, text }) => `${status} ${text}`)).toEqual(
      Array(8).fill('200 done'),
    )
    await server.log(/^Worker exited .*: uncaught$/)
  })

  test('cuts its own response if that has begun, so that the client sees that it is not whole', async (t) => {
    const server = await startServer(t, 'fails.js')
    wantUncaught(server)
    const neighbour = server.get('/slow?ms=500')
    await expect(server.get('/begun')).rejects.toMatchObject({ code: 'ECONNRESET' })
    const line = await server.log(/^UNCAUGHT ERROR/)
    expect(line.msg).toMatch(/GET \/begun was cut, its response had begun$/)
    expect((await neighbour).text).toBe('done')
  })

  for (const way of ['outside', 'over']) {
    test(`with nobody waiting (${way}) drains the worker all the same`, async (t) => {
      const server = await startServer(t, 'fails.js', '--drain-idle', '0.2')
      wantUncaught(server)
      const neighbour = server.get('/slow?ms=700')
      await server.prints(/request started/)
      expect((await server.get(`/${way}`)).status).toBe(200)
      expect(await server.log(/^UNCAUGHT ERROR/)).toMatchObject({ outcome: 'none' })
      expect((await neighbour).text).toBe('done')
      await server.log(/^Worker exited .*: uncaught$/)
    })
  }

  test('among others in one worker leaves the sibling alone', async (t) => {
    const flags = ['--workers', '2', '--drain-idle', '0.2', '--no-rebalance']
    const server = await startServer(t, 'fails.js', ...flags)
    wantUncaught(server)
    const [victim, sibling] = await clientOfEach(t, server, 2)
    expect((await victim!.get('/timer')).headers.connection).toBe('close')
    await server.log(/^Worker exited/)
    expect((await sibling!.get('/pid')).text).toBe(String(sibling!.pid))
  })

  test('that is thrown a hundred times a second is told twenty times, and the drain still ends', async (t) => {
    const server = await startServer(t, 'fails.js', '--drain-idle', '0.2')
    wantUncaught(server)
    const neighbour = server.get('/slow?ms=1000')
    await server.prints(/request started/)
    await server.get('/flood')
    expect((await neighbour).text).toBe('done')
    await server.log(/^Worker exited/)
    expect(uncaughtIn(server.lines)).toHaveLength(20)
  })

  test('leaves a worker no longer than --graceful-timeout', async (t) => {
    const server = await startServer(t, 'fails.js', '--graceful-timeout', '0.5')
    wantUncaught(server)
    const never = server.get('/never').catch((error: NodeJS.ErrnoException) => error.code)
    await until('it is in flight', async () => (await server.get('/')).status === 200)
    server.expectLog(/was sent SIGKILL: it had not finished within 0.5 s/)
    await server.get('/timer')
    expect(await never).toBe('ECONNRESET')
  })

  test('without --request-context answers what the handler throws at once, and drains for the rest', async (t) => {
    const flags = ['--no-request-context', '--drain-idle', '0.2', '--timeout', '1']
    const server = await startServer(t, 'fails.js', ...flags)
    wantUncaught(server)
    server.expectLog(/^REQUEST TIMEOUT/)
    expect((await server.get('/sync')).status).toBe(500)
    await server.logTimes(/^Worker ready/, 2)
    expect((await server.get('/timer')).status).toBe(504)
    await server.logTimes(/^Worker exited .*: uncaught$/, 2)
  })
})

const uncaughtIn = (lines: readonly LogLine[]): LogLine[] =>
  lines.filter(({ event }) => event === 'uncaught')

describe('an app that fails on every request', { concurrent: true }, () => {
  test('is no fork storm, and goes on answering while its workers wait for their successors', async (t) => {
    const server = await startServer(t, 'fails.js', '--workers', '2', '--drain-idle', '1')
    wantUncaught(server)
    const load = startLoad(t, server.url, { path: '/timer', pause: 10 })
    const good = startLoad(t, server.url, { keepAlive: 2, newConnections: 2, pause: 20 })
    await server.log(/^Worker slot \d failed 3 times in a row; it goes on, and is replaced in 2 s/)
    await Promise.all([load.stop(), good.stop()])
    expect(load.counts.other, 'all of them 500').toBe(load.failures.length)
    expect(new Set(load.failures.map(({ message }) => message))).toEqual(new Set(['status 500']))
    expect(good.failures).toEqual([])
    expect(server.lines.filter(({ event }) => event === 'booting').length).toBeLessThan(10)
    expect(extremes(server.lines).fewestReady).toBeLessThanOrEqual(2)
  })
})

describe('an app that decides by itself', { concurrent: true }, () => {
  const app = (t: Parameters<typeof tempDir>[0], code: string): string => {
    const file = join(tempDir(t), 'app.js')
    writeFileSync(file, `${code}\nrequire('${fixtures}/fails.js')`)
    return file
  }

  test('with an uncaughtException listener keeps its worker, whatever is thrown', async (t) => {
    const listener = `process.on('uncaughtException', (error) => console.log('caught', error.message))`
    const server = await startServer(t, app(t, listener), '--timeout', '0.5')
    server.expectLog(/^REQUEST TIMEOUT/)
    expect((await server.get('/timer')).status).toBe(504)
    await server.prints(/caught timer/)
    expect(uncaughtIn(server.lines)).toEqual([])
  })

  test('with an unhandledRejection listener handles rejections, and we the exceptions', async (t) => {
    const listener = `process.on('unhandledRejection', (error) => console.log('caught', error.message))`
    const server = await startServer(t, app(t, listener), '--timeout', '0.5')
    server.expectLog(/^REQUEST TIMEOUT/, /^UNCAUGHT ERROR/)
    expect((await server.get('/later')).status).toBe(504)
    await server.prints(/caught later/)
    expect(uncaughtIn(server.lines)).toEqual([])
    expect((await server.get('/timer')).status).toBe(500)
  })

  test('with --unhandled-rejections=warn is only warned', async (t) => {
    const flags = ['--node-args=--unhandled-rejections=warn', '--timeout', '0.5']
    const server = await startServer(t, 'fails.js', ...flags)
    server.expectLog(/^REQUEST TIMEOUT/)
    expect((await server.get('/later')).status).toBe(504)
    await server.complains(/UnhandledPromiseRejectionWarning/)
    expect(uncaughtIn(server.lines)).toEqual([])
  })

  test('with a monitor is told of every error', async (t) => {
    const listener = `process.on('uncaughtExceptionMonitor', (error) => console.log('seen', error.message))`
    const server = await startServer(t, app(t, listener))
    wantUncaught(server)
    expect((await server.get('/timer')).status).toBe(500)
    await server.prints(/seen timer/)
  })

  test("with a library that exits for want of a listener, as source-map-support's, still gets a 500", async (t) => {
    const library = `
      const emit = process.emit
      process.emit = function (event) {
        if (event === 'uncaughtException' && process.listenerCount(event) === 0) process.exit(1)
        return emit.apply(this, arguments)
      }`
    const server = await startServer(t, app(t, library))
    wantUncaught(server)
    expect((await server.get('/timer')).status).toBe(500)
    await server.log(/^Worker exited .*: uncaught$/)
  })

  test('with --crash exit ends as Node ends it, neighbours and all', async (t) => {
    const server = await startServer(t, 'fails.js', '--crash', 'exit')
    server.expectLog(/exited with code 1/)
    const neighbour = server
      .get('/slow?ms=5000')
      .catch((error: NodeJS.ErrnoException) => error.code)
    await server.prints(/request started/)
    await expect(server.get('/timer')).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await neighbour).toBe('ECONNRESET')
    const line = await server.log(/exited with code 1/)
    expect(String(line['stderr'])).toMatch(/Error: timer/)
    expect(uncaughtIn(server.lines)).toEqual([])
  })
})

test.concurrent(
  'over TLS and HTTP/2 it is the same: the culprit 500, its neighbours served',
  async (t) => {
    const server = await startServer(t, 'fails-h2.js')
    wantUncaught(server)
    const { connect } = await import('node:http2')
    const session = connect(server.url, { rejectUnauthorized: false })
    t.onTestFinished(() => session.destroy())
    const ask = (path: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ':path': path })
        let [status, body] = ['', '']
        stream.on('response', (headers) => (status = String(headers[':status'])))
        stream.on('data', (chunk) => (body += String(chunk)))
        stream.on('error', reject)
        stream.on('close', () => resolve(`${status} ${body}`.trim()))
      })
    const neighbours = [ask('/slow'), ask('/slow')]
    await server.prints(/request started/)
    expect(await ask('/fail')).toBe('500 Internal Server Error')
    expect(await Promise.all(neighbours)).toEqual(['200 done', '200 done'])
    await server.log(/^Worker exited .*: uncaught$/)
  },
)

test.concurrent('a kept-alive connection outlives the error of another one', async (t) => {
  const server = await startServer(t, 'fails.js', '--drain-idle', '5')
  wantUncaught(server)
  const client = keepAliveClient(server.url)
  t.onTestFinished(() => client.destroy())
  const first = await client.get('/pid')
  expect((await server.get('/timer')).status).toBe(500)
  await server.log(/^Worker exiting/)
  const next = await client.get('/pid')
  expect(next.localPort, 'the connection').toBe(first.localPort)
  await until('the successor has it', async () => (await client.get('/pid')).text !== first.text)
})

test.concurrent('without --handover, it is told to reconnect', async (t) => {
  const server = await startServer(t, 'fails.js', '--drain-idle', '5', '--no-handover')
  wantUncaught(server)
  const client = keepAliveClient(server.url)
  t.onTestFinished(() => client.destroy())
  const pid = (await client.get('/pid')).text
  expect((await server.get('/timer')).status).toBe(500)
  await server.log(/^Worker exiting/)
  const last = await client.get('/pid')
  expect([last.text, last.headers.connection]).toEqual([pid, 'close'])
})
