// The process itself: its pidfile, directory, environment, rights, names and Node flags.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { request } from './helpers/client.ts'
import { childrenOf } from './helpers/process.ts'
import { bareEnvironment, cli, fixtures, spawnServer, startServer } from './helpers/server.ts'
import { tempDir } from './helpers/temp.ts'
import { until, within } from './helpers/until.ts'
import { clientOfEach, slotsBooted } from './helpers/workers.ts'

const isRoot = process.getuid?.() === 0

describe.concurrent('--pidfile', () => {
  test("holds the master's pid from the start to the stop", async (t) => {
    const pidfile = join(tempDir(t), 'app.pid')
    const server = await startServer(t, 'hello.js', '--pid', pidfile)
    expect(readFileSync(pidfile, 'utf8')).toBe(`${server.pid}\n`)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(existsSync(pidfile)).toBe(false)
  })

  test('of a server that runs is refused: exit 1, nothing started, the file as it was', async (t) => {
    const pidfile = join(tempDir(t), 'app.pid')
    const first = await startServer(t, 'hello.js', '--pidfile', pidfile)
    const second = spawnServer(t, 'hello.js', '--pidfile', pidfile)
    expect(await second.exit()).toMatchObject({ code: 1 })
    expect(second.stderr).toContain(`already running on pid ${first.pid}`)
    expect(second.stderr).toContain(pidfile)
    expect(slotsBooted(second)).toEqual([])
    expect(readFileSync(pidfile, 'utf8')).toBe(`${first.pid}\n`)
  })

  test('that is stale, empty or nonsense is replaced', async (t) => {
    const gone = spawnSync(process.execPath, ['-e', '']).pid
    for (const text of [`${gone}\n`, '', 'nonsense', '-1']) {
      const pidfile = join(tempDir(t, { 'app.pid': text }), 'app.pid')
      const server = await startServer(t, 'hello.js', '--pidfile', pidfile)
      expect(readFileSync(pidfile, 'utf8')).toBe(`${server.pid}\n`)
      server.signal('SIGTERM')
      await server.exit()
    }
  })

  test("that became somebody else's is not removed", async (t) => {
    const pidfile = join(tempDir(t), 'app.pid')
    const server = await startServer(t, 'hello.js', '--pidfile', pidfile)
    writeFileSync(pidfile, `${process.pid}\n`)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(readFileSync(pidfile, 'utf8')).toBe(`${process.pid}\n`)
  })

  test('that was removed or cannot be removed does not spoil the stop', async (t) => {
    const dir = tempDir(t)
    const pidfile = join(dir, 'app.pid')
    const server = await startServer(t, 'hello.js', '--pidfile', pidfile)
    chmodSync(dir, 0o555)
    t.onTestFinished(() => chmodSync(dir, 0o755))
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
  })

  test('that cannot be written is an error with its name, and nothing is started', async (t) => {
    const pidfile = join(tempDir(t), 'no', 'such', 'directory', 'app.pid')
    const server = spawnServer(t, 'hello.js', '--pidfile', pidfile)
    expect(await server.exit()).toMatchObject({ code: 1 })
    expect(server.stderr).toMatch(/cannot write the pidfile/)
    expect(server.stderr).toContain(pidfile)
    expect(slotsBooted(server)).toEqual([])
  })

  test('is removed when the app fails to boot', async (t) => {
    const pidfile = join(tempDir(t), 'app.pid')
    const server = spawnServer(t, 'throw-at-boot.js', '--pidfile', pidfile)
    server.expectLog(/./)
    expect(await server.exit()).toMatchObject({ code: 3 })
    expect(existsSync(pidfile)).toBe(false)
  })
})

describe.concurrent('--chdir', () => {
  test('is where the app is found and runs', async (t) => {
    const dir = tempDir(t, {
      'inner/app.js': `module.exports = (req, res) => res.end(process.cwd())`,
    })
    const server = await startServer(t, 'app.js', '--chdir', 'inner', { cwd: dir })
    expect((await server.get('/')).text).toBe(join(dir, 'inner'))
  })

  test('to a directory that does not exist is refused by name', async (t) => {
    const server = spawnServer(t, 'hello.js', '--chdir', '/no/such/directory')
    expect((await server.exit()).code).toBeGreaterThan(0)
    expect(server.stderr).toContain('/no/such/directory')
    expect(server.stderr).toContain('--chdir')
    expect(slotsBooted(server)).toEqual([])
  })
})

test.concurrent(
  "--env reaches the workers, beats the server's own environment, and survives a crash",
  async (t) => {
    const flags = ['--env', 'COLOUR=blue', '-e', 'EMPTY=', '-e', 'EQUATION=a=b']
    const server = await startServer(t, 'hello.js', ...flags, {
      env: { COLOUR: 'red', INHERITED: 'yes' },
    })
    const valueOf = async (name: string): Promise<string> =>
      (await server.get(`/env?name=${name}`)).text
    const check = async (): Promise<void> => {
      expect(await valueOf('COLOUR')).toBe('blue')
      expect(await valueOf('EQUATION')).toBe('a=b')
      expect(await valueOf('INHERITED')).toBe('yes')
      expect(await valueOf('SUPERVISOR_WORKER'), "ours is not the app's business").toBe('')
      expect(await valueOf('SUPERVISOR_WORKER_SLOT')).toBe('0')
    }
    await check()
    server.expectLog(/was ended by SIGKILL/)
    process.kill(server.pids()[0]!, 'SIGKILL')
    await server.logTimes(/^Worker ready/, 2)
    await check()
  },
)

test.concurrent('--umask is what the workers make files with', async (t) => {
  const server = await startServer(t, 'hello.js', '--umask', '0027')
  expect((await server.get('/umask')).text).toBe('27')
})

test.concurrent('--threads sizes the thread pool of the workers, and only theirs', async (t) => {
  const dir = tempDir(t, {
    'app.js': `
      const { pbkdf2 } = require('node:crypto')
      const { promisify } = require('node:util')
      const { readdirSync } = require('node:fs')
      module.exports = async (req, res) => {
        await promisify(pbkdf2)('a', 'b', 1, 1, 'sha1') // the pool is made with its first task
        const threads = process.platform === 'linux' ? readdirSync('/proc/self/task').length : -1
        res.end(JSON.stringify({ size: process.env.UV_THREADPOOL_SIZE ?? null, threads }))
      }`,
  })
  const facts = async (...flags: string[]): Promise<{ size: string | null; threads: number }> =>
    (await (await startServer(t, 'app.js', ...flags, { cwd: dir })).get('/')).json()
  const [normal, larger] = [await facts(), await facts('--threads', '9')]
  expect(normal.size).toBeNull()
  expect(larger.size).toBe('9')
  if (process.platform === 'linux') expect(larger.threads - normal.threads).toBe(5)
})

test.concurrent("--node-args are the workers' own", async (t) => {
  const dir = tempDir(t, {
    'app.js': `
      const { heap_size_limit } = require('node:v8').getHeapStatistics()
      module.exports = (req, res) => res.end(JSON.stringify({ gc: typeof gc, heap_size_limit }))`,
  })
  const flags = ['--node-args=--max-old-space-size=123', '--node-args=--expose-gc']
  const server = await startServer(t, 'app.js', ...flags, { cwd: dir })
  const { gc, heap_size_limit } = (await server.get('/')).json<{
    gc: string
    heap_size_limit: number
  }>()
  expect(gc).toBe('function')
  // the young generation comes on top, three times as much on Node 24; the default would be gigabytes
  expect(heap_size_limit).toBeLessThan(500 * 2 ** 20)
})

test.concurrent('a bad flag in --node-args ends the start with what node says of it', async (t) => {
  const server = spawnServer(t, 'hello.js', '--node-args=--no-such-flag')
  server.expectLog(/./)
  expect((await server.exit()).code).toBe(3)
  expect(server.stderr).toMatch(/bad option: --no-such-flag/)
})

describe.concurrent('process titles', () => {
  const titleOf = (pid: number): string =>
    execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).trim()

  test('name the role, the slot and the app', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2')
    expect(titleOf(server.pid)).toBe('supervisor: master [hello]')
    expect(server.pids().map(titleOf).sort()).toEqual([
      'supervisor: worker 0 [hello]',
      'supervisor: worker 1 [hello]',
    ])
    const [client] = await clientOfEach(t, server, 1)
    expect((await client!.get('/title')).text).toMatch(/^supervisor: worker [01] \[hello\]$/)
  })

  test('take --name', async (t) => {
    const server = await startServer(t, 'hello.js', '--name', 'shop')
    expect(titleOf(server.pid)).toBe('supervisor: master [shop]')
    expect(titleOf(server.pids()[0]!)).toBe('supervisor: worker 0 [shop]')
  })
})

describe.concurrent('--user and --group', () => {
  const whoAmI = {
    'app.js': `
      module.exports = (req, res) => res.end(JSON.stringify({
        uid: process.getuid(), gid: process.getgid(), groups: process.getgroups(),
      }))`,
  }

  test(
    isRoot
      ? 'are what the workers run as, while the master binds a port below 1024'
      : 'need root, which is said before anything starts',
    async (t) => {
      const cwd = tempDir(t, whoAmI)
      const flags = ['--user', '12345', '--group', '54321', '--workers', '2']
      if (!isRoot) {
        const server = spawnServer(t, 'app.js', ...flags, { cwd })
        expect(await server.exit()).toMatchObject({ code: 1 })
        expect(server.stderr).toMatch(/--user 12345 needs root/)
        return
      }
      chmodSync(cwd, 0o755)
      const bind = `127.${process.pid % 250}.0.1:80`
      const server = await startServer(t, 'app.js', ...flags, { cwd, bind })
      expect((await server.get('/')).json()).toEqual({ uid: 12_345, gid: 54_321, groups: [54_321] })
      expect(statSync(`/proc/${server.pid}`).uid, 'the master keeps its rights').toBe(0)
      server.expectLog(/was ended by SIGKILL/)
      process.kill(server.pids()[0]!, 'SIGKILL')
      await server.logTimes(/^Worker ready/, 3)
      server.signal('SIGTERM')
      expect(await server.exit(), 'it may still signal its workers').toMatchObject({ code: 0 })
    },
  )

  test('that do not exist are refused by name', async (t) => {
    for (const flags of [
      ['--user', 'no-such-user'],
      ['--group', 'no-such-group'],
    ]) {
      const server = spawnServer(t, 'hello.js', ...flags)
      server.expectLog(/no-such/)
      expect((await server.exit()).code).toBeGreaterThan(0)
      const said = [server.stderr, ...server.lines.map(({ msg }) => msg)].join('\n')
      expect(said).toContain(flags[0])
      expect(said).toContain(flags[1])
      expect(server.lines.map(({ event }) => event)).not.toContain('listening')
    }
  })
})

// --- PID 1, as in a container without an init

/** What makes a command PID 1 of a namespace of its own; nothing where the system does not let us. */
function asPid1(): string[] {
  const unshare = ['--pid', '--fork', '--kill-child', '--mount-proc']
  const works = spawnSync('unshare', [...unshare, 'true']).status === 0
  return works ? ['unshare', ...unshare] : []
}

test.concurrent(
  'as PID 1 it stops on SIGTERM like anywhere else, with all last words written',
  async (t) => {
    const dir = tempDir(t)
    const wrapper = asPid1()
    const app = ['start', join(fixtures, 'handles-sigterm.js'), '--name', 'pid1']
    const words = [...wrapper, process.execPath, cli, ...app, '-p', join(dir, 'pid')]
    // Not the harness: the log speaks of pids of another namespace, which mean nothing out here.
    const child = spawn(words[0]!, words.slice(1), {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: bareEnvironment(),
    })
    t.onTestFinished(() => void child.kill('SIGKILL'))
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const ended = new Promise((resolve) => child.once('close', resolve))
    await until('it is ready', () => output.includes('"serverReady"'))
    if (wrapper.length > 0) expect(readFileSync(join(dir, 'pid'), 'utf8')).toBe('1\n')
    const url = /Listening at: (\S+)/.exec(output)![1]!
    const slow = request(url, '/slow?ms=500')
    await until('a request is in flight', () => output.includes('request started'))
    process.kill(wrapper.length > 0 ? childrenOf(child.pid!)[0]! : child.pid!, 'SIGTERM')
    expect((await slow).text).toBe('done')
    expect(await within('it ended', ended, 5_000)).toBe(0)
    expect(output).toContain('clean-up line 100 of 100\n')
    expect(JSON.parse(output.trim().split('\n').at(-1)!)).toMatchObject({ event: 'stopped' })
    expect(existsSync(join(dir, 'pid'))).toBe(false)
  },
)
