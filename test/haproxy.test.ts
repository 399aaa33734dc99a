// Behind a real HAProxy with the file that `supervisor init` writes: reloads cost its clients nothing, and it hears of a stop by the
// admin address before the server leaves.
import { execFileSync, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { RawClient, request } from './helpers/client.ts'
import { everyPath, hasProgram } from './helpers/command.ts'
import { startLoad } from './helpers/load.ts'
import { signalIfThere } from './helpers/process.ts'
import { bareEnvironment, cli, fixtures, startServer } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'
import { freePort } from './helpers/walkthrough.ts'

const env = { ...bareEnvironment(), PATH: everyPath }

const isThere = hasProgram('haproxy')
if (!isThere)
  console.error(
    'test/haproxy.test.ts is skipped: there is no haproxy (apt-get install -y --no-install-recommends haproxy)',
  )

/** Answers where it listens, once its first answer has the status. It ends with the test, by its pid. */
async function startHaproxy(
  t: Teardown,
  flags: readonly string[],
  { status: wanted = 200, change = (text: string): string => text, port = 0 } = {},
): Promise<string> {
  const dir = tempDir(t)
  const words = ['init', 'haproxy', 'hello-export.js', ...flags, '--print']
  const options = { cwd: fixtures, encoding: 'utf8', env } as const
  const text = execFileSync(process.execPath, [cli, ...words], options)
  const file = join(dir, 'haproxy.cfg')
  writeFileSync(file, text)
  execFileSync('haproxy', ['-c', '-f', file], { stdio: 'ignore', env })
  const place = port === 0 ? `unix@${dir}/haproxy.sock` : `127.0.0.1:${port}`
  writeFileSync(file, change(text.replace('bind :80', `bind ${place}`)))
  const child = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore', env })
  t.onTestFinished(async () => {
    if (child.exitCode === null) signalIfThere(child.pid!, 'SIGTERM')
    await until('haproxy has ended', () => child.exitCode !== null || child.signalCode !== null)
  })
  const url = port === 0 ? `unix:${dir}/haproxy.sock` : `http://127.0.0.1:${port}`
  await until('haproxy serves', () => statusOf(url).then((status) => status === wanted))
  return url
}

/** 0: it does not listen yet. */
const statusOf = (url: string): Promise<number> =>
  request(url, '/').then(
    ({ status }) => status,
    () => 0, // ENOENT, ECONNREFUSED
  )

test.skipIf(!isThere)(
  'behind HAProxy, two reloads cost no request, and a stop is heard of before',
  async (t) => {
    const flags = ['--workers', '2', '--max-body', '1mb']
    const stop = ['--pre-stop-delay', '60', '--admin', '127.0.0.1:0']
    const server = await startServer(t, 'hello-export.js', ...flags, ...stop)
    const { url: admin } = await server.log(/^Admin address: /)
    const places = ['--bind', new URL(server.url).host, '--admin', new URL(String(admin)).host]
    const url = await startHaproxy(t, [...places, ...flags])
    const load = startLoad(t, url, { keepAlive: 4, newConnections: 1, pause: 8 })
    for (let round = 0; round < 2; round++) {
      await load.everyoneServed()
      const from = server.lines.length
      server.signal('SIGHUP')
      await server.log(/^Reload finished/, { from })
    }
    await load.everyoneServed()
    await load.stop()
    expect(load.failures).toEqual([])
    const large = await RawClient.connect(url)
    t.onTestFinished(() => large.destroy())
    large.send('POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Length: 2000000\r\n\r\n')
    await large.receives(/^HTTP\/1\.1 413 /)

    server.signal('SIGTERM')
    // the server goes on serving, but HAProxy sends it nobody any more
    await until('HAProxy has taken it out', async () => (await statusOf(url)) === 503)
    expect((await server.get('/')).status).toBe(200)
    server.signal('SIGQUIT')
    await server.exit()
  },
  60_000,
)

describe('with TLS and the PROXY protocol behind it,', () => {
  const pem = (name: string): string => join(fixtures, 'tls', name)
  const pair = ['--certfile', pem('cert.pem'), '--keyfile', pem('key.pem')]

  test.skipIf(!isThere).each([
    ['', []],
    [' by the admin address', ['--admin', '127.0.0.1:0']],
  ])('the client arrives, and HAProxy verifies the app and checks it%s', async (_, admin) => {
    const t = { onTestFinished }
    const flags = [...pair, '--proxy-protocol', 'v2']
    const server = await startServer(t, 'peer.js', ...flags, ...admin)
    const place = ['--bind', new URL(server.url).host]
    if (admin.length > 0) {
      const { url } = await server.log(/^Admin address: /)
      place.push('--admin', new URL(String(url)).host)
    }
    const port = await freePort()
    const url = await startHaproxy(t, [...place, ...flags], { port })
    const { text } = await request(url, '/', { localAddress: '127.0.0.2' })
    expect(text).toMatch(/^127\.0\.0\.2 \d+ IPv4$/)
    // somebody else at the same address
    const change = (config: string): string =>
      config.replace(`ca-file ${pem('cert.pem')}`, `ca-file ${pem('renewed-cert.pem')}`)
    await startHaproxy(t, [...place, ...flags], { status: 503, change })
  })
})
