// The end of a server: who is let finish, who is cut off and when, what the exit status says, and what is left: nothing.
import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { keepAliveClient, RawClient } from './helpers/client.ts'
import { isAlive } from './helpers/process.ts'
import { spawnServer, startServer, type Server } from './helpers/server.ts'
import { until } from './helpers/until.ts'
import { grandchildrenOf } from './helpers/workers.ts'

/** Waits until the server has told `times` clients' requests to its app. */
const inFlight = (server: Server, times = 1): Promise<unknown> =>
  until(
    `${times} requests are in flight`,
    () => server.output.filter((line) => line === 'request started').length >= times,
  )

/** The request ends without an answer. Never rejects before it is awaited. */
const brokenOff = (answer: Promise<unknown>): Promise<void> => {
  const code = answer.then(
    () => 'answered',
    (error: NodeJS.ErrnoException) => error.code,
  )
  return code.then((how) => expect(how).toBe('ECONNRESET'))
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

const leftovers = (server: Server): number[] => server.allPids().filter(isAlive)

describe.each(['owned', 'cluster'])('SIGTERM (sockets: %s)', { concurrent: true }, (sockets) => {
  const flags = ['--sockets', sockets, '--workers', '2']
  const rounds = sockets === 'owned' ? 20 : 4

  test(`loses no request in flight, in ${rounds} rounds, and tells each client to close`, async (t) => {
    const round = async (): Promise<void> => {
      const server = await startServer(t, 'hello.js', ...flags)
      const client = keepAliveClient(server.url)
      await client.get('/')
      const slow = [
        ...Array.from({ length: 4 }, () => server.get('/slow?ms=800')),
        client.get('/slow?ms=800'),
      ]
      await inFlight(server, slow.length)
      server.signal('SIGTERM')
      for (const answer of await Promise.all(slow)) {
        expect(answer).toMatchObject({ status: 200, text: 'done' })
        expect(answer.headers.connection).toBe('close')
      }
      expect(await server.exit()).toMatchObject({ code: 0, signal: null })
      expect(leftovers(server)).toEqual([])
    }
    for (let done = 0; done < rounds; done += 4) await Promise.all(Array.from({ length: 4 }, round))
  })

  test('answers the whole of a pipeline, and what comes in it meanwhile', async (t) => {
    const server = await startServer(t, 'hello.js', ...flags)
    const client = await RawClient.connect(server.url)
    client.send(get('/slow?ms=2500') + get('/') + get('/slow?ms=2000'))
    await inFlight(server, 2)
    server.signal('SIGTERM')
    await server.logTimes(/^Worker exiting/, 2) // the one with the pipeline may be the second
    client.send(get('/env?name=NONE'))
    await client.closed()
    const answers = client.received.split('HTTP/1.1 200 OK').slice(1)
    expect(answers.map((answer) => answer.split('\r\n\r\n')[1])).toEqual([
      'done',
      'hello',
      'done',
      '',
    ])
    expect(answers.map((answer) => /Connection: close/i.test(answer))).toEqual([
      false,
      false,
      false,
      true,
    ])
    expect(await server.exit()).toMatchObject({ code: 0, signal: null })
  })

  test('lets requests finish while new connections are already refused, and says what it waits for', async (t) => {
    const server = await startServer(t, 'hello.js', ...flags)
    const slow = server.get('/slow?ms=1500')
    await inFlight(server)
    server.signal('SIGTERM')
    await until('connections are refused', () =>
      server.get('/').then(
        () => false,
        (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
      ),
    )
    await server.log(/^Worker exiting \(pid: \d+\): 1 request and \d+ connections? left to finish/)
    expect((await slow).text).toBe('done')
    expect(await server.exit()).toMatchObject({ code: 0 })
    const order = server.lines.map(({ event }) => event)
    const story = ['handlingSignal', 'stopping', 'workerExiting', 'workerExited', 'stopped']
    expect(order).toEqual(expect.arrayContaining(story))
  })

  test('frees the port', async (t) => {
    const server = await startServer(t, 'hello.js', ...flags)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    const again = net.createServer().listen(Number(new URL(server.url).port), '127.0.0.1')
    t.onTestFinished(() => void again.close())
    await until('somebody else can listen there', () => again.listening)
  })

  test('gives an idle kept-alive connection --drain-idle seconds to speak once more', async (t) => {
    const server = await startServer(t, 'hello.js', ...flags, '--drain-idle', '5')
    const client = keepAliveClient(server.url)
    const { localPort } = await client.get('/')
    server.signal('SIGTERM')
    await server.logTimes(/^Worker exiting/, 2)
    const last = await client.get('/')
    expect(last).toMatchObject({ status: 200, text: 'hello', localPort })
    expect(last.headers.connection).toBe('close')
    const exit = await server.exit()
    expect(exit.code).toBe(0)
    expect(exit.ms, 'nobody is left to wait for').toBeLessThan(4_000)
  })

  test('closes idle and silent connections after --drain-idle seconds, not before', async (t) => {
    const server = await startServer(t, 'hello.js', ...flags, '--drain-idle', '1')
    const idle = await RawClient.connect(server.url)
    idle.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await idle.receives(/hello$/)
    const silent = await RawClient.connect(server.url)
    server.signal('SIGTERM')
    const exit = await server.exit()
    expect(exit.code).toBe(0)
    expect(exit.ms).toBeGreaterThan(900)
    expect(exit.ms).toBeLessThan(4_000)
    await Promise.all([idle.closed(), silent.closed()])
    expect([idle.error, silent.error], 'closed, not reset').toEqual([undefined, undefined])
  })

  test('kills what outlives --graceful-timeout: logged, exit 1', async (t) => {
    const server = await startServer(t, 'hello.js', ...flags, '--graceful-timeout', '1')
    const never = brokenOff(server.get('/never'))
    await until('it is in flight', async () => (await server.get('/')).status === 200)
    server.expectLog(/was sent SIGKILL/)
    server.signal('SIGTERM')
    const { msg } = await server.log(/was sent SIGKILL/)
    expect(msg).toContain('it had not finished within 1 s (--graceful-timeout)')
    const exit = await server.exit()
    expect(exit.code).toBe(1)
    expect(exit.ms).toBeGreaterThan(900)
    expect(exit.ms).toBeLessThan(3_000)
    await server.log(/^Stopped after .*; 1 worker had to be killed/)
    await never
    expect(leftovers(server)).toEqual([])
  })

  test('kills a worker whose event loop is blocked, at --graceful-timeout', async (t) => {
    const server = await startServer(t, 'blocks.js', ...flags, '--graceful-timeout', '1')
    const blocked = brokenOff(server.get('/forever'))
    await server.prints(/^blocked$/)
    server.expectLog(/was sent SIGKILL/)
    server.signal('SIGTERM')
    const exit = await server.exit()
    expect(exit.code).toBe(1)
    expect(exit.ms).toBeLessThan(3_000)
    await blocked
  })

  test('twice ends it at once, and so does SIGINT after it', async (t) => {
    for (const second of ['SIGTERM', 'SIGINT'] as const) {
      const server = await startServer(t, 'hello.js', ...flags)
      const slow = brokenOff(server.get('/slow?ms=60000'))
      await inFlight(server)
      server.signal('SIGTERM')
      await server.log(/^Shutting down: Master \(graceful\)/)
      server.expectLog(/was sent SIGKILL: a second signal asked to stop at once/)
      server.signal(second)
      const exit = await server.exit()
      expect(exit.code).toBe(1)
      expect(exit.ms).toBeLessThan(1_000)
      await slow
      expect(leftovers(server)).toEqual([])
    }
  })
})

describe.concurrent('SIGTERM', () => {
  test('lets connections in that wait in the queue of a busy worker', async (t) => {
    const server = await startServer(t, 'hello.js', '--drain-idle', '1')
    const busy = server.get('/block?ms=700')
    const waiting = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = await RawClient.connect(server.url)
        client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        return client
      }),
    )
    server.signal('SIGTERM')
    expect((await busy).text).toBe('blocked')
    for (const client of waiting) await client.receives(/^HTTP\/1\.1 200 OK[^]*hello$/)
    expect(await server.exit()).toMatchObject({ code: 0 })
  })

  test('hears what an idle connection said in time, even if the worker was busy just then', async (t) => {
    const server = await startServer(t, 'blocks.js', '--drain-idle', '0.5')
    const idle = await RawClient.connect(server.url)
    idle.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await idle.receives(/hello$/)
    const busy = keepAliveClient(server.url)
    await busy.get('/')
    server.signal('SIGTERM')
    await server.log(/^Worker exiting/)
    const blocked = busy.get('/for?ms=1000')
    await server.prints(/^blocked$/)
    idle.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    expect((await blocked).text).toBe('free again')
    await idle.receives(/hello[^]*Connection: close[^]*hello$/)
    expect(await server.exit()).toMatchObject({ code: 0 })
  })

  test('does not cut a half-read request: its body may come as long as --graceful-timeout allows', async (t) => {
    const server = await startServer(t, 'hello.js', '--drain-idle', '0.2')
    const client = await RawClient.connect(server.url)
    client.send('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345')
    await client.receives(/12345/)
    server.signal('SIGTERM')
    await server.log(/^Worker exiting/)
    await until('the port is closed', () =>
      server.get('/').then(
        () => false,
        () => true,
      ),
    )
    client.send('67890')
    await client.receives(/67890/)
    expect(await server.exit()).toMatchObject({ code: 0 })
  })

  test("calls the app's own handler when the last request is answered, and loses none of its output", async (t) => {
    const server = await startServer(t, 'handles-sigterm.js')
    const slow = server.get('/slow?ms=600')
    await inFlight(server)
    server.signal('SIGTERM')
    await server.log(/^Worker exiting/)
    expect(server.output).not.toContain('clean-up line 1 of 100')
    expect((await slow).text).toBe('done')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(server.output.filter((line) => line.startsWith('clean-up line'))).toHaveLength(100)
  })

  test('does not wait for an app that only closes its server', async (t) => {
    const server = await startServer(t, 'closes-on-sigterm.js')
    server.signal('SIGTERM')
    const exit = await server.exit()
    expect(server.output).toContain('the app closed its server')
    expect(exit.code).toBe(0)
    expect(exit.ms).toBeLessThan(3_000)
  })

  test('kills an app that ignores it, at --graceful-timeout', async (t) => {
    const server = await startServer(t, 'ignore-sigterm.js', '--graceful-timeout', '1')
    server.expectLog(/was sent SIGKILL/)
    server.signal('SIGTERM')
    const exit = await server.exit()
    expect(exit.code).toBe(1)
    expect(exit.ms).toBeLessThan(3_000)
  })

  test('during the boot ends it cleanly', async (t) => {
    const server = spawnServer(t, 'boots-slowly.js', '--workers', '2', {
      env: { BOOT_MS: '30000' },
    })
    await server.logTimes(/^Booting worker/, 2)
    server.signal('SIGTERM')
    const exit = await server.exit()
    expect(exit.code).toBe(0)
    expect(exit.ms).toBeLessThan(2_500)
    expect(leftovers(server)).toEqual([])
  })

  test('during the boot kills a worker that is blocked', async (t) => {
    const server = spawnServer(t, 'hang-at-boot.js')
    await server.log(/^Booting worker/)
    server.expectLog(/was sent SIGKILL/)
    server.signal('SIGTERM')
    const exit = await server.exit()
    expect(exit.code).toBe(1)
    expect(exit.ms).toBeLessThan(4_000)
  })

  test('ends event streams cleanly after --drain-idle, upgraded connections after --drain-upgraded', async (t) => {
    const patience = ['--drain-idle', '0.3', '--drain-upgraded', '0.6']
    const server = await startServer(t, 'streams.js', ...patience)
    const events = await RawClient.connect(server.url)
    events.send('GET /events HTTP/1.1\r\nHost: a\r\n\r\n')
    await events.receives(/data: tick/)
    const upgraded = await RawClient.connect(server.url)
    upgraded.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    await upgraded.receives(/101 Switching/)
    upgraded.send('are you there')
    await upgraded.receives(/are you there$/)
    server.signal('SIGTERM')
    const exit = await server.exit()
    expect(exit.code).toBe(0)
    expect(exit.ms).toBeLessThan(3_000)
    await Promise.all([events.closed(), upgraded.closed()])
    expect(events.received, 'the last chunk').toMatch(/\r\n0\r\n\r\n$/)
    expect([events.error, upgraded.error]).toEqual([undefined, undefined])
  })

  test('leaves no grandchild behind', async (t) => {
    const server = await startServer(t, 'grandchild.js', '--workers', '2')
    const grandchildren = await grandchildrenOf(server, 2)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    await until('they are gone', () => grandchildren.filter(isAlive).length === 0, 2_000)
  })
})

describe.concurrent('--pre-stop-delay', () => {
  test('goes on serving new connections after SIGTERM, so that load balancers notice first', async (t) => {
    const server = await startServer(t, 'hello.js', '--pre-stop-delay', '1')
    server.signal('SIGTERM')
    await server.log(/^Serving for another 1 s .*\(--pre-stop-delay\)/)
    let served = 0
    await until('the delay is over', async () => {
      await server.get('/').then(
        () => served++,
        (error: NodeJS.ErrnoException) => error.code,
      )
      return server.lines.some(({ event }) => event === 'stopping')
    })
    expect(served).toBeGreaterThan(3)
    const exit = await server.exit()
    expect(exit.code).toBe(0)
    expect(exit.ms).toBeGreaterThan(950)
  })

  test('is cut short by a second signal, which still stops gracefully', async (t) => {
    const server = await startServer(t, 'hello.js', '--pre-stop-delay', '30')
    const slow = server.get('/slow?ms=500')
    await inFlight(server)
    server.signal('SIGTERM')
    await server.log(/^Serving for another 30 s/)
    server.signal('SIGTERM')
    expect((await slow).text).toBe('done')
    const exit = await server.exit()
    expect(exit.code).toBe(0)
    expect(exit.ms).toBeLessThan(5_000)
  })
})

describe.each(['SIGINT', 'SIGQUIT'] as const)('%s', { concurrent: true }, (signal) => {
  test('is quick: half a second for requests in flight, idle connections closed at once, exit 0', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2')
    const idle = keepAliveClient(server.url)
    await idle.get('/')
    const short = server.get('/slow?ms=200')
    const long = brokenOff(server.get('/slow?ms=60000'))
    await inFlight(server, 2)
    server.signal(signal)
    expect((await short).text).toBe('done')
    await long
    const exit = await server.exit()
    expect(exit.code).toBe(0)
    expect(exit.ms).toBeLessThan(2_000)
    await server.log(/^Shutting down: Master \(quick\)/)
  })
})
