// When a worker is ready: its check is answered well, or it says so; until then it gets no clients, and whom it is to replace
// goes on.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startLoad } from './helpers/load.ts'
import { isAlive } from './helpers/process.ts'
import { spawnServer, startServer, type Server } from './helpers/server.ts'
import { socketPath, tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'
import { extremes, slotsBooted } from './helpers/workers.ts'

const APP = 'gets-ready.mjs'
const CHECK = ['--ready-check', '/healthz'] as const

/** The file that the app's health route answers with. */
function healthFile(
  t: Teardown,
  status: number,
): { file: string; answer: (status: number) => void } {
  const file = join(tempDir(t), 'health')
  const answer = (now: number): void => writeFileSync(file, String(now))
  answer(status)
  return { file, answer }
}

const clientsTooEarly = (server: Server): string[] =>
  server.output.filter((line) => line.includes('before its time'))

const asked = (server: Server): number[] =>
  server.output.flatMap((line) => Number(/^asked (\d+): 200/.exec(line)?.[1] ?? NaN) || [])

const forms: Record<string, readonly string[]> = {
  'that listens by itself': ['hello.js'],
  'that exports its handler': ['hello-export.js'],
  'that exports its handler, on two addresses': ['hello-export.js', '--bind', '127.0.0.1:0'],
  'of Fastify': ['frameworks/fastify.js'],
  'of Koa': ['frameworks/koa.js'],
  'that speaks TLS': ['frameworks/https-server.js'],
  'that speaks TLS by itself': ['frameworks/https-server-listens.js'],
  'that speaks HTTP/2 over TLS': ['frameworks/http2-server.js'],
  'that speaks HTTP/2 over TLS and nothing else': ['fails-h2.js'],
  'that speaks HTTP/2 without TLS': ['frameworks/h2c-server.js'],
}

describe.each(['owned', 'cluster'])(
  '--ready-check (sockets: %s)',
  { concurrent: true },
  (sockets) => {
    const flags = ['--sockets', sockets, '--ready-check', '/']

    for (const [what, [app, ...more]] of Object.entries(forms)) {
      test(`is answered by an app ${what}`, async (t) => {
        const server = await startServer(t, app!, ...flags, ...more)
        expect(server.url).toMatch(/^https?:\/\/127\.0\.0\.1:\d+$/)
        expect(server.lines.filter(({ level }) => level === 'warning')).toEqual([])
      })
    }

    test('is answered on a unix socket', async (t) => {
      const bind = `unix:${socketPath(t)}`
      const server = await startServer(t, 'hello-export.js', ...flags, { bind })
      expect((await server.get('/')).text).toBe('hello')
    })

    test('with another answer than 2xx and 3xx is a boot that fails, for the reason that it gives', async (t) => {
      const none = ['--ready-check', '/none', '--boot-timeout', '4', '--sockets', sockets]
      const server = spawnServer(t, 'hello.js', ...none)
      server.expectLog(/./)
      expect(await server.exit()).toMatchObject({ code: 3 })
      const failed = server.lines.find(({ event }) => event === 'startFailed')
      expect(failed?.msg).toBe(
        'the application did not boot: it was not ready within 4 s (--boot-timeout): GET /none was answered 404',
      )
      expect(server.lines.some(({ event }) => event === 'workerReady')).toBe(false)
    })
  },
)

describe('a worker whose check fails at first', { concurrent: true }, () => {
  test('is asked until it is well, and says once what is wrong', async (t) => {
    const { file, answer } = healthFile(t, 503)
    const server = spawnServer(t, APP, ...CHECK, { env: { HEALTH_FILE: file } })
    const notice = await server.log(/is not ready/)
    expect(notice.msg).toMatch(/^Worker \d+ is not ready: GET \/healthz was answered 503$/)
    await until('it was asked three times', () => server.output.length >= 3)
    expect(server.lines.some(({ event }) => event === 'listening')).toBe(false)
    answer(200)
    await server.log(/^Server is ready/)
    expect(server.lines.filter(({ msg }) => msg.includes('is not ready'))).toHaveLength(1)
    expect((await server.get('/')).text).toBe('hello')
    expect(clientsTooEarly(server)).toEqual([])
  })

  test('and never answers has not booted', async (t) => {
    const never = ['--ready-check', '/never', '--boot-timeout', '4']
    const server = spawnServer(t, 'hello.js', ...never)
    server.expectLog(/was not ready within/, /did not boot/)
    expect(await server.exit()).toMatchObject({ code: 3 })
    const failed = server.lines.find(({ event }) => event === 'startFailed')
    expect(failed?.msg).toMatch(/GET \/never has not been answered$/)
  })

  test('may answer with a redirect', async (t) => {
    const { file } = healthFile(t, 302)
    const server = await startServer(t, APP, ...CHECK, { env: { HEALTH_FILE: file } })
    expect((await server.get('/')).text).toBe('hello')
  })

  test('and SIGTERM meanwhile: a clean end, nothing is left', async (t) => {
    const { file } = healthFile(t, 500)
    const server = spawnServer(t, APP, ...CHECK, { env: { HEALTH_FILE: file } })
    await server.log(/is not ready/)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(server.allPids().filter(isAlive)).toEqual([])
  })

  test('gets no clients while its siblings serve, in a crash and in a recycle as in a reload', async (t) => {
    const { file, answer } = healthFile(t, 200)
    const flags = [...CHECK, '--workers', '2', '--drain-idle', '1', '--max-requests', '100']
    const server = await startServer(t, APP, ...flags, { env: { HEALTH_FILE: file } })
    const load = startLoad(t, server.url)
    await load.everyoneServed()
    answer(503)
    server.expectLog(/was ended by SIGKILL/)
    const booted = server.allPids().length
    server.signal('SIGHUP')
    await server.logTimes(/GET \/healthz was answered 503/, 1)
    await load.everyoneServed()
    answer(200)
    await server.log(/^Reload finished/)
    await server.log(/^Worker exited .*: max-requests/)
    const [victim] = server.pids()
    process.kill(victim!, 'SIGKILL')
    await until('it was replaced', () => server.pids().length >= 2 && !isAlive(victim!))
    await load.everyoneServed()
    await load.stop()
    expect(load.failures.filter(({ outcome }) => outcome !== 'reset')).toEqual([])
    expect(clientsTooEarly(server)).toEqual([])
    expect(server.allPids().length).toBeGreaterThan(booted)
    const ready = server.lines.filter(({ event }) => event === 'workerReady')
    const unasked = ready.filter(({ worker }) => !asked(server).includes(worker as number))
    expect(unasked, 'every one of them was asked').toEqual([])
  })

  test('does not count the check as a request', async (t) => {
    const server = await startServer(t, 'hello.js', '--ready-check', '/', '--max-requests', '2')
    const pids = [(await server.get('/pid')).text, (await server.get('/pid')).text]
    expect(new Set(pids).size).toBe(1)
    expect(await server.log(/^Recycling worker/)).toMatchObject({ requests: 2 })
  })

  test('with --worker-connections 1 is not taken for a full one', async (t) => {
    const { file, answer } = healthFile(t, 503)
    const flags = [...CHECK, '--worker-connections', '1']
    const server = spawnServer(t, APP, ...flags, { env: { HEALTH_FILE: file } })
    await until('it was asked twice', () => server.output.length >= 2)
    answer(200)
    await server.log(/^Server is ready/)
    for (let n = 0; n < 3; n++) expect((await server.get('/')).text).toBe('hello')
    expect(clientsTooEarly(server)).toEqual([])
  })
})

describe('an app that says by itself when it is ready', { concurrent: true }, () => {
  const ways: [says: string, flags: readonly string[]][] = [
    ['ready', []],
    ['pm2', ['--wait-ready']],
  ]
  for (const [says, flags] of ways) {
    test(`(${says}) gets no clients before, and is reloaded without a gap`, async (t) => {
      const all = [...flags, '--workers', '2', '--drain-idle', '1']
      const server = await startServer(t, APP, ...all, { env: { SAYS: says } })
      const load = startLoad(t, server.url, { pause: 10 })
      server.signal('SIGHUP')
      await server.log(/^Reload finished/)
      await load.everyoneServed()
      await load.stop()
      expect(load.failures).toEqual([])
      expect(clientsTooEarly(server)).toEqual([])
      expect(extremes(server.lines)).toEqual({ fewestReady: 2, mostAlive: 3 })
      const listened = server.output.filter((line) => line.startsWith('listening'))
      expect(listened, 'each had listened for a while').toHaveLength(4)
    })
  }

  test('and never does has not booted', async (t) => {
    const server = spawnServer(t, APP, '--boot-timeout', '4', { env: { SAYS: 'never' } })
    server.expectLog(/./)
    expect(await server.exit()).toMatchObject({ code: 3 })
    expect(server.lines.find(({ event }) => event === 'startFailed')?.msg).toMatch(
      /not ready within 4 s \(--boot-timeout\): it listens, but has not called ready\(\)$/,
    )
  })

  test('is not mistaken for one that does not listen, when it takes long', async (t) => {
    const server = spawnServer(t, 'hello.js', '--wait-ready')
    const line = await server.log(/still waiting$/)
    expect(line.msg).toMatch(
      /is not ready after [\d.]+ s: it listens, but has not called ready\(\); still/,
    )
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
  })

  test('may call notReady() in vain once it is ready, and ready() whenever it likes', async (t) => {
    const server = await startServer(t, APP)
    for (let n = 0; n < 3; n++) expect((await server.get('/again')).status).toBe(404)
    expect(slotsBooted(server)).toEqual([0])
  })
})

describe('a reload to a version that', { concurrent: true }, () => {
  const setUp = async (t: Teardown, flags: readonly string[]) => {
    const { file, answer } = healthFile(t, 200)
    const cwd = tempDir(t)
    const write = (env: object, settings: object = {}): void =>
      writeFileSync(
        join(cwd, 'supervisor.config.json'),
        JSON.stringify({
          workers: 2,
          env: { HEALTH_FILE: file, ...env },
          ...settings,
        }),
      )
    write({ VERSION: 'one' })
    const app = join(import.meta.dirname, 'fixtures', APP)
    const server = await startServer(t, app, ...flags, { cwd })
    const load = startLoad(t, server.url, { path: '/version', pause: 20 })
    return { server, load, answer, write }
  }

  test('answers its check with 500 is taken back: the old pids go on, one event says why', async (t) => {
    const { server, load, answer, write } = await setUp(t, CHECK)
    const old = server.pids()
    answer(500)
    write({ VERSION: 'two' }, { bootTimeout: 6 })
    server.expectLog(/^Reload failed/, /was not ready within/)
    server.signal('SIGHUP')
    const failed = await server.log(/^Reload failed/)
    expect(failed.msg).toMatch(
      /not ready within 6 s \(--boot-timeout\): GET \/healthz was answered 500$/,
    )
    await until('the new one is gone', () => server.pids().length === 2)
    expect(server.pids()).toEqual(old)
    await load.stop()
    expect(load.failures).toEqual([])
    expect(clientsTooEarly(server)).toEqual([])
    expect((await server.get('/version')).text).toBe('one')
    expect(slotsBooted(server), 'one canary').toEqual([0, 1, 0])
    answer(200)
    write({ VERSION: 'two' })
    const from = server.lines.length
    server.signal('SIGHUP')
    await server.log(/^Reload finished/, { from })
    expect((await server.get('/version')).text).toBe('two')
  })

  test('never says that it is ready is taken back', async (t) => {
    const { server, load, write } = await setUp(t, [])
    const old = server.pids()
    write({ VERSION: 'two', SAYS: 'never' }, { bootTimeout: 6 })
    server.expectLog(/^Reload failed/, /was not ready within/)
    server.signal('SIGHUP')
    const failed = await server.log(/^Reload failed/)
    expect(failed.msg).toMatch(/it listens, but has not called ready\(\)$/)
    await load.stop()
    expect(load.failures).toEqual([])
    await until('the new one is gone', () => server.pids().length === 2)
    expect(server.pids()).toEqual(old)
  })
})
