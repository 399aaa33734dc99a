// The control socket and the commands that speak over it: they find their server, answer while workers are stuck, and steer it.
import { existsSync, readdirSync, statSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { RequestList, ServerStatus } from '../src/control-protocol.ts'
import { controlPlace, runCommand } from './helpers/command.ts'
import { startServer, type Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

async function statusOf(env: Record<string, string>): Promise<ServerStatus> {
  const { stdout, stderr, code } = await runCommand(env, ['status', '--json'])
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout) as ServerStatus
}

const socketsOf = (env: Record<string, string>): string[] => {
  const directory = join(env['XDG_RUNTIME_DIR']!, 'nodicorn')
  const files = existsSync(directory) ? readdirSync(directory) : []
  // one that begins with a dot is on its way to its name
  return files.filter((file) => !file.startsWith('.')).map((file) => join(directory, file))
}

const socketOf = (env: Record<string, string>): Promise<string> =>
  until('there is a control socket', () => socketsOf(env)[0])

async function start(
  t: Teardown,
  env: Record<string, string>,
  ...flags: string[]
): Promise<Server> {
  const all = ['--workers', '2', '--log-level', 'debug', ...flags]
  const server = await startServer(t, 'hello.js', ...all, { env })
  await server.log(/^Control socket at/)
  return server
}

describe.concurrent('supervisor status', () => {
  test('knows the workers, what they have served, and why one was replaced', async (t) => {
    const env = controlPlace(t)
    const server = await start(t, env)
    server.expectLog(/was ended by SIGKILL/)
    for (let n = 0; n < 20; n++) await server.get('/')
    await until('the digests have told', async () => (await statusOf(env)).requests === 20)
    const [victim] = server.pids()
    process.kill(victim!, 'SIGKILL')
    await server.logTimes(/^Worker ready/, 3)
    const status = await until(
      'it serves again, and both workers have told of themselves',
      async () => {
        const now = await statusOf(env)
        const told = now.workers.every(({ rss, silence }) => rss !== null && silence !== null)
        return now.ready === 2 && told ? now : undefined
      },
    )
    expect(status.workers).toMatchObject([
      { slot: 0, state: 'ready' },
      { slot: 1, state: 'ready' },
    ])
    for (const { age, rss } of status.workers) {
      expect(age).toBeGreaterThan(0)
      expect(rss).toBeGreaterThan(1024 ** 2)
    }
    expect(status).toMatchObject({
      state: 'running',
      pid: server.pid,
      target: 2,
      urls: server.urls,
    })
    expect(status.workers.map(({ pid }) => pid).sort()).toEqual(server.pids().sort())
    expect(status.workers.map(({ restarts }) => restarts).sort()).toEqual([0, 1])
    const { lastRestart } = status.workers.find(({ restarts }) => restarts === 1)!
    expect(lastRestart).toMatchObject({
      reason: 'crash',
      story: expect.stringContaining('SIGKILL'),
    })
    expect(status.requests, 'what a worker served before it was killed still counts').toBe(20)
    const { stdout } = await runCommand(env, ['status'])
    expect(stdout).toMatch(/2 of 2 workers ready/)
    expect(stdout).toMatch(/crash, \S+ ago/)
    expect(await runCommand(env, ['status', '--quiet'])).toMatchObject({ code: 0, stdout: '' })
  })

  test('answers while every worker is blocked, and says who blocks them', async (t) => {
    const env = controlPlace(t)
    const server = await start(t, env, '--timeout', '120')
    const blocked = await until('both are seen to be blocked', async () => {
      const { workers } = await statusOf(env)
      const serving = workers.filter(({ state }) => state === 'ready')
      if (serving.length === 0) return workers
      server.get('/block?ms=60000').catch(() => undefined) // whoever is not blocked takes it
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      return undefined
    })
    expect(blocked.every(({ loopDelay, inFlight }) => loopDelay! > 0.5 && inFlight > 0)).toBe(true)
    const { stdout } = await runCommand(env, ['requests', '--json'])
    expect(await runCommand(env, ['status', '--quiet'])).toMatchObject({
      code: 1,
      stdout: '0 of 1 workers can serve (--min-ready); 2 blocked\n',
    })
    const { requests } = JSON.parse(stdout) as RequestList
    expect(new Set(requests.map(({ pid }) => pid))).toEqual(new Set(blocked.map(({ pid }) => pid)))
    for (const request of requests)
      expect(request).toMatchObject({ method: 'GET', url: '/block?ms=60000', timeout: 120 })
    server.signal('SIGKILL')
  })

  test('finds its server by directory, by pid and by socket, and says what is wrong if not', async (t) => {
    const env = controlPlace(t)
    const elsewhere = tempDir(t)
    const none = await runCommand(env, ['status'])
    expect([none.code, none.stderr]).toEqual([1, expect.stringMatching(/no server runs here/)])
    const [one, two] = [await start(t, env), await start(t, env)]
    const both = await runCommand(env, ['status'])
    expect(both.code).toBe(1)
    for (const { pid } of [one, two]) {
      expect(both.stderr).toContain(`--pid ${pid}`)
      const { stdout } = await runCommand(
        env,
        ['status', '--json', '--pid', String(pid)],
        elsewhere,
      )
      expect(JSON.parse(stdout)).toMatchObject({ pid })
    }
    const lost = await runCommand(env, ['status', '--socket', join(elsewhere, 'none.ctl')])
    expect([lost.code, lost.stderr]).toEqual([1, expect.stringMatching(/no server answers/)])
    const wrong = await runCommand(env, ['statsu'])
    expect([wrong.code, wrong.stderr]).toEqual([
      2,
      expect.stringMatching(/did you mean "supervisor status"/),
    ])
  })
})

describe.concurrent('steering', () => {
  test('reload --wait tells of every step and of its end', async (t) => {
    const env = controlPlace(t)
    const server = await start(t, env)
    const before = server.pids()
    const { code, stdout } = await runCommand(env, ['reload', '--wait'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/Booting worker[^]*Worker ready[^]*Reload finished/)
    expect(server.pids().some((pid) => before.includes(pid))).toBe(false)
    await server.log(/^Handling command: reload wait \(control socket\)$/)
    expect(await statusOf(env)).toMatchObject({ generation: 2, reload: { state: 'done' } })
  })

  test('scale, recycle and stop do what they say and refuse what cannot be', async (t) => {
    const env = controlPlace(t)
    const server = await start(t, env)
    const said = async (...words: string[]): Promise<string> =>
      (await runCommand(env, words)).stdout
    expect(await said('scale', '+1')).toBe('Workers: 2 -> 3\n')
    expect(await said('scale', '1')).toBe('Workers: 3 -> 1\n')
    const none = await runCommand(env, ['scale', '0'])
    expect([none.code, none.stderr]).toEqual([
      2,
      expect.stringMatching(/0 workers are not possible/),
    ])
    await until('one is left', () => server.pids().length === 1)
    const [old] = server.pids()
    expect(await said('recycle', '0')).toBe(`Recycling pid ${old}\n`)
    await server.log(/^Worker exited \(pid: \d+\) after .*: asked$/)
    expect(server.pids()).not.toContain(old)
    const nobody = await runCommand(env, ['recycle', '7'])
    expect([nobody.code, nobody.stderr]).toEqual([
      2,
      expect.stringMatching(/no worker is ready in slot 7; there are 0/),
    ])
    expect(await said('stop')).toMatch(/^Stopped hello \(pid \d+\)\n$/)
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(socketsOf(env), 'nothing is left behind').toEqual([])
  })
})

describe.concurrent('the control socket', () => {
  test('is for its owner alone, and survives whatever is written to it', async (t) => {
    const env = controlPlace(t)
    const server = await start(t, env)
    const path = await socketOf(env)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const words = [
      'garbage\n',
      '{"id":1}\n',
      'null\n[]\n',
      '{"id":2,"command":"statsu"}\n',
      '{"id":3,"command":"stop","args":{"now":7}}\n',
    ]
    const socket = net.connect(path)
    let heard = ''
    socket.on('data', (chunk) => (heard += String(chunk)))
    for (const word of words) socket.write(word)
    await until('all were answered', () => heard.split('\n').length === 8)
    expect(heard).toMatch(/did you mean status/)
    expect(heard).not.toMatch(/"ok":true/)
    const flood = net.connect(path)
    flood.on('error', () => undefined) // EPIPE, ECONNRESET: it is hung up on
    flood.write('x'.repeat(3 << 20))
    await until(
      'who never ends a line is hung up on',
      () => flood.destroyed || flood.readableEnded || flood.closed || !flood.writable,
    )
    socket.destroy()
    expect((await server.get('/')).text).toBe('hello')
    expect((await statusOf(env)).state).toBe('running')
  })

  test('is next to the pidfile if there is one, and is found from the directory all the same', async (t) => {
    const env = controlPlace(t)
    const pidfile = join(tempDir(t), 'app.pid')
    const server = await start(t, env, '--pid', pidfile)
    const { stdout } = await runCommand(env, [
      'status',
      '--json',
      '--socket',
      pidfile.replace('.pid', '.ctl'),
    ])
    expect(JSON.parse(stdout)).toMatchObject({ pid: server.pid })
    expect((await statusOf(env)).pid).toBe(server.pid)
  })

  test('is silently missing where it cannot be made, and off if so asked', async (t) => {
    const env = { XDG_RUNTIME_DIR: '/proc/1/nowhere' }
    const server = await startServer(t, 'hello.js', { env })
    expect((await server.get('/')).text).toBe('hello')
    expect(server.lines.filter(({ level }) => level !== 'info')).toEqual([])
    const off = controlPlace(t)
    await startServer(t, 'hello.js', '--no-control-socket', { env: off })
    expect(socketsOf(off)).toEqual([])
  })

  test("that a killed server left behind is in nobody's way", async (t) => {
    const env = controlPlace(t)
    const killed = await start(t, env)
    const second = await start(t, env)
    expect(socketsOf(env)).toHaveLength(2)
    for (const server of [killed, second]) {
      server.signal('SIGKILL')
      await server.exit()
    }
    expect(socketsOf(env), 'nobody was left to remove them').toHaveLength(2)
    const server = await start(t, env)
    expect((await statusOf(env)).pid).toBe(server.pid)
    expect(socketsOf(env)).toHaveLength(1)
  })

  test('moves over to the new master in an upgrade', async (t) => {
    const env = controlPlace(t)
    const server = await start(t, env)
    server.signal('SIGUSR2')
    const { master } = (await server.log(/^Upgraded/)) as unknown as { master: number }
    await until('the new master answers', async () => (await statusOf(env)).pid === master)
    await server.left()
    expect((await statusOf(env)).pid).toBe(master)
  })
})
