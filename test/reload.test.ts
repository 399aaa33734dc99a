// SIGHUP: new workers before the old ones leave, new settings, nobody's request lost; and a new version that is broken
// never takes the place of one that serves.
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { RawClient, request } from './helpers/client.ts'
import { startLoad } from './helpers/load.ts'
import { isAlive } from './helpers/process.ts'
import { fixtures, spawnServer, startServer, type Server } from './helpers/server.ts'
import { socketPath, tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'
import { clientOfEach, extremes, slotsBooted } from './helpers/workers.ts'

const listening = `
const { createServer } = require('node:http')
const { handler, host, port } = require('${fixtures}/routes.js')
createServer((req, res) => {
  if (req.url === '/version') return res.end(VERSION)
  handler(req, res)
}).listen(port, host)
`

/** An app whose code changes: `deploy` writes its next version. */
function deployable(t: Teardown): {
  cwd: string
  deploy: (version: string, code?: string) => void
} {
  const cwd = tempDir(t)
  const deploy = (version: string, code = listening): void =>
    writeFileSync(join(cwd, 'app.js'), `const VERSION = '${version}'\n${code}`)
  deploy('one')
  return { cwd, deploy }
}

/** Sends SIGHUP and waits for the end of the reload. */
async function reload(server: Server): Promise<void> {
  const from = server.lines.length
  server.signal('SIGHUP')
  await server.log(/^Reload finished after/, { from })
}

describe.each(['owned', 'cluster'])('SIGHUP (sockets: %s)', { concurrent: true }, (sockets) => {
  const flags = ['--sockets', sockets, '--workers', '2', '--drain-idle', '0.3']

  test('brings the new code, each new worker being ready before its predecessor leaves', async (t) => {
    const { cwd, deploy } = deployable(t)
    const server = await startServer(t, 'app.js', ...flags, { cwd })
    const old = server.pids()
    deploy('two')
    await reload(server)
    expect((await server.get('/version')).text).toBe('two')
    await until('the old ones are gone', () => old.filter(isAlive).length === 0)
    expect(slotsBooted(server)).toEqual([0, 1, 0, 1])
    expect(extremes(server.lines)).toEqual({ fewestReady: 2, mostAlive: 3 })
    expect(server.lines.filter(({ event }) => event === 'workerExited')).toHaveLength(2)
  })

  test('three times under load loses no request: kept-alive, new connections, POST bodies', async (t) => {
    // a client that was just answered has so long for its next request, on a machine that is busy with this very test
    const server = await startServer(t, 'hello.js', ...flags, '--drain-idle', '3')
    const load = startLoad(t, server.url, { keepAlive: 8, newConnections: 8 })
    const posts = startLoad(t, server.url, {
      keepAlive: 2,
      newConnections: 2,
      path: '/echo',
      body: 'x'.repeat(16_384),
    })
    await load.everyoneServed()
    for (let round = 0; round < 3; round++) {
      await reload(server)
      await Promise.all([load.everyoneServed(), posts.everyoneServed()])
    }
    await Promise.all([load.stop(), posts.stop()])
    expect([...load.failures, ...posts.failures]).toEqual([])
    expect(load.counts.ok).toBeGreaterThan(100)
    expect(slotsBooted(server)).toHaveLength(8)
  })

  test('lets a request in flight finish on the old worker', async (t) => {
    const { cwd, deploy } = deployable(t)
    const server = await startServer(t, 'app.js', ...flags, { cwd })
    const slow = server.get('/slow?ms=2500')
    await server.prints(/request started/)
    deploy('two')
    server.signal('SIGHUP')
    await until('the new code serves', async () => (await server.get('/version')).text === 'two')
    expect((await slow).text).toBe('done')
    await server.log(/^Reload finished/)
  })

  test('several times in a row is one or two reloads, and ends with the right workers', async (t) => {
    const { cwd, deploy } = deployable(t)
    const server = await startServer(t, 'app.js', ...flags, { cwd })
    const old = server.pids()
    for (let n = 0; n < 5; n++) server.signal('SIGHUP')
    await server.log(/^Hang up: Master/)
    deploy('two')
    server.signal('SIGHUP')
    await until('the reloads are over', async () => {
      const reloads = server.lines.filter(({ event }) => event === 'reloading').length
      const ends = server.lines.filter(({ event }) => event === 'reloaded').length
      return (
        reloads > 0 && ends > 0 && server.pids().length === 2 && (await isVersion(server, 'two'))
      )
    })
    expect(old.filter(isAlive)).toEqual([])
    // a signal that comes while the new workers boot starts them anew: the code may have changed since
    expect(server.lines.filter(({ event }) => event === 'reloaded').length).toBeLessThan(4)
    expect(extremes(server.lines).fewestReady).toBe(2)
    expect(extremes(server.lines).mostAlive).toBeLessThanOrEqual(3)
  })

  test('is not held up by an old worker that is stuck: it is killed at --graceful-timeout', async (t) => {
    const server = await startServer(t, 'hello.js', ...flags, '--graceful-timeout', '1')
    const stuck = server.get('/never').catch((error: NodeJS.ErrnoException) => error.code)
    await until('it is in flight', async () => (await server.get('/')).status === 200)
    server.expectLog(/was sent SIGKILL: it had not finished within 1 s/)
    const began = performance.now()
    await reload(server)
    expect(performance.now() - began).toBeLessThan(6_000)
    expect(await stuck).toBe('ECONNRESET')
    server.signal('SIGTERM')
    expect(await server.exit(), 'the stop itself was clean').toMatchObject({ code: 0 })
  })

  test('and SIGTERM in the middle of it: a clean end, nothing is left', async (t) => {
    const server = await startServer(t, 'boots-slowly.js', ...flags, { env: { BOOT_MS: '400' } })
    server.signal('SIGHUP')
    await server.logTimes(/^Booting worker/, 3)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(server.allPids().filter(isAlive)).toEqual([])
  })
})

const isVersion = async (server: Server, version: string): Promise<boolean> => {
  const answers = await Promise.all(Array.from({ length: 6 }, () => server.get('/version')))
  return answers.every(({ text }) => text === version)
}

const broken: Record<string, { code: string; says: RegExp; flags?: readonly string[] }> = {
  throws: {
    code: `throw new Error('version two is broken')`,
    says: /Error: version two is broken$/,
  },
  'exits with 0': { code: 'process.exit(0)', says: /exited with code 0/ },
  'comes to its end and never listened': {
    code: `console.log('a job, not a server')`,
    says: /app\.js ended without listening and without exporting an app/,
  },
  'has a syntax error': { code: 'const = 1', says: /SyntaxError/ },
  'listens nowhere': {
    code: 'setInterval(() => {}, 1000)',
    flags: ['--boot-timeout', '4'],
    says: /was not ready within 4 s \(--boot-timeout\)/,
  },
  'blocks for ever': {
    code: 'for (;;);',
    flags: ['--boot-timeout', '4'],
    says: /was not ready within 4 s \(--boot-timeout\)/,
  },
  'exports something else': {
    code: 'module.exports = { port: 80 }',
    says: /an object with the keys port/,
  },
  'throws, with --preload': {
    code: `throw new Error('version two is broken')`,
    flags: ['--preload'],
    says: /Error: version two is broken$/,
  },
}

describe('a new version that', { concurrent: true }, () => {
  for (const [what, { code, says, flags = [] }] of Object.entries(broken)) {
    test(`${what} leaves the old workers in place; a good one then comes in`, async (t) => {
      const { cwd, deploy } = deployable(t)
      const server = await startServer(t, 'app.js', '--workers', '2', ...flags, { cwd })
      const old = server.pids()
      const load = startLoad(t, server.url, { keepAlive: 1, newConnections: 1, pause: 20 })
      deploy('two', code)
      server.expectLog(/^Reload failed/, /was not ready within/)
      server.signal('SIGHUP')
      const failed = await server.log(/^Reload failed, the old workers go on: /)
      expect(failed.msg).toMatch(says)
      await until('the new one is gone', () => server.pids().length === 2)
      expect(server.pids()).toEqual(old)
      expect((await server.get('/version')).text).toBe('one')
      deploy('three')
      await reload(server)
      expect(await isVersion(server, 'three')).toBe(true)
      await load.stop()
      expect(load.failures).toEqual([])
    })
  }
})

test.concurrent(
  'a reload that fails tries once, and does not come back to it by itself',
  async (t) => {
    const { cwd, deploy } = deployable(t)
    const server = await startServer(t, 'app.js', '--workers', '3', { cwd })
    deploy('two', `throw new Error('version two is broken')`)
    server.expectLog(/^Reload failed/)
    server.signal('SIGHUP')
    await server.log(/^Reload failed/)
    await until('the canary is gone', () => server.pids().length === 3)
    expect(slotsBooted(server), 'one canary').toHaveLength(4)
    expect(server.lines.filter(({ event }) => event === 'bootFailed')).toEqual([])
  },
)

describe.concurrent('the settings file', () => {
  const setUp = (t: Teardown): { cwd: string; write: (settings: object | string) => void } => {
    const cwd = tempDir(t)
    const write = (settings: object | string): void =>
      writeFileSync(
        join(cwd, 'supervisor.config.json'),
        typeof settings === 'string' ? settings : JSON.stringify(settings),
      )
    return { cwd, write }
  }
  const app = join(fixtures, 'hello.js')

  test('is read again: workers, their environment, their limits and the log level', async (t) => {
    const { cwd, write } = setUp(t)
    write({ workers: 1, env: { COLOUR: 'red' } })
    const server = await startServer(t, app, { cwd })
    expect((await server.get('/env?name=COLOUR')).text).toBe('red')
    write({ workers: 3, env: { COLOUR: 'blue' }, limitRequestLine: 30, logLevel: 'debug' })
    await reload(server)
    await until('three workers serve', () => server.pids().length === 3)
    for (const client of await clientOfEach(t, server, 3))
      expect((await client.get('/env?name=COLOUR')).text).toBe('blue')
    expect((await server.get(`/${'x'.repeat(30)}`)).status).toBe(414)
    write({ workers: 2, logLevel: 'error' })
    const from = server.lines.length
    server.signal('SIGHUP')
    await until('two workers are left', () => server.pids().length === 2)
    const told = server.lines.slice(from).map(({ event }) => event)
    expect(told).not.toContain('workerExited')
  })

  test('moves the log: the next line is in the new file, and none is lost', async (t) => {
    const { cwd, write } = setUp(t)
    write({ logFile: 'one.log', accessLog: 'one.access' })
    const textOf = (file: string): string => readFileSync(join(cwd, file), 'utf8')
    const bind = `unix:${socketPath(t)}`
    const server = spawnServer(t, join(fixtures, 'hello-export.js'), { cwd, bind })
    await until('it serves', () => request(bind, '/').then(Boolean, () => false))
    const master = Number(/"pid":(\d+)/.exec(textOf('one.log'))?.[1])
    write({ logFile: 'two.log', accessLog: 'two.access' })
    process.kill(master, 'SIGHUP')
    await until('it says so in the new file', () => {
      const found = existsSync(join(cwd, 'two.log')) && textOf('two.log')
      return found && found.includes('Reload finished')
    })
    expect(textOf('one.log')).toContain('Handling signal: hup')
    expect(textOf('one.log') + textOf('two.log')).toContain('Hang up: Master')
    expect(textOf('one.log')).not.toContain('Reload finished')
    expect((await request(bind, '/after')).status).toBe(404)
    await until('the access log is the new one too', () => textOf('two.access').includes('/after'))
    write({ logFile: 'no/such/place.log' })
    process.kill(master, 'SIGHUP')
    await until('it is refused', () => textOf('two.log').includes('cannot write the log file'))
    expect((await request(bind, '/')).text).toBe('hello')
    process.kill(master, 'SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(textOf('two.log')).toContain('Stopped after')
  })

  test('gives another timeout to requests that come from then on', async (t) => {
    const { cwd, write } = setUp(t)
    write({ timeout: 60 })
    const server = await startServer(t, app, { cwd })
    write({ timeout: 0.3 })
    await reload(server)
    server.expectLog(/^REQUEST TIMEOUT/)
    expect((await server.get('/never')).status).toBe(504)
  })

  test('moves an exported app to another address, and closes the old one', async (t) => {
    const { cwd, write } = setUp(t)
    const [first, second] = [socketPath(t), socketPath(t)]
    write({ bind: `unix:${first}` })
    const options = { cwd, bind: false as const }
    const server = await startServer(t, join(fixtures, 'hello-export.js'), options)
    const load = startLoad(t, `unix:${first}`, { keepAlive: 2, newConnections: 0 })
    await load.everyoneServed()
    write({ bind: [`unix:${first}`, `unix:${second}`] })
    await reload(server)
    await load.everyoneServed()
    await load.stop()
    expect(load.failures, 'an address that stays loses nothing').toEqual([])
    write({ bind: `unix:${second}` })
    await reload(server)
    expect((await request(`unix:${second}`, '/')).text).toBe('hello')
    await expect(request(`unix:${first}`, '/')).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('with an address that another process has is taken back', async (t) => {
    const { cwd, write } = setUp(t)
    const other = createServer().listen(0, '127.0.0.1')
    t.onTestFinished(() => void other.close())
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    write({ bind: `unix:${socketPath(t)}` })
    const options = { cwd, bind: false as const }
    const server = await startServer(t, join(fixtures, 'hello-export.js'), options)
    const old = server.pids()
    write({ bind: `127.0.0.1:${port}` })
    server.expectLog(/^Reload failed/)
    server.signal('SIGHUP')
    const failed = await server.log(/^Reload failed/)
    expect(failed.msg).toContain(`Connection in use: cannot listen on 127.0.0.1:${port}`)
    await until('the new one is gone', () => server.pids().length === 1)
    expect(server.pids()).toEqual(old)
    expect((await server.get('/')).text).toBe('hello')
  })

  test('with a mistake in it is refused: the old settings and workers go on', async (t) => {
    const { cwd, write } = setUp(t)
    write({ workers: 2 })
    const server = await startServer(t, app, { cwd })
    const old = server.pids()
    server.expectLog(/^Reload failed/)
    for (const mistake of [{ workers: 0 }, { wrokers: 3 }, '{ "workers": ']) {
      const from = server.lines.length
      write(mistake)
      server.signal('SIGHUP')
      const { msg } = await server.log(/^Reload failed/, { from })
      expect(msg).toContain('supervisor.config.json')
    }
    expect(server.pids()).toEqual(old)
    expect((await server.get('/')).text).toBe('hello')
    write({ workers: 1 })
    await reload(server)
    await until('one worker is left', () => server.pids().length === 1)
  })

  test('as it is at a SIGHUP during the boot is in force afterwards', async (t) => {
    const { cwd, write } = setUp(t)
    write({ env: { COLOUR: 'red', BOOT_MS: '1000' } })
    const server = spawnServer(t, join(fixtures, 'boots-slowly.js'), { cwd })
    await server.log(/^Booting worker/)
    write({ env: { COLOUR: 'blue', BOOT_MS: '100' } })
    server.signal('SIGHUP')
    await server.log(/^Server is ready/)
    await until(
      'the new settings are in force',
      async () => (await server.get('/env?name=COLOUR')).text === 'blue',
      5_000,
    )
    expect(server.pids().length).toBeLessThanOrEqual(2)
  })
})

test.concurrent(
  'an idle kept-alive connection that is not handed over may speak once more to its old worker',
  async (t) => {
    const server = await startServer(t, 'hello.js', '--drain-idle', '10', '--no-handover')
    const [client] = await clientOfEach(t, server, 1)
    server.signal('SIGHUP')
    await server.log(/^Worker exiting/)
    const answer = await client!.get('/pid')
    expect(answer.text).toBe(String(client!.pid))
    expect(answer.headers.connection).toBe('close')
    expect((await client!.get('/pid')).text, 'and then reaches the new one').not.toBe(answer.text)
  },
)

test.concurrent('a client that is slow with its request is waited for', async (t) => {
  const server = await startServer(t, 'hello.js', '--drain-idle', '0.2')
  const client = await RawClient.connect(server.url)
  client.send('GET /pid HTTP/1.1\r\nHo')
  await until('the worker has read it', async () => (await server.get('/')).status === 200)
  server.signal('SIGHUP')
  await server.log(/^Worker exiting/)
  await until(
    'a new worker serves',
    () => server.lines.filter(({ event }) => event === 'workerReady').length === 2,
  )
  client.send('st: a\r\n\r\n')
  await client.receives(/^HTTP\/1\.1 200 OK[^]*\d+$/)
  client.destroy()
})

describe('a deploy that moves a link', { concurrent: true }, () => {
  /** releases/one and releases/two, each with an app and settings of its own; `current` leads to the first. */
  const setUp = (t: Teardown): { root: string; current: string; deploy: () => void } => {
    const root = tempDir(t)
    const current = join(root, 'current')
    for (const version of ['one', 'two']) {
      const release = join(root, 'releases', version)
      mkdirSync(release, { recursive: true })
      writeFileSync(join(release, 'app.js'), `const VERSION = '${version}'\n${listening}`)
      writeFileSync(join(release, 'package.json'), '{ "main": "app.js" }')
      const settings = { env: { RELEASE: version } }
      writeFileSync(join(release, 'supervisor.config.json'), JSON.stringify(settings))
    }
    symlinkSync('releases/one', current)
    const deploy = (): void => {
      symlinkSync('releases/two', join(root, 'next'))
      renameSync(join(root, 'next'), current)
      rmSync(join(root, 'releases', 'one'), { recursive: true })
    }
    return { root, current, deploy }
  }

  /** Its watchdog thread runs too: no thread can start in a directory that is gone. */
  const startWhole = async (...args: Parameters<typeof startServer>): Promise<Server> => {
    const [t, app, ...rest] = args
    const server = await startServer(t, app, '--log-level', 'debug', ...rest)
    await server.log(/: 0 requests in flight/)
    return server
  }

  const isTheNewOne = async (server: Server, current: string): Promise<void> => {
    expect((await server.get('/version')).text).toBe('two')
    const { cwd } = (await server.get('/cluster')).json<{ cwd: string }>()
    expect(cwd).toBe(realpathSync(current))
  }

  for (const [what, word] of [
    ['named', 'app.js'],
    ['of the package', '.'],
  ] as const) {
    test(`is found by a reload from the shell's working directory, the app being ${what}`, async (t) => {
      const { current, deploy } = setUp(t)
      const server = await startWhole(t, word, { cwd: current, env: { PWD: current } })
      expect((await server.get('/version')).text).toBe('one')
      deploy()
      await reload(server)
      await isTheNewOne(server, current)
      expect((await server.get('/env?name=RELEASE')).text, 'its settings too').toBe('two')
    })
  }

  test('is found by a reload with --chdir, relative or not', async (t) => {
    const { root, current, deploy } = setUp(t)
    const relative = await startWhole(t, 'app.js', '--chdir', 'current', { cwd: root })
    const absolute = await startWhole(t, 'app.js', '--chdir', current, { cwd: root })
    deploy()
    for (const server of [relative, absolute]) {
      await reload(server)
      await isTheNewOne(server, current)
    }
  })

  test('is found by the successor of a worker that crashed', async (t) => {
    const { current, deploy } = setUp(t)
    const server = await startWhole(t, 'app.js', { cwd: current, env: { PWD: current } })
    server.expectLog(/was ended by SIGKILL/)
    deploy()
    process.kill(server.pids()[0]!, 'SIGKILL')
    await server.logTimes(/^Worker ready/, 2)
    await isTheNewOne(server, current)
  })

  test("is no matter where PWD is somebody else's", async (t) => {
    const { root, current } = setUp(t)
    const server = await startServer(t, 'app.js', { cwd: current, env: { PWD: root } })
    const { cwd } = (await server.get('/cluster')).json<{ cwd: string }>()
    expect(cwd).toBe(realpathSync(current))
  })
})
