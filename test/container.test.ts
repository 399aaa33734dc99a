// As the first process of a container: signals, exit statuses, what the app leaves behind, a file system that is read-only. What
// is started is what deploy/docker/Dockerfile starts.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { request } from './helpers/client.ts'
import { runCommand, controlPlace } from './helpers/command.ts'
import { Container, hasNamespaces } from './helpers/container.ts'
import { checkout } from './helpers/pages.ts'
import { cli } from './helpers/server.ts'
import { tempDir } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const isAllowed = hasNamespaces()
if (!isAllowed)
  console.error(
    'test/container.test.ts is skipped: this machine does not let us make a PID namespace (unshare)',
  )

const APP = `
  const { spawn } = require('node:child_process')
  const { setTimeout: sleep } = require('node:timers/promises')
  module.exports = async (req, res) => {
    if (req.url === '/orphan') spawn('sh', ['-c', 'sleep 0.1 &'])
    if (req.url === '/slow') console.log('slow begins'), await sleep(700)
    res.end('hello')
  }`

const dockerfile = readFileSync(join(checkout, 'deploy/docker/Dockerfile'), 'utf8')
const listOf = (instruction: string): string[] =>
  JSON.parse(new RegExp(`^${instruction} (\\[.*\\])$`, 'm').exec(dockerfile)![1]!)
const [supervisor, ...words] = [...listOf('ENTRYPOINT'), ...listOf('CMD')]
/** In the checkout there is no node_modules/.bin/supervisor, and port 8000 may be taken. */
const command = [process.execPath, cli, ...words, '--log-format', 'json'].map((word) =>
  word === '0.0.0.0:8000' ? '127.0.0.1:0' : word,
)

describe.skipIf(!isAllowed)('as process 1', { concurrent: true }, () => {
  test('it is healthy, names zombies once, reloads, and docker stop loses no request', async (t) => {
    expect(supervisor).toBe('node_modules/.bin/supervisor')
    const cwd = tempDir(t, { 'app.js': APP })
    const control = controlPlace(t)
    const container = new Container(t, [...command, '--log-level', 'debug'], {
      cwd,
      env: { ...control, GRACEFUL_TIMEOUT: '8' },
    })
    expect((await container.log(/^Server is ready/)).pid).toBe(1)
    await container.log(/^Control socket at/)
    const health = ['status', '--quiet']
    expect(await runCommand(control, health, cwd)).toMatchObject({ code: 0, stdout: '' })
    for (let n = 0; n < 2; n++) await request(container.url, '/orphan')
    await container.log(
      /^\d process(es)? that the application left behind cannot be buried: .*--init/,
    )
    await container.signal('SIGHUP')
    await container.log(/^Reload finished/)
    const slow = request(container.url, '/slow')
    await until('it is in flight', () => container.output.includes('slow begins'))
    await container.signal('SIGTERM')
    expect((await slow).text).toBe('hello')
    expect(await container.exit()).toBe(0)
    expect(container.lines.filter(({ event }) => event === 'zombies')).toHaveLength(1)
    expect((await runCommand(control, health, cwd)).code).toBe(1)
  })

  test('a signal ends it also before it has read its settings', async (t) => {
    const settings = 'console.log("reading"); await new Promise(() => setInterval(() => {}, 1000))'
    const cwd = tempDir(t, { 'app.js': APP, 'supervisor.config.mjs': settings })
    const container = new Container(t, command, { cwd })
    await until('it reads its settings', () => container.output.includes('reading'))
    await container.signal('SIGTERM')
    expect(await container.exit()).toBe(143)
  })

  test('where nothing can be written it serves, without a control socket', async (t) => {
    const cwd = tempDir(t, { 'app.js': APP })
    const container = new Container(t, command, { cwd, isReadOnly: true })
    await container.log(/^Server is ready/)
    expect((await request(container.url, '/')).text).toBe('hello')
    await container.signal('SIGTERM')
    expect(await container.exit()).toBe(0)
    const loud = container.lines.filter(({ level }) => level !== 'info' && level !== 'debug')
    expect(loud.map(({ msg }) => msg)).toEqual([])
  })
})
