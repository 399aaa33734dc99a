// Where it listens, and that it goes on listening there: unix sockets, inherited descriptors, several addresses.
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { request } from './helpers/client.ts'
import { startLoad } from './helpers/load.ts'
import { fixtures, spawnServer, startServer, type Server } from './helpers/server.ts'
import { socketPath, tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

/** A server of this test's own, at a TCP address or a path. */
async function listenAt(t: Teardown, ...where: [number, string] | [string]): Promise<net.Server> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined) // ECONNRESET: whoever asks need not stay for the answer
    socket.end('the other server\n')
  })
  server.listen(...(where as [number, string]))
  t.onTestFinished(() => void server.close())
  await until('the other server listens', () => server.listening)
  return server
}

/** Replaces every worker, one way or the other. */
const replaced: Record<string, (server: Server) => Promise<unknown>> = {
  'after a reload': (server) => {
    server.signal('SIGHUP')
    return server.log(/^Reload finished/)
  },
  'after the end of all workers': (server) => {
    server.expectLog(/was ended by SIGKILL/)
    const workers = server.pids()
    for (const pid of workers) process.kill(pid, 'SIGKILL')
    return server.logTimes(/^Worker ready/, 2 * workers.length)
  },
}

describe.concurrent('a unix socket', () => {
  test('is made at the start, has the rights that --umask leaves, and is removed at the stop', async (t) => {
    const path = socketPath(t)
    const server = await startServer(t, 'hello-export.js', '--umask', '0077', {
      bind: `unix:${path}`,
    })
    expect(server.url).toBe(`unix:${path}`)
    expect((await server.get('/')).text).toBe('hello')
    expect(statSync(path).mode & 0o777).toBe(0o700)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(existsSync(path)).toBe(false)
  })

  test('has the mode and the group that it is given, also after a reload', async (t) => {
    const path = socketPath(t)
    // root may give it to anybody, others to a group of their own
    const group = process.getuid!() === 0 ? 12_345 : process.getgid!()
    const rights = ['--umask', '0077', '--socket-mode', '660', '--socket-group', String(group)]
    const server = await startServer(t, 'hello-export.js', ...rights, { bind: `unix:${path}` })
    const isRight = (): void =>
      expect(statSync(path)).toMatchObject({ mode: 0o140660, gid: group, uid: process.getuid!() })
    isRight()
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    isRight()
    expect((await server.get('/umask')).text, "the workers' own").toBe('77')
  })

  test('that a killed server left behind is replaced', async (t) => {
    const path = socketPath(t)
    const first = await startServer(t, 'hello-export.js', { bind: `unix:${path}` })
    const workers = first.pids()
    first.signal('SIGKILL')
    await first.exit()
    expect(existsSync(path), 'a leftover').toBe(true)
    const second = await startServer(t, 'hello-export.js', '--workers', '2', {
      bind: `unix:${path}`,
    })
    expect(workers.map(String)).not.toContain((await second.get('/pid')).text)
  })

  test('that somebody answers on is left alone: exit 1', async (t) => {
    const path = socketPath(t)
    await listenAt(t, path)
    const server = spawnServer(t, 'hello-export.js', { bind: `unix:${path}` })
    server.expectLog(/./)
    expect(await server.exit()).toMatchObject({ code: 1 })
    expect(said(server)).toMatch(new RegExp(`Connection in use: .*unix:${path}.*EADDRINUSE`))
    const socket = net.connect(path)
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
    await until('the other one still answers', () => text.includes('the other server'))
  })

  test('in the place of an ordinary file is refused, and the file is left alone', async (t) => {
    const dir = tempDir(t, { precious: 'data' })
    const server = spawnServer(t, 'hello-export.js', { bind: `unix:${join(dir, 'precious')}` })
    server.expectLog(/./)
    expect(await server.exit()).toMatchObject({ code: 1 })
    expect(statSync(join(dir, 'precious')).size).toBe(4)
  })

  test('in a directory that does not exist is refused by name', async (t) => {
    const path = join(tempDir(t), 'no', 'such', 'app.sock')
    const server = spawnServer(t, 'hello-export.js', { bind: `unix:${path}` })
    server.expectLog(/./)
    expect(await server.exit()).toMatchObject({ code: 1 })
    expect(said(server)).toContain(path)
  })

  for (const [when, replace] of Object.entries(replaced)) {
    test(`serves on ${when}`, async (t) => {
      const path = socketPath(t)
      const server = await startServer(t, 'hello-export.js', '--workers', '2', {
        bind: `unix:${path}`,
      })
      await replace(server)
      expect((await server.get('/')).text).toBe('hello')
      server.signal('SIGTERM')
      await server.exit()
      expect(existsSync(path)).toBe(false)
    })
  }

  test('loses no request over a reload under load', async (t) => {
    const server = await startServer(
      t,
      'hello-export.js',
      '--workers',
      '2',
      '--drain-idle',
      '0.3',
      {
        bind: `unix:${socketPath(t)}`,
      },
    )
    const load = startLoad(t, server.url, { keepAlive: 4, newConnections: 4 })
    await load.everyoneServed()
    await replaced['after a reload']!(server)
    await load.everyoneServed()
    await load.stop()
    expect(load.failures).toEqual([])
  })
})

const said = (server: Server): string =>
  [server.stderr, ...server.lines.map(({ msg }) => msg)].join('\n')

describe.concurrent('every address keeps its port', () => {
  for (const [when, replace] of Object.entries(replaced)) {
    test(`${when}: port 0, two ports, IPv6`, async (t) => {
      const flags = ['--bind', '127.0.0.1:0', '--bind', '[::1]:0', '--workers', '2']
      const server = await startServer(t, 'hello-export.js', ...flags)
      const urls = [...server.urls]
      expect(urls).toHaveLength(3)
      expect(new Set(urls).size).toBe(3)
      await replace(server)
      expect(server.urls).toEqual(urls)
      for (const url of urls) expect((await request(url, '/')).text).toBe('hello')
    })

    test(`${when}: an app that listens on two ports 0 by itself`, async (t) => {
      const server = await startServer(t, 'two-ports.js', '--workers', '2', { bind: false })
      await until('both addresses are told', () => server.urls.length === 2)
      const [hello, second] = server.urls
      await replace(server)
      expect(server.urls).toEqual([hello, second])
      expect((await request(hello!, '/')).text).toBe('hello')
      expect((await request(second!, '/')).text).toBe('second')
    })

    test(`${when}: an inherited file descriptor`, async (t) => {
      const socket = await listenAt(t, 0, '127.0.0.1')
      const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
      const { port } = socket.address() as net.AddressInfo
      const flags = ['--workers', '2', '--drain-idle', '0.3']
      const server = await startServer(t, 'hello-export.js', ...flags, {
        bind: 'fd://3',
        fds: [fd],
      })
      socket.close()
      await until('only the workers have it', () => !socket.listening)
      await replace(server)
      for (let n = 0; n < 5; n++)
        expect((await request(`http://127.0.0.1:${port}`, '/')).text).toBe('hello')
    })
  }
})

test.concurrent('fd://N that is not open, or no socket, is refused by name', async (t) => {
  const server = spawnServer(t, 'hello-export.js', { bind: 'fd://57' })
  server.expectLog(/./)
  expect(await server.exit()).toMatchObject({ code: 1 })
  expect(said(server)).toContain('fd://57')
})

test.concurrent('an address that is not on this machine is refused by name', async (t) => {
  const server = spawnServer(t, 'hello-export.js', { bind: '192.0.2.1:0' })
  server.expectLog(/./)
  expect(await server.exit()).toMatchObject({ code: 1 })
  expect(said(server)).toMatch(/192\.0\.2\.1/)
})

test.concurrent('two servers cannot share a port unnoticed, one learns who has it', async (t) => {
  const first = await startServer(t, 'hello-export.js', '--workers', '2')
  const bind = first.url.replace('http://', '')
  const second = spawnServer(t, 'hello-export.js', '--workers', '2', { bind })
  second.expectLog(/./)
  expect(await second.exit()).toMatchObject({ code: 1 })
  expect(said(second)).toContain(`Connection in use: cannot listen on ${bind}`)
  expect((await first.get('/')).text).toBe('hello')
})

test.concurrent('nothing but the declared port is listened on', async (t) => {
  const server = await startServer(t, 'hello.js', '--workers', '2')
  const ports = (): number[] => [...new Set([server.pid, ...server.pids()].flatMap(listeningPorts))]
  // a worker tries out on a connection of its own, at its start, whether connections can be moved
  let looks = 0
  await until('twenty looks in a row see that port alone', () => {
    looks = ports().join() === new URL(server.url).port ? looks + 1 : 0
    return looks === 20
  })
})

/** TCP ports that the process listens on, by the tools the system has. */
function listeningPorts(pid: number): number[] {
  if (process.platform !== 'linux') {
    const table = execFileSync('lsof', ['-nP', '-a', `-p${pid}`, '-iTCP', '-sTCP:LISTEN'])
    return [...table.toString().matchAll(/:(\d+) \(LISTEN\)/g)].map(([, port]) => Number(port))
  }
  const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
  return ['tcp', 'tcp6']
    .flatMap((table) => readFileSync(`/proc/net/${table}`, 'utf8').trim().split('\n').slice(1))
    .map((row) => row.trim().split(/\s+/))
    .filter((row) => row[3] === '0A' && open.includes(`socket:[${row[9]}]`))
    .map((row) => Number.parseInt(row[1]!.split(':')[1]!, 16))
}

test.concurrent(
  '--backlog: a thousand clients may wait for the only worker while it is busy',
  async (t) => {
    const server = await startServer(t, 'hello.js', '--backlog', '1500', '--drain-idle', '0')
    const { port } = new URL(server.url)
    const somaxconn = maxBacklog()
    const busy = server.get('/block?ms=1500')
    const sockets = Array.from({ length: Math.min(1_000, somaxconn - 10) }, () =>
      net.connect(Number(port), '127.0.0.1'),
    )
    t.onTestFinished(() => sockets.forEach((socket) => socket.destroy()))
    let answered = 0
    for (const socket of sockets) {
      socket.on('error', () => undefined) // ECONNRESET: seen as missing below
      socket.once('data', () => answered++)
      socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    }
    await busy
    await until('all of them are answered', () => answered === sockets.length, 10_000)
  },
)

/** What the kernel grants at most. */
function maxBacklog(): number {
  if (process.platform !== 'linux') return 128
  return Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'))
}

test.concurrent(
  'an app that closes one of its servers frees that port, and only that',
  async (t) => {
    const cwd = tempDir(t, {
      'app.js': `
      const { createServer } = require('node:http')
      const { handler } = require('${fixtures}/routes.js')
      const admin = createServer((req, res) => {
        res.end('closing')
        admin.close()
      }).listen(0, '127.0.0.1')
      createServer(handler).listen(0, '127.0.0.1', () => {})
    `,
    })
    const server = await startServer(t, 'app.js', { cwd, bind: false })
    const [admin, app] = await server.logTimes(/^Listening at/, 2).then(() => server.urls)
    expect((await request(admin!, '/')).text).toBe('closing')
    await until('the port is free', () =>
      request(admin!, '/').then(
        () => false,
        (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
      ),
    )
    expect((await request(app!, '/')).text).toBe('hello')
  },
)

test.concurrent('a reload frees the port that the new code does not listen on', async (t) => {
  const code = (ports: number): string => `
    const { createServer } = require('node:http')
    const { handler } = require('${fixtures}/routes.js')
    for (let n = 0; n < ${ports}; n++) createServer(handler).listen(0, '127.0.0.1')
  `
  const cwd = tempDir(t, { 'app.js': code(2) })
  const server = await startServer(t, 'app.js', '--workers', '2', { cwd, bind: false })
  const [first, second] = await server.logTimes(/^Listening at/, 2).then(() => server.urls)
  writeFileSync(join(cwd, 'app.js'), code(1))
  await replaced['after a reload']!(server)
  expect((await request(first!, '/')).text).toBe('hello')
  await expect(request(second!, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

describe.concurrent('--sockets cluster', () => {
  test('serves, survives the death of a worker, reloads and stops', async (t) => {
    const flags = ['--sockets', 'cluster', '--workers', '2', '--drain-idle', '0.3']
    const server = await startServer(t, 'hello-export.js', ...flags)
    const { url } = server
    server.expectLog(/was ended by SIGKILL/)
    process.kill(server.pids()[0]!, 'SIGKILL')
    expect((await server.get('/')).text, 'by the other one').toBe('hello')
    await server.logTimes(/^Worker ready/, 3)
    await replaced['after a reload']!(server)
    expect(server.urls).toEqual([url])
    expect((await server.get('/')).text).toBe('hello')
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
  })

  test('serves unix sockets, IPv6 and two ports as well', async (t) => {
    const bind = `unix:${socketPath(t)}`
    const flags = [
      '--sockets',
      'cluster',
      '--workers',
      '2',
      '--bind',
      '[::1]:0',
      '--bind',
      '127.0.0.1:0',
    ]
    const server = await startServer(t, 'hello-export.js', ...flags, { bind })
    expect(server.urls).toHaveLength(3)
    for (const url of server.urls) expect((await request(url, '/')).text).toBe('hello')
  })
})
