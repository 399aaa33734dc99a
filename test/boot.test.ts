// From the command to "Server is ready", or to an end that says why: with the app's own error, at once, leaving nothing.
import net from 'node:net'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { childrenOf, isAlive } from './helpers/process.ts'
import { fixtures, spawnServer, startServer, type Server } from './helpers/server.ts'
import { tempDir } from './helpers/temp.ts'
import { until } from './helpers/until.ts'
import { slotsBooted } from './helpers/workers.ts'

describe.each(['owned', 'cluster'])('a start (sockets: %s)', (sockets) => {
  const flags = ['--sockets', sockets]

  test('boots exactly the workers that were asked for, and says when all of them are ready', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '3', ...flags)
    expect(slotsBooted(server)).toEqual([0, 1, 2])
    expect(server.pids()).toHaveLength(3)
    expect(childrenOf(server.pid).sort()).toEqual(server.pids().sort())
    const ready = await server.log(/^Server is ready: 3 workers \(pid \d+, \d+, \d+\) after/)
    expect(ready['workers']).toHaveLength(3)
    const order = server.lines.map(({ event }) => event)
    expect(order.lastIndexOf('workerReady')).toBeLessThan(order.indexOf('serverReady'))
  })

  test('on an address that another process has ends with exit 1 and names it', async (t) => {
    const other = net.createServer().listen(0, '127.0.0.1')
    t.onTestFinished(() => void other.close())
    await until('the other server listens', () => other.listening)
    const { port } = other.address() as net.AddressInfo
    for (const workers of ['1', '4']) {
      const bind = `127.0.0.1:${port}`
      const server = spawnServer(t, 'hello.js', '--workers', workers, ...flags, { bind })
      server.expectLog(/./)
      const exit = await server.exit()
      expect(criticalOf(server)).toMatch(
        new RegExp(`^Connection in use: .*127\\.0\\.0\\.1:${port}.*EADDRINUSE`),
      )
      expect(exit.code).toBe(1)
    }
  })
})

interface Failing {
  readonly app: string
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly exit: number
  /** The app's own words on stderr, which must be there exactly once. */
  readonly stderr?: RegExp
  /** The number of workers makes no difference, as another row shows: tried with one only. */
  readonly alone?: true
  /** What the one critical line of the log says. */
  readonly says: RegExp
}

const exits = (code: number): Failing => ({
  ...(code > 0 ? { alone: true } : {}),
  app: 'exits-at-boot.js',
  env: { EXIT_CODE: String(code) },
  exit: 3,
  stderr: /the app ends itself/g,
  says: new RegExp(`exited with code ${code}\\b`),
})

const failing: Record<string, Failing> = {
  throws: {
    app: 'throw-at-boot.js',
    exit: 3,
    stderr: /Error: thrown while the app was loaded/g,
    says: /failed to boot|thrown/,
  },
  'throws in an ES module': {
    alone: true,
    app: 'throw-at-boot.mjs',
    exit: 3,
    stderr: /Error: thrown while the app was loaded/g,
    says: /failed to boot|thrown/,
  },
  'throws in all workers at the same moment': {
    app: 'throws-together.js',
    exit: 3,
    stderr: /Error: thrown by all at once/g,
    says: /failed to boot|thrown/,
  },
  'leaves a rejection unhandled': {
    alone: true,
    app: 'reject-at-boot.js',
    exit: 3,
    stderr: /Error: rejected while the app was loaded/g,
    says: /failed to boot|rejected/,
  },
  'has a syntax error': {
    app: 'broken/syntax-error.js',
    exit: 3,
    stderr: /SyntaxError: /g,
    says: /failed to boot|SyntaxError/,
  },
  'exits with 0': exits(0),
  'exits with 1': exits(1),
  'exits with 3, which is a status of ours': exits(3),
  'exits with 4, which is a status of ours': exits(4),
  'exits with 5': exits(5),
  'lacks the export': { app: 'named-exports.js:nope', exit: 4, says: /no export "nope"/ },
  'does not exist': { app: 'no-such-app.js', exit: 4, says: /no-such-app\.js/ },
  'blocks for ever': {
    app: 'hang-at-boot.js',
    flags: ['--boot-timeout', '1'],
    exit: 3,
    says: /not ready within 1 s \(--boot-timeout\)/,
  },
  'never listens': {
    alone: true,
    app: 'never-listen.js',
    flags: ['--boot-timeout', '1'],
    exit: 3,
    says: /not ready within 1 s \(--boot-timeout\)/,
  },
}

describe.each(['1', '4'])(
  'an app that fails at the first boot of %s worker(s) ends the start:',
  { concurrent: true },
  (workers) => {
    for (const [what, failure] of Object.entries(failing)) {
      const { app, flags = [], env = {}, exit: status, stderr, says } = failure
      if (failure.alone && workers !== '1') continue
      test(`when it ${what} (exit ${status})`, async (t) => {
        const server = spawnServer(t, app, '--workers', workers, ...flags, { env })
        server.expectLog(/./)
        const exit = await server.exit()
        expect(exit.code).toBe(status)
        const told = [server.stderr, ...server.lines.map(({ msg }) => msg)].join('\n')
        expect(told).toMatch(says)
        if (stderr) expect(server.stderr.match(stderr), 'its own error, once').toHaveLength(1)
        expect(server.lines.filter(({ event }) => event === 'serverReady')).toEqual([])
        expect(server.lines.filter(({ level }) => level === 'critical').length).toBeLessThanOrEqual(
          1,
        )
        expect(server.allPids().filter(isAlive), 'nothing is left running').toEqual([])
      })
    }
  },
)

describe.each(['1', '4'])('a failed start of %s worker(s) ends', (workers) => {
  test('within a second of the failure', async (t) => {
    const server = spawnServer(t, 'throw-at-boot.js', '--workers', workers)
    server.expectLog(/./)
    await until('the app failed', () => server.stderr.includes('thrown while'))
    const failedAt = performance.now()
    await server.exit()
    expect(performance.now() - failedAt).toBeLessThan(1_000)
  })

  test('within a second of --boot-timeout, when the app hangs', async (t) => {
    const server = spawnServer(t, 'hang-at-boot.js', '--workers', workers, '--boot-timeout', '0.5')
    server.expectLog(/./)
    await server.log(/was not ready within 0.5 s \(--boot-timeout\): killing it/)
    const failedAt = performance.now()
    await server.exit()
    expect(performance.now() - failedAt).toBeLessThan(1_000)
  })
})

const criticalOf = (server: Server): string =>
  server.lines.find(({ level }) => level === 'critical')?.msg ?? server.stderr

test.concurrent(
  'when one worker is ready, another that fails to boot does not end the server: it is started again',
  async (t) => {
    const dir = tempDir(t)
    const server = spawnServer(t, 'fails-by-file.js', '--workers', '2', {
      env: { CONTROL_DIR: dir },
    })
    await server.log(/^Worker ready/)
    server.expectLog(/failed to boot/)
    writeFileSync(join(dir, 'broken'), '')
    writeFileSync(join(dir, 'go'), '')
    const failed = await server.log(/^Worker \(pid:\d+\) failed to boot/)
    expect(failed).toMatchObject({ slot: 1 })
    expect(String(failed['stderr'])).toContain('slot 1 is broken')
    expect((await server.get('/slot')).text).toBe('0')
    rmSync(join(dir, 'broken'))
    await server.log(/^Server is ready: 2 workers/)
  },
)

test.concurrent(
  'a successor that hangs at boot is killed at --boot-timeout, and tried again after a pause',
  async (t) => {
    const cwd = tempDir(t, {
      'app.js': `
      if (require('node:fs').existsSync('hang')) setInterval(() => {}, 1000)
      else require('${fixtures}/hello.js')
    `,
    })
    const flags = ['--boot-timeout', '4', '--stable-after', '60']
    const server = await startServer(t, 'app.js', ...flags, { cwd })
    server.expectLog(/was ended by SIGKILL/, /was not ready within 4 s/, /failed to boot/)
    writeFileSync(join(cwd, 'hang'), '')
    process.kill(server.pids()[0]!, 'SIGKILL')
    await server.logTimes(/^Booting worker/, 2)
    const waiting = server.get('/')
    await server.log(/was not ready within 4 s \(--boot-timeout\): killing it/)
    rmSync(join(cwd, 'hang'))
    await server.log(/^Worker slot 0 ended 2 times in a row; starting it again in 1 s/)
    expect((await waiting).text, 'it waited in the queue').toBe('hello')
    expect(server.pids()).toHaveLength(1)
  },
)

test.concurrent(
  'a worker that is silent for 5 seconds of its boot is worth a warning, once',
  async (t) => {
    const server = spawnServer(t, 'boots-slowly.js', { env: { BOOT_MS: '5500' } })
    const warning = await server.log(
      /has neither called listen\(\) nor exported an application for 5 s; still waiting/,
    )
    expect(warning.level).toBe('warning')
    await server.log(/^Server is ready/)
    expect(server.lines.filter(({ event }) => event === 'stillBooting')).toHaveLength(1)
  },
)

test.concurrent(
  'with --preload, an app that cannot load ends the start before any worker is booted',
  async (t) => {
    const server = spawnServer(t, 'throw-at-boot.js', '--preload')
    server.expectLog(/./)
    expect(await server.exit()).toMatchObject({ code: 3 })
    expect(server.stderr.match(/^Error: thrown while the app was loaded/gm)).toHaveLength(1)
    expect(slotsBooted(server)).toEqual([])
  },
)

test.concurrent(
  'the app is loaded once by each worker, and once more with --preload',
  async (t) => {
    const files = {
      'app.js': `console.log('loaded'); module.exports = (req, res) => res.end('hello')`,
    }
    for (const [flags, times] of [
      [[], 2],
      [['--preload'], 3],
    ] as const) {
      const cwd = tempDir(t, files)
      const server = await startServer(t, 'app.js', '--workers', '2', ...flags, { cwd })
      expect(server.output.filter((line) => line === 'loaded')).toHaveLength(times)
    }
  },
)
