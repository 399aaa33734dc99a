// Under systemd: what its notify socket is told, and sockets that it has opened. The other end is systemd's own
// systemd-socket-activate, which needs no systemd as process 1.
import { existsSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { request } from './helpers/client.ts'
import { startLoad } from './helpers/load.ts'
import { cli, spawnServer, startServer } from './helpers/server.ts'
import { hasSystemd, NotifyListener } from './helpers/systemd.ts'
import { socketPath, tempDir } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const isThere = hasSystemd()
if (!isThere)
  console.error(
    'test/systemd.test.ts is skipped: there is no systemd (apt-get install -y --no-install-recommends systemd)',
  )

/** An app that shows what it has in its environment. */
const APP = `
  const found = Object.keys(process.env).filter((name) => /^(NOTIFY|WATCHDOG|LISTEN)_/.test(name))
  module.exports = (req, res) => res.end(JSON.stringify(found))`

describe.skipIf(!isThere)('the notify socket', { concurrent: true }, () => {
  test('hears READY, RELOADING with READY again even if it failed, STOPPING, and WATCHDOG in between, over an upgrade too', async (t) => {
    const systemd = await NotifyListener.listen(t)
    const cwd = tempDir(t, { 'app.js': APP })
    const env = { NOTIFY_SOCKET: systemd.path, WATCHDOG_USEC: '1000000' }
    const server = await startServer(t, 'app.js', '--workers', '2', { cwd, env })
    expect((await server.get('/')).json(), 'workers have nothing of it').toEqual([])
    const started = await systemd.hears(/^READY=1$/)
    expect(systemd.messages[started]).toEqual(
      expect.arrayContaining([expect.stringMatching(/^STATUS=2 of 2 workers ready, /)]),
    )
    await until('two more signs of life', () => systemd.count('WATCHDOG=1') > 2)

    const monotonic = process.hrtime.bigint() / 1000n
    server.signal('SIGHUP')
    const reloading = await systemd.hears(/^RELOADING=1$/)
    const told = /^MONOTONIC_USEC=(\d+)$/m.exec(systemd.messages[reloading]!.join('\n'))?.[1]
    expect(BigInt(told!), 'not before it was asked for').toBeGreaterThanOrEqual(monotonic)
    const again = await systemd.hears(/^READY=1$/, reloading)
    await server.log(/^Reload finished/)

    server.expectLog(/^Reload failed/)
    writeFileSync(join(cwd, 'supervisor.config.json'), '{ "wrokers": 2 }')
    server.signal('SIGHUP')
    const failing = await systemd.hears(/^RELOADING=1$/, again)
    const ready = await systemd.hears(/^READY=1$/, failing)
    await server.log(/^Reload failed/)

    writeFileSync(join(cwd, 'supervisor.config.json'), '{}')
    server.signal('SIGUSR2')
    const { master } = await server.log(/^Upgraded/)
    const main = await systemd.hears(new RegExp(`^MAINPID=${String(master)}$`), ready)
    await until('the old master is gone', () => server.masters().length === 1)
    const before = systemd.count('WATCHDOG=1')
    await until('the new one lives', () => systemd.count('WATCHDOG=1') > before + 1)
    expect(systemd.count('STOPPING=1'), 'the old one says nothing').toBe(0)
    process.kill(master as number, 'SIGTERM')
    const stopping = await systemd.hears(/^STOPPING=1$/, main)
    expect(systemd.messages[stopping]).toEqual(
      expect.arrayContaining([expect.stringMatching(/^EXTEND_TIMEOUT_USEC=\d{7,8}$/)]),
    )
    await until('it has ended', () => server.masters().length === 0)
  })

  test('that nobody can tell is told once in the log, and harms nothing', async (t) => {
    const env = { NOTIFY_SOCKET: join(tempDir(t), 'nobody'), WATCHDOG_USEC: '200000' }
    const server = await startServer(t, 'hello-export.js', { env })
    await server.log(/^systemd cannot be told how the server is: systemd-notify ended with 1;/)
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    expect((await server.get('/')).text).toBe('hello')
    server.signal('SIGTERM')
    expect((await server.exit()).code).toBe(0)
    expect(server.lines.filter(({ event }) => event === 'systemdDeaf')).toHaveLength(1)
  })
})

describe.skipIf(!isThere)('sockets that systemd has opened', { concurrent: true }, () => {
  /** No other test listens there, and no port is given out so low. */
  const address = `127.42.${process.pid % 250}.${(process.pid >> 8) % 250}:7077`

  test('are used in place of --bind, TCP and unix, by name too; no request is lost over a reload and an upgrade', async (t) => {
    const path = socketPath(t)
    const cwd = tempDir(t, { 'app.js': APP })
    const listen = ['--listen', address, '--listen', path, '--fdname', 'web:inner']
    const server = spawnServer(t, 'app.js', '--workers', '2', {
      cwd,
      bind: '127.0.0.1:1',
      command: ['systemd-socket-activate', ...listen, process.execPath, cli],
    })
    await server.complains(/Listening on .* as 4/)
    const first = await Promise.all([
      request(`http://${address}`, '/'),
      request(`unix:${path}`, '/'),
    ])
    expect(first.map((answer) => answer.json())).toEqual([[], []])
    await server.log(/^--bind \(127\.0\.0\.1:1\) is not used: systemd listens/)
    await server.log(/^Server is ready/)
    expect([...server.urls].sort()).toEqual([`http://${address}`, `unix:${path}`])
    const loads = [`http://${address}`, `unix:${path}`].map((url) =>
      startLoad(t, url, { keepAlive: 2, newConnections: 2, pause: 5 }),
    )
    for (const load of loads) await load.everyoneServed()
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    writeFileSync(join(cwd, 'supervisor.config.json'), '{ "timeout": 31 }')
    server.signal('SIGUSR2')
    const { master } = await server.log(/^Upgraded/)
    for (const load of loads) await load.everyoneServed()
    const from = server.lines.length
    process.kill(master as number, 'SIGHUP')
    await server.log(/^Reload finished/, { from })
    for (const load of loads) {
      await load.everyoneServed()
      await load.stop()
      expect(load.failures).toEqual([])
    }
    process.kill(master as number, 'SIGTERM')
    await until('it has ended', () => server.masters().length === 0)
    expect(existsSync(path), 'the file is not ours to remove').toBe(true)
  })

  test('are kept by systemd while the server restarts; an app that listens by itself gets the one it asks for', async (t) => {
    const { handle, port } = boundHandle()
    t.onTestFinished(() => handle.close())
    const options = {
      bind: 'fd://web',
      fds: [handle.fd],
      env: { LISTEN_FDS: '1', LISTEN_FDNAMES: 'web' },
      command: ['sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh', process.execPath, cli],
    } as const
    const url = `http://127.0.0.1:${port}`
    const one = await startServer(t, 'hello.js', options)
    expect(one.url).toBe(url)
    const load = startLoad(t, url, { keepAlive: 0, newConnections: 3, pause: 10 })
    await load.everyoneServed()
    one.signal('SIGTERM')
    expect((await one.exit()).code).toBe(0)
    await startServer(t, 'hello.js', options)
    await load.everyoneServed()
    await load.stop()
    expect(load.failures).toEqual([])
  })

  test('that nobody listens on are told, and so are names that are not there', async (t) => {
    const { handle, port } = boundHandle()
    t.onTestFinished(() => handle.close())
    const options = {
      bind: false,
      fds: [handle.fd],
      env: { LISTEN_FDS: '1', LISTEN_FDNAMES: 'web' },
      command: ['sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh', process.execPath, cli],
    } as const
    const server = await startServer(t, 'unix-path.js', {
      ...options,
      env: { ...options.env, SOCKET_PATH: socketPath(t) },
    })
    await server.log(
      new RegExp(`^Nobody listens on http://127.0.0.1:${port}, which systemd has opened \\(web\\)`),
    )
    const wrong = spawnServer(t, 'hello.js', { ...options, bind: 'fd://wbe' })
    expect((await wrong.exit()).code).toBe(2)
    expect(wrong.stderr).toBe(
      'supervisor: --bind is "fd://wbe"; it must be the name of a socket that systemd has opened (web)',
    )
  })
})

/** A socket that is bound, and nobody accepts on here. */
function boundHandle(): { handle: { fd: number; close(): void }; port: number } {
  const { _createServerHandle: create } = net as unknown as {
    _createServerHandle(
      host: string,
      port: number,
      type: number,
    ): ReturnType<typeof boundHandle>['handle'] & {
      getsockname(out: { port?: number }): number
    }
  }
  const handle = create('127.0.0.1', 0, 4)
  const name: { port?: number } = {}
  handle.getsockname(name)
  return { handle, port: name.port! }
}
