// Idle connections move to another worker when theirs leaves, and when it has more than its share; their clients notice
// nothing: no failed request, no new connection. What can't be moved is left where it is.
import http2 from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { keepAliveClient, RawClient } from './helpers/client.ts'
import { GET_PID, startCrowd, usedClient } from './helpers/crowd.ts'
import { startLoad } from './helpers/load.ts'
import { openFiles } from './helpers/process.ts'
import { fixtures, startServer, type Server } from './helpers/server.ts'
import { socketPath, tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const ROUNDS = 6

/** Sends SIGHUP and waits until everybody is replaced. */
async function reload(server: Server): Promise<void> {
  const from = server.lines.length
  const old = server.pids()
  server.signal('SIGHUP')
  await server.log(/^Reload finished after/, { from })
  await until('the old workers are gone', () => old.every((pid) => !server.pids().includes(pid)))
}

const binds: Record<string, (t: Teardown) => string> = {
  TCP: () => '127.0.0.1:0',
  'a unix socket': (t) => `unix:${socketPath(t)}`,
}

describe.each(Object.keys(binds))('over %s', (transport) => {
  test(`${ROUNDS} reloads cost clients with think times of 0, 2 and 100 ms no request and no connection`, async (t) => {
    const bind = binds[transport]!(t)
    const server = await startServer(t, 'hello-export.js', '--workers', '2', { bind })
    const crowds = [0, 2, 100].map((think) => startCrowd(t, server.url, 6, think))
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(crowds.map((crowd) => crowd.served()))
      await reload(server)
    }
    await Promise.all(crowds.map((crowd) => crowd.served()))
    for (const crowd of crowds) {
      await crowd.stop()
      expect(crowd.failures).toEqual([])
      expect(crowd.reconnects()).toBe(0)
    }
  })
})

test('with --no-handover reloads cost no request either, but clients are told to reconnect', async (t) => {
  const flags = ['--workers', '2', '--no-handover', '--drain-idle', '1']
  const server = await startServer(t, 'hello.js', ...flags)
  const crowds = [0, 2, 100].map((think) => startCrowd(t, server.url, 6, think))
  for (let round = 0; round < 3; round++) {
    await Promise.all(crowds.map((crowd) => crowd.served()))
    await reload(server)
  }
  for (const crowd of crowds) {
    await crowd.stop()
    expect(crowd.failures).toEqual([])
  }
  expect(crowds[0]!.reconnects()).toBeGreaterThan(0)
})

describe('a reload', { concurrent: true }, () => {
  test('moves a connection that has served, and one that never said anything; their address stays', async (t) => {
    const app = `
      const { createServer } = require('node:http')
      const { port, host } = require('${fixtures}/routes.js')
      const remote = ({ remoteAddress, remotePort }) => remoteAddress + ' ' + remotePort
      createServer((req, res) => res.end(req.url === '/pid' ? String(process.pid) : remote(req.socket)))
        .on('connection', (socket) => {
          console.log(process.pid, 'has', socket.remotePort)
          socket.on('close', () => console.log(process.pid, 'lost', socket.remotePort))
        })
        .listen(port, host)`
    const server = await startServer(t, 'app.js', { cwd: tempDir(t, { 'app.js': app }) })
    const { client: used, pid: old } = await usedClient(t, server.url)
    const silent = await RawClient.connect(server.url)
    await reload(server)
    for (const client of [used, silent]) {
      const { localPort } = client.socket
      client.send(GET_PID)
      const [, pid] = await client.receives(/\r\n\r\n(\d+)$/)
      expect(Number(pid)).toBe(server.pids()[0])
      client.received = ''
      client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await client.receives(new RegExp(`127\\.0\\.0\\.1 ${localPort}$`))
      // the application sees one connection end and another one begin
      await server.prints(new RegExp(`^${old} lost ${localPort}$`))
      await server.prints(new RegExp(`^${pid} has ${localPort}$`))
    }
  })

  test('leaves a request alone that is half read or pipelined; the connection moves afterwards', async (t) => {
    const server = await startServer(t, 'hello.js', '--drain-idle', '20')
    const { client: half, pid: old } = await usedClient(t, server.url)
    half.send('GET /pid HTT')
    const { client: pair } = await usedClient(t, server.url)
    pair.send(`GET /slow?ms=1500 HTTP/1.1\r\nHost: a\r\n\r\n${GET_PID}`)
    await server.prints(/request started/)
    server.signal('SIGHUP')
    await server.log(/^Worker exiting/)
    await server.logTimes(/^Worker ready/, 2)
    await pair.receives(new RegExp(`\r\ndone[^]*\r\n${old}$`))
    half.send('P/1.1\r\nHost: a\r\n\r\n')
    await half.receives(new RegExp(`\r\n${old}$`))
    for (const client of [half, pair]) {
      expect(client.received).not.toMatch(/connection: close/i)
      await server.log(/^Worker exited/)
      client.send(GET_PID)
      await client.receives(new RegExp(`\r\n${server.pids()[0]}$`))
    }
  })

  test('leaves upgraded connections where they are', async (t) => {
    const server = await startServer(t, 'streams.js', '--drain-upgraded', '20')
    const upgraded = await RawClient.connect(server.url)
    upgraded.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    await upgraded.receives(/101 Switching/)
    server.signal('SIGHUP')
    await server.log(/^Worker exiting/)
    await usedClient(t, server.url)
    upgraded.send('are you there')
    await upgraded.receives(/are you there$/)
    upgraded.destroy()
    await server.log(/^Worker exited/)
  })

  test('leaves a connection where it is that the app has left something on', async (t) => {
    const app = `
      const { createServer } = require('node:http')
      const { port, host } = require('${fixtures}/routes.js')
      createServer((req, res) => {
        req.socket.user ??= 'user of ' + process.pid
        res.end(req.socket.user)
      }).listen(port, host)`
    const cwd = tempDir(t, { 'app.js': app })
    const server = await startServer(t, 'app.js', '--drain-idle', '20', { cwd })
    const client = keepAliveClient(server.url)
    t.onTestFinished(() => client.destroy())
    const first = await client.get('/')
    server.signal('SIGHUP')
    await server.log(/^Worker exiting/)
    const second = await client.get('/')
    expect(second).toMatchObject({ text: first.text, localPort: first.localPort })
    expect(second.headers.connection).toBe('close')
  })

  test('leaves TLS where it is: an idle client may speak once more', async (t) => {
    const app = `
      const { readFileSync } = require('node:fs')
      const { handler, port, host } = require('${fixtures}/routes.js')
      const key = readFileSync('${fixtures}/tls/key.pem')
      const cert = readFileSync('${fixtures}/tls/cert.pem')
      require('node:https').createServer({ key, cert }, handler).listen(port, host)`
    const cwd = tempDir(t, { 'app.js': app })
    const server = await startServer(t, 'app.js', '--drain-idle', '20', { cwd })
    const client = keepAliveClient(server.url)
    t.onTestFinished(() => client.destroy())
    const { text: old } = await client.get('/pid')
    server.signal('SIGHUP')
    await server.log(/^Worker exiting/)
    const last = await client.get('/pid')
    expect(last.text).toBe(old)
    expect(last.headers.connection).toBe('close')
    await server.log(/^Worker exited/)
    expect((await client.get('/pid')).text).toBe(String(server.pids()[0]))
  })

  test('leaves HTTP/2 where it is: streams end on the old worker, the session hears GOAWAY', async (t) => {
    const app = `
      const { handler, port, host } = require('${fixtures}/routes.js')
      require('node:http2').createServer(handler).listen(port, host)`
    const server = await startServer(t, 'app.js', { cwd: tempDir(t, { 'app.js': app }) })
    const session = http2.connect(server.url.replace(/^tcp/, 'http'))
    const slow = session.request({ ':path': '/slow?ms=1500' })
    let text = ''
    slow.on('data', (chunk) => (text += String(chunk)))
    await server.prints(/request started/)
    const goaway = new Promise((resolve) => session.once('goaway', resolve))
    server.signal('SIGHUP')
    expect(await goaway).toBe(http2.constants.NGHTTP2_NO_ERROR)
    await until('the stream ended', () => slow.closed)
    expect(text).toBe('done')
    await server.log(/^Worker exited/)
  })
})

describe('a moved connection that stays idle', { concurrent: true }, () => {
  test('is not taken for a client that is slow with its headers', async (t) => {
    const server = await startServer(t, 'hello.js', '--headers-timeout', '1')
    const { client } = await usedClient(t, server.url)
    await reload(server)
    await sleep(3_000) // an idle client says nothing for longer than the headers may take
    expect(client.received).toBe('')
    client.send(GET_PID)
    await client.receives(new RegExp(`^HTTP/1.1 200[^]*\r\n${server.pids()[0]}$`))
  })

  test('is closed after --keep-alive, without a word', async (t) => {
    const server = await startServer(t, 'hello.js', '--keep-alive', '2')
    const { client } = await usedClient(t, server.url)
    await reload(server)
    await client.closed()
    expect(client.error).toBeUndefined()
    expect(client.received).toBe('')
  })
})

describe('hand-over', { concurrent: true }, () => {
  test('also serves recycling: clients of workers with --max-requests notice nothing', async (t) => {
    const limits = ['--max-requests', '150', '--max-requests-jitter', '50']
    const server = await startServer(t, 'hello.js', '--workers', '2', ...limits)
    const crowd = startCrowd(t, server.url, 8, 2)
    await server.logTimes(/^Worker exited .*: max-requests$/, 6)
    await crowd.served()
    await crowd.stop()
    expect(crowd.failures).toEqual([])
    expect(crowd.reconnects()).toBe(0)
  })

  test('waits for a replacement when the only worker is told to end', async (t) => {
    const server = await startServer(t, 'hello.js', '--drain-idle', '20')
    const { client, pid } = await usedClient(t, server.url)
    process.kill(Number(pid), 'SIGTERM')
    await server.log(/^Worker exited/)
    client.send(GET_PID)
    await client.receives(new RegExp(`\r\n${server.pids()[0]}$`))
  })

  test('has no part in a stop: clients are told to go', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2', '--drain-idle', '20')
    const client = keepAliveClient(server.url)
    t.onTestFinished(() => client.destroy())
    const { localPort } = await client.get('/')
    server.signal('SIGTERM')
    await server.logTimes(/^Worker exiting/, 2)
    const last = await client.get('/')
    expect(last.localPort).toBe(localPort)
    expect(last.headers.connection).toBe('close')
    expect(await server.exit()).toMatchObject({ code: 0 })
  })

  test('survives takers that are killed: nobody hangs, only requests in flight are lost', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2', '--backoff-max', '0')
    server.expectLog(/was ended by SIGKILL/)
    const load = startLoad(t, server.url, { keepAlive: 24, newConnections: 0, pause: 20 })
    await load.everyoneServed()
    for (let round = 0; round < 4; round++) {
      const from = server.lines.length
      server.signal('SIGHUP')
      const { worker } = await server.log(/^Worker ready/, { from })
      process.kill(worker as number, 'SIGKILL')
      await server.log(/^Reload finished/, { from })
      await load.everyoneServed()
    }
    const counts = await load.stop()
    expect(counts).toMatchObject({ refused: 0, hung: 0, other: 0 })
    await until('all connections are out of the master', () => openFiles(server.pid) < 60)
  })

  test('leaves no descriptor behind in the master', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2')
    const crowd = startCrowd(t, server.url, 16, 2)
    await crowd.served()
    await reload(server)
    const before = openFilesOf(server)
    for (let round = 0; round < 4; round++) await reload(server)
    await until('the master has as many as before', () => openFilesOf(server) <= before)
    await crowd.stop()
    expect(crowd.failures).toEqual([])
  })

  test('that this Node does not allow is said once; reloads lose nothing all the same', async (t) => {
    const broken = `--node-args=--require=${fixtures}/always-paused.cjs`
    const flags = ['--workers', '2', '--drain-idle', '1', broken]
    const server = await startServer(t, 'hello.js', ...flags)
    const crowd = startCrowd(t, server.url, 6, 2)
    const { msg, level } = await server.log(/^Idle connections are not handed over on Node/)
    expect(level).toBe('warning')
    expect(msg).toContain('an idle connection is not at rest')
    await reload(server)
    await crowd.served()
    await crowd.stop()
    expect(crowd.failures).toEqual([])
    expect(crowd.reconnects()).toBeGreaterThan(0)
    expect(server.lines.filter(({ event }) => event === 'handoverFails')).toHaveLength(1)
  })
})

const openFilesOf = ({ pid }: Server): number => (process.platform === 'linux' ? openFiles(pid) : 0)

describe('kept-alive connections', () => {
  for (const [how, pause] of [
    ['opened at once', 0],
    ['opened 20 ms apart', 20],
  ] as const)
    test(`of which 80 are ${how} are soon shared fairly among 4 workers, give or take 15 %`, async (t) => {
      const server = await startServer(t, 'hello.js', '--workers', '4')
      const clients = Array.from({ length: 80 }, () => keepAliveClient(server.url))
      t.onTestFinished(() => clients.forEach((client) => client.destroy()))
      const opened = clients.map(async (client, n) => {
        await sleep(n * pause)
        return (await client.get('/pid')).localPort
      })
      const ports = await Promise.all(opened)
      const count = async (): Promise<number[]> => {
        const answers = await Promise.all(clients.map((client) => client.get('/pid')))
        expect(answers.map(({ localPort }) => localPort)).toEqual(ports)
        const pids = answers.map(({ text }) => text)
        return server.pids().map((pid) => pids.filter((one) => one === String(pid)).length)
      }
      const isFair = (counts: number[]): boolean => counts.every((n) => n >= 17 && n <= 23)
      await until('each has 17 to 23', async () => isFair(await count()))
    })

  test('are shared with a worker that joins', async (t) => {
    const server = await startServer(t, 'hello.js')
    const clients = await Promise.all(Array.from({ length: 8 }, () => usedClient(t, server.url)))
    server.signal('SIGTTIN')
    await server.logTimes(/^Worker ready/, 2)
    const [, joined] = server.pids()
    const answers = async (): Promise<string[]> => {
      for (const { client } of clients) {
        client.received = ''
        client.send(GET_PID)
      }
      return Promise.all(
        clients.map(async ({ client }) => (await client.receives(/\r\n\r\n(\d+)$/))[1]!),
      )
    }
    await until('it has half of them', async () => {
      const counts = (await answers()).filter((pid) => pid === String(joined)).length
      return counts === 4
    })
  })

  test('stay where they are with --no-rebalance', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '4', '--no-rebalance')
    const clients = Array.from({ length: 12 }, () => keepAliveClient(server.url))
    t.onTestFinished(() => clients.forEach((client) => client.destroy()))
    const ask = (): Promise<string[]> =>
      Promise.all(clients.map(async (client) => (await client.get('/pid')).text))
    const before = await ask()
    await sleep(500) // several rounds of what would be rebalancing
    expect(await ask()).toEqual(before)
  })
})
