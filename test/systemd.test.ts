// Under systemd: what its notify socket is told, and sockets that it has opened. The other end is systemd's own
// systemd-socket-activate, which needs no systemd as process 1.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startServer } from './helpers/server.ts'
import { hasSystemd, NotifyListener } from './helpers/systemd.ts'
import { tempDir } from './helpers/temp.ts'
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
    expect(await systemd.hears(/^READY=1$/)).toBe(0)
    expect(systemd.messages[0]).toContain('STATUS=2 of 2 workers ready, 0 requests/s')
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
