// The access log of real servers: no answer without its line, whatever happens to the file, the workers and the reader.
import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
} from 'node:fs'
import http from 'node:http'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { RawClient, request } from './helpers/client.ts'
import { startLoad } from './helpers/load.ts'
import { bareEnvironment, fixtures, startServer, type Server } from './helpers/server.ts'
import { socketPath, tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

type Line = Record<string, unknown>

/** Each of them must be whole. */
const linesOf = (...files: string[]): Line[] =>
  files
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line)

const filesIn = (dir: string): string[] => readdirSync(dir).map((name) => join(dir, name))

const stop = async (server: Server): Promise<void> => {
  server.signal('SIGTERM')
  expect(await server.exit()).toMatchObject({ code: 0 })
}

describe('lines', () => {
  test('are neither lost nor torn, over reloads, recycled workers and rotations under load', async (t) => {
    const dir = tempDir(t)
    const file = join(dir, 'access')
    const flags = ['--workers', '2', '--access-logfile', file, '--max-requests', '200']
    const server = await startServer(t, 'hello.js', ...flags)
    const load = startLoad(t, server.url, { keepAlive: 4, newConnections: 4 })
    for (let n = 1; n <= 5; n++) {
      server.signal('SIGHUP')
      for (let k = 0; k < 4; k++) {
        // as logrotate does without copytruncate
        renameSync(file, join(dir, `access.${n}.${k}`))
        await until('the next file is there', () => readdirSync(dir).includes('access'))
      }
      await server.logTimes(/^Reload finished/, n)
    }
    await load.everyoneServed()
    const { ok, ...bad } = await load.stop()
    expect(bad).toEqual({ refused: 0, reset: 0, hung: 0, other: 0 })
    await stop(server)
    const lines = linesOf(...filesIn(dir))
    expect(lines).toHaveLength(ok)
    expect(new Set(lines.map(({ id }) => id)).size).toBe(ok)
    expect(new Set(lines.map(({ pid }) => pid)).size).toBeGreaterThan(4)
    expect(readdirSync(dir)).toHaveLength(21)
  })

  test('begin anew in a file that was truncated in its place', async (t) => {
    const file = join(tempDir(t), 'access')
    const server = await startServer(t, 'hello.js', '--access-log', file)
    await server.get('/?n=1')
    await until('the first line', () => linesOf(file).length === 1)
    truncateSync(file)
    await server.get('/?n=2')
    await until('the second line', () => linesOf(file).length === 1)
    expect(linesOf(file)).toMatchObject([{ url: '/?n=2' }])
  })

  test('are there when the application ends its process, the unanswered request too', async (t) => {
    const file = join(tempDir(t), 'access')
    const server = await startServer(t, 'hello.js', '--access-log', file)
    server.expectLog(/exited with code 3/)
    for (let n = 0; n < 5; n++) await server.get(`/?n=${n}`)
    await expect(server.get('/exit?code=3')).rejects.toThrow()
    await server.log(/exited with code 3/)
    expect(linesOf(file).map(({ url, outcome, status }) => [url, outcome, status])).toEqual([
      ...Array.from({ length: 5 }, (_, n) => [`/?n=${n}`, 'ok', 200]),
      ['/exit?code=3', 'aborted', 499],
    ])
  })

  test('of several workers are whole in one pipe, however long', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2', '--access-log', '-')
    const long = ['short', 'x'.repeat(3_000), '\xe9'.repeat(6_000)]
    const send = (n: number): Promise<unknown> =>
      server.get(`/?n=${n}`, { headers: { 'user-agent': long[n % 3] } })
    for (let round = 0; round < 10; round++)
      await Promise.all(Array.from({ length: 30 }, (_, n) => send(round * 30 + n)))
    await stop(server)
    const lines = server.lines.filter(({ event }) => event === 'request')
    expect(lines).toHaveLength(300)
    expect(lines.map(({ url }) => url).sort()).toEqual(
      Array.from({ length: 300 }, (_, n) => `/?n=${n}`).sort(),
    )
    expect(server.output).toEqual([])
  })

  test('do not keep an app from booting whose packages are links, as in a workspace', async (t) => {
    const dir = tempDir(t, {
      'app/app.mjs': "import hello from 'linked'\nexport default (req, res) => res.end(hello)\n",
      'app/supervisor.config.mjs': 'export default { preload: () => 1 }', // comes by a pipe as well
      'packages/linked/index.mjs': "import hello from 'beside'\nexport default hello\n",
      'packages/linked/package.json': '{ "name": "linked", "exports": "./index.mjs" }',
      'packages/node_modules/beside/index.mjs': "export default 'hello from beside it'\n",
      'packages/node_modules/beside/package.json': '{ "exports": "./index.mjs" }',
    })
    mkdirSync(join(dir, 'app/node_modules'))
    symlinkSync('../../packages/linked', join(dir, 'app/node_modules/linked'))
    const server = await startServer(t, 'app.mjs', '--access-log', '-', { cwd: join(dir, 'app') })
    expect((await server.get('/')).text).toBe('hello from beside it')
  })

  test('go to the new file at once when the logs are reopened, and so does the log', async (t) => {
    const dir = tempDir(t)
    const program = spawn(process.execPath, ['--input-type=module', '-e', REOPENS], {
      cwd: fixtures,
      env: { ...bareEnvironment(), DIR: dir },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    t.onTestFinished(() => void program.kill())
    const said: string[] = []
    createInterface({ input: program.stdout }).on('line', (line) => said.push(line))
    const url = await until('it is ready', () => said.find((line) => line.startsWith('http')))
    const access = join(dir, 'access')
    await request(url, '/?n=1')
    await until('the first line', () => linesOf(access).length === 1)
    for (const name of ['access', 'log']) renameSync(join(dir, name), join(dir, `${name}.1`))
    program.stdin.write('reopen\n')
    await until('both are there', () => readdirSync(dir).length === 4)
    await request(url, '/?n=2')
    await until('the second line', () => linesOf(access).length === 1)
    program.stdin.end('stop\n')
    await until('it ended', () => program.exitCode !== null)
    expect(linesOf(`${access}.1`, access).map(({ url }) => url)).toEqual(['/?n=1', '/?n=2'])
    expect(linesOf(join(dir, 'log.1')).map(({ event }) => event)).toContain('serverReady')
    expect(linesOf(join(dir, 'log')).map(({ event }) => event)).toContain('stopped')
  })
})

const REOPENS = `
  import { supervise } from ${JSON.stringify(fileURLToPath(new URL('../dist/index.js', import.meta.url)))}
  const [accessLog, logFile] = ['access', 'log'].map((name) => process.env.DIR + '/' + name)
  const server = await supervise('hello.js', { accessLog, logFile, logFormat: 'json' })
  console.log(server.urls()[0])
  process.stdin.on('data', (text) => String(text).includes('reopen') ? server.reopen() : server.stop())
  await server.finished
  process.exit(0)`

describe('what cannot be written', () => {
  test('costs no request: a full disk is one warning, and a count at the end', async (t) => {
    const server = await startServer(t, 'hello.js', '--access-log', '/dev/full')
    for (let n = 0; n < 3; n++) expect((await server.get('/')).status).toBe(200)
    const told = await server.log(
      /^The access log \/dev\/full cannot be written \(pid:\d+\): ENOSPC/,
    )
    expect(told.level).toBe('warning')
    expect((await server.get('/')).status).toBe(200)
    await stop(server)
    expect(server.lines.filter(({ event }) => event === 'accessLogFails')).toHaveLength(1)
    await server.log(/^Access log \/dev\/full: 4 lines could not be written/)
  })

  test('costs no request: a reader that does not read gets what there is room for, and a count', async (t) => {
    const dir = tempDir(t)
    const fifo = join(dir, 'fifo')
    execFileSync('mkfifo', [fifo])
    const reader = openSync(fifo, 'r+')
    let isOpen = true
    t.onTestFinished(() => (isOpen ? closeSync(reader) : undefined))
    const server = await startServer(t, 'hello.js', '--access-log', fifo)
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
    t.onTestFinished(() => agent.destroy())
    const headers = { 'user-agent': 'x'.repeat(3_500) }
    const send = async (): Promise<void> =>
      expect((await server.get('/', { agent, headers })).status).toBe(200)
    const isTold = (): boolean => server.lines.some(({ event }) => event === 'accessLogFails')
    let sent = 0
    for (; !isTold() && sent < 4_000; sent += 50)
      await Promise.all(Array.from({ length: 50 }, send))
    expect(sent).toBeLessThan(4_000)
    const output = spawn('cat', [fifo], { stdio: ['ignore', 'pipe', 'inherit'] })
    let lines = 0
    createInterface({ input: output.stdout }).on('line', (line) => {
      JSON.parse(line)
      lines++
    })
    await until('it reads', () => lines > 0)
    closeSync(reader)
    isOpen = false
    const { lines: lost } = await server.log(/^Access log .*: \d+ lines? could not be written/)
    agent.destroy()
    await stop(server)
    await until('all was read', () => output.exitCode !== null)
    expect(lines).toBeGreaterThan(500)
    expect(lines + Number(lost)).toBe(sent)
  })

  test('stops a start: a file in a directory that is not there', async (t) => {
    const file = join(tempDir(t), 'none', 'access')
    await expect(startServer(t, 'hello.js', '--access-log', file)).rejects.toThrow(
      /cannot write the access log .*none\/access \(--access-logfile\): ENOENT/,
    )
  })
})

describe('a line says', () => {
  const seen = (file: string, count: number): Promise<Line[]> =>
    until(`${count} lines`, () => {
      const found = linesOf(file)
      return found.length >= count ? found : undefined
    })

  const start = async (t: Teardown, app: string, ...more: string[]): Promise<[Server, string]> => {
    const file = join(tempDir(t), 'access')
    const routes = {
      '/slow': { concurrency: 1 },
      '/stream': { concurrency: 1, queueTimeout: 0.3 },
    }
    return [await startServer(t, app, '--access-log', file, ...more, { config: { routes } }), file]
  }

  test('how a request ended, and how long it was kept waiting', async (t) => {
    const [server, file] = await start(t, 'fails.js', '--timeout', '3')
    server.expectLog(/^REQUEST TIMEOUT/, /^UNCAUGHT ERROR/)
    const late = server.get('/never', { headers: { 'x-request-id': 'late-1' } })
    const slow = server.get('/slow?ms=1500')
    await server.prints(/request started/)
    const queued = server.get('/slow?ms=1')
    const leaving = await RawClient.connect(server.url)
    leaving.send('GET /stream?chunks=900 HTTP/1.1\r\nHost: a\r\n\r\n')
    await leaving.receives(/chunk/)
    expect((await server.get('/stream?shed')).status).toBe(503)
    leaving.destroy()
    await Promise.all([slow, queued])
    expect((await late).status).toBe(504)
    expect((await server.get('/sync')).status).toBe(500)
    const lines = await seen(file, 6)
    const of = (url: string): Line => lines.find((line) => line['url'] === url)!
    expect(of('/slow?ms=1500')).toMatchObject({ outcome: 'ok', queued: 0, route: '/slow' })
    expect(of('/slow?ms=1')).toMatchObject({ outcome: 'ok', status: 200, bytes: 4 })
    expect(of('/slow?ms=1')['queued']).toBeGreaterThan(0.02)
    expect(of('/stream?shed')).toMatchObject({ outcome: 'shed', status: 503, route: '/stream' })
    expect(of('/stream?shed')['queued']).toBeGreaterThan(0.29)
    expect(of('/never')).toMatchObject({
      outcome: 'timeout',
      status: 504,
      id: 'late-1',
      route: null,
    })
    const aborted = { outcome: 'aborted', status: 200, remote: '127.0.0.1' }
    expect(of('/stream?chunks=900')).toMatchObject(aborted)
    expect(of('/sync')).toMatchObject({ outcome: 'error', status: 500 })
  })

  test('whom trusted proxies name, and nobody else', async (t) => {
    const headers = { 'x-forwarded-for': '1.1.1.1, 203.0.113.9', 'user-agent': 'a"b' }
    const format = '%(h)s %(m)s %({X-Forwarded-For}i)s %({Content-Length}o)s "%(a)s" %(B)s %(slot)s'
    const remotes: [bind: string, trusted: string[], seen: string][] = [
      ['127.0.0.1:0', [], '203.0.113.9'],
      ['127.0.0.1:0', ['--forwarded-allow-ips', '10.0.0.0/8,::1'], '127.0.0.1'],
      ['127.0.0.1:0', ['--forwarded-allow-ips', '*'], '1.1.1.1'],
      [`unix:${socketPath(t)}`, [], '203.0.113.9'],
    ]
    await Promise.all(
      remotes.map(async ([bind, trusted, remote]) => {
        const file = join(tempDir(t), 'access')
        const flags = ['--access-logfile', file, '--access-logformat', format, ...trusted]
        const server = await startServer(t, 'hello-export.js', ...flags, { bind })
        const { text } = await server.get('/pid', { headers })
        await stop(server)
        const bytes = text.length
        expect(readFileSync(file, 'utf8')).toBe(
          `${remote} GET 1.1.1.1, 203.0.113.9 ${bytes} "a\\x22b" ${bytes} 0\n`,
        )
      }),
    )
  })

  test('how much was sent, however that was said', async (t) => {
    const [server, file] = await start(t, 'hello.js')
    await server.get('/')
    await server.get('/', { method: 'HEAD' })
    await server.get('/big?mb=1')
    await server.get('/stream?chunks=3')
    const lines = await seen(file, 4)
    const sizes = new Map(lines.map(({ msg, bytes }) => [msg, bytes]))
    expect(sizes.get('GET / 200')).toBe(5)
    expect(sizes.get('HEAD / 200')).toBe(0)
    expect(sizes.get('GET /big?mb=1 200')).toBe(1024 ** 2)
    const chunked = sizes.get('GET /stream?chunks=3 200')
    expect(chunked, 'three chunks of 8 bytes and their frames').toBeGreaterThanOrEqual(24)
    expect(chunked).toBeLessThan(60)
  })

  test('what is wrong with a format, and where', async (t) => {
    await expect(startServer(t, 'hello.js', '--access-logformat', '%(h)s %(zz)s')).rejects.toThrow(
      /--access-logformat is "%\(h\)s %\(zz\)s"; it must be a format: at character 7, %\(zz\)s is not an atom/,
    )
  })
})
