// USR2: a new master inherits the sockets and takes over, or the old one goes on as if nothing had happened.
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { RawClient, request } from './helpers/client.ts'
import { startLoad, type Load } from './helpers/load.ts'
import { childrenOf, isAlive, openFiles, signalIfThere } from './helpers/process.ts'
import {
  bareEnvironment,
  cli,
  fixtures,
  startServer,
  type LogLine,
  type Server,
} from './helpers/server.ts'
import { socketPath, tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const library = fileURLToPath(new URL('../dist/index.js', import.meta.url))
const isLinux = process.platform === 'linux'

/** USR2 to the youngest master; answers when a new one serves, and the old one is gone. */
async function upgrade(server: Server): Promise<{ from: number; to: number }> {
  const from = server.masters().at(-1)!
  const { length } = server.lines
  process.kill(from, 'SIGUSR2')
  const { master } = await server.log(/^Upgraded/, { from: length })
  await server.log(/^In charge, in the place of/, { from: length })
  await until('the old master is gone', () => !isAlive(from))
  return { from, to: master as number }
}

/** USR2 that comes to nothing: the line that says why. */
async function failingUpgrade(server: Server): Promise<LogLine> {
  const { length } = server.lines
  server.signal('SIGUSR2')
  return server.log(/^Upgrade failed/, { from: length })
}

const eventsOf = (server: Server, event: string): LogLine[] =>
  server.lines.filter((line) => line.event === event)

const program = (text: string): string => `#!/bin/sh\n${text}\n`

/** Each inode of a socket that the process has open, with how often; Linux only. */
function socketsOf(pid: number): Map<string, number> {
  const counts = new Map<string, number>()
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const link = existsSync(`/proc/${pid}/fd/${fd}`) ? readlinkSync(`/proc/${pid}/fd/${fd}`) : ''
    if (link.startsWith('socket:')) counts.set(link, (counts.get(link) ?? 0) + 1)
  }
  return counts
}

/** What the pidfile said, over and over, until stop(). */
function watchPidfile(file: string): () => string[] {
  const seen = new Set<string>()
  const timer = setInterval(
    () => seen.add(existsSync(file) ? readFileSync(file, 'utf8').trim() : 'missing'),
    1,
  )
  return () => {
    clearInterval(timer)
    return [...seen]
  }
}

describe.concurrent('an upgrade under load', () => {
  test('and another one lose no request over TCP and a unix socket, and leave nothing behind', async (t) => {
    const dir = tempDir(t)
    const [pidfile, path] = [join(dir, 'pid'), join(dir, 'app.sock')]
    const flags = ['--workers', '2', '--pidfile', pidfile, '--bind', `unix:${path}`]
    const server = await startServer(t, 'hello-export.js', ...flags)
    const { urls, pid } = server
    const workers = server.pids()
    const inode = statSync(path).ino
    const loads = urls.map((url) => startLoad(t, url, { keepAlive: 3, newConnections: 3 }))
    await Promise.all(loads.map((load) => load.everyoneServed()))
    const stopWatching = watchPidfile(pidfile)

    const first = await upgrade(server)
    expect(first.from).toBe(pid)
    expect(await server.left()).toMatchObject({ code: 0, signal: null })
    await Promise.all(loads.map((load) => load.everyoneServed()))
    const files = isLinux ? openFiles(first.to) : 0
    const second = await upgrade(server)
    await Promise.all(loads.map((load) => load.everyoneServed()))
    await Promise.all(loads.map((load) => load.stop()))

    expect(loads.flatMap(({ failures }) => failures)).toEqual([])
    expect(server.urls, 'the same addresses').toEqual(urls)
    expect(statSync(path).ino, 'the same file').toBe(inode)
    expect(server.pids()).toHaveLength(2)
    expect(server.pids().filter((one) => workers.includes(one))).toEqual([])
    expect(stopWatching().filter((seen) => ![pid, first.to, second.to].includes(+seen))).toEqual([])
    expect(readFileSync(pidfile, 'utf8')).toBe(`${second.to}\n`)
    if (isLinux) {
      await until('no descriptor was left behind', () => openFiles(second.to) <= files)
      for (const worker of server.pids())
        for (const [socket, count] of socketsOf(worker))
          expect({ socket, count }, 'its own duplicate only').toEqual({ socket, count: 1 })
    }
    expect((await server.get('/env?name=SUPERVISOR_BEQUEST')).text).toBe('')
    process.kill(second.to, 'SIGTERM')
    await until('it has stopped', () => !isAlive(second.to))
    expect(existsSync(path)).toBe(false)
    expect(existsSync(pidfile)).toBe(false)
  })

  test('lets the old workers finish what they have begun, TERM or not', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2')
    const client = await RawClient.connect(server.url)
    t.onTestFinished(() => client.destroy())
    client.send('POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 12\r\n\r\nfirst')
    await client.receives(/first/)
    server.signal('SIGUSR2')
    await server.log(/^Upgraded/)
    await server.log(/^Worker exiting \(pid: \d+\): 1 request/)
    server.signal('SIGTERM')
    await server.log(/^Ignored term: a new master is in charge$/)
    client.send(' second')
    await client.receives(/second/)
    expect(await server.left()).toMatchObject({ code: 0 })
    expect((await server.get('/')).text).toBe('hello')
  })
})

describe.concurrent('the new master', () => {
  test('has the number of workers that TTIN asked for', async (t) => {
    const server = await startServer(t, 'hello.js')
    server.signal('SIGTTIN')
    await server.logTimes(/^Worker ready/, 2)
    await upgrade(server)
    await server.log(/^Server is ready: 2 workers/)
    expect(server.pids()).toHaveLength(2)
  })

  test('serves on at fd://N', async (t) => {
    const socket = net.createServer()
    socket.listen(0, '127.0.0.1')
    await until('it listens', () => socket.listening)
    const { port } = socket.address() as net.AddressInfo
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
    const options = { bind: 'fd://3', fds: [fd] }
    const server = await startServer(t, 'hello-export.js', '--drain-idle', '0.1', options)
    socket.close()
    await upgrade(server)
    expect((await request(`http://127.0.0.1:${port}`, '/')).text).toBe('hello')
  })

  test('closes what its settings no longer ask for, the file of a unix socket too', async (t) => {
    const [kept, dropped] = [socketPath(t), socketPath(t)]
    const cwd = tempDir(t, { 'app.js': 'module.exports = (req, res) => res.end("hello")' })
    const configure = (...paths: string[]): void => {
      const bind = paths.map((path) => `unix:${path}`)
      writeFileSync(join(cwd, 'supervisor.config.json'), JSON.stringify({ bind }))
    }
    configure(kept, dropped)
    const server = await startServer(t, 'app.js', { cwd, bind: false })
    configure(kept)
    await upgrade(server)
    expect((await request(`unix:${kept}`, '/')).text).toBe('hello')
    await until('the other one is gone', () => !existsSync(dropped))
  })

  test('runs on the node that PATH leads to now, in the directory that the link leads to now, with the package there', async (t) => {
    const release = `console.log('this is ' + __dirname); require(${JSON.stringify(cli)})`
    const app = 'module.exports = (req, res) => res.end(process.cwd())'
    const root = tempDir(t, {
      'one/cli.cjs': release,
      'one/app.js': app,
      'two/cli.cjs': release,
      'two/app.js': app,
      'bin/keep': '',
    })
    const [bin, current] = [join(root, 'bin'), join(root, 'current')]
    symlinkSync(process.execPath, join(bin, 'node'))
    symlinkSync('one', current)
    const env = { PATH: `${bin}:${process.env['PATH']}`, PWD: current }
    const options = { cwd: current, env, command: ['node', 'cli.cjs'] as const }
    const server = await startServer(t, 'app.js', options)
    expect((await server.get('/')).text).toBe(join(root, 'one'))

    rmSync(join(bin, 'node'))
    const shim = `echo "$1" > ${root}/called\nexec ${process.execPath} "$@"`
    writeFileSync(join(bin, 'node'), program(shim))
    chmodSync(join(bin, 'node'), 0o755)
    symlinkSync('two', join(root, 'next'))
    renameSync(join(root, 'next'), current)
    await upgrade(server)
    expect(readFileSync(join(root, 'called'), 'utf8')).toBe(`${current}/cli.cjs\n`)
    expect((await server.get('/')).text).toBe(join(root, 'two'))
    await server.prints(new RegExp(`^this is ${join(root, 'two')}$`))

    rmSync(join(root, 'called'))
    await upgrade(server)
    expect(existsSync(join(root, 'called')), 'the next one looks there too').toBe(true)
  })

  test('is told to systemd, or a line says why not', async (t) => {
    const notify = program('echo "$@" >> "$NOTIFY_SOCKET"')
    const dir = tempDir(t, { 'bin/systemd-notify': notify, 'lonely/keep': '' })
    chmodSync(join(dir, 'bin/systemd-notify'), 0o755)
    const env = { NOTIFY_SOCKET: join(dir, 'told'), PATH: `${dir}/bin:${process.env['PATH']}` }
    const server = await startServer(t, 'hello.js', { env })
    const { to } = await upgrade(server)
    await until('it is told', () =>
      readFileSync(join(dir, 'told'), 'utf8').includes(`MAINPID=${to}\n`),
    )
    writeFileSync(join(dir, 'bin/systemd-notify'), program('exit 7'))
    await upgrade(server)
    const line = await server.log(/^systemd was not told that master \d+ is in charge/)
    expect(line).toMatchObject({ level: 'warning', why: 'systemd-notify ended with 7' })
  })
})

test('a new version that is broken, one way or the other, changes nothing, and one line says why', async (t) => {
  const good = 'module.exports = (req, res) => res.end("hello")'
  const cwd = tempDir(t)
  const pidfile = join(cwd, 'pid')
  const settings = { bootTimeout: 20, workers: 2, pidfile }
  const deploy = (app: string, change: object = {}): void => {
    writeFileSync(join(cwd, 'app.js'), app)
    writeFileSync(join(cwd, 'supervisor.config.json'), JSON.stringify({ ...settings, ...change }))
  }
  deploy(good)
  const server = await startServer(t, 'app.js', { cwd })
  server.expectLog(/^Upgrade failed/, /was not ready within|failed to boot/)
  const workers = server.pids()
  const load = startLoad(t, server.url, { keepAlive: 2, newConnections: 2, pause: 10 })
  const broken: [string, object, RegExp][] = [
    ['throw new Error("version two")', {}, /failed to boot: .*Error: version two$/],
    ['process.exit(0)', {}, /exited with code 0/],
    ['setInterval(() => {}, 1000)', { bootTimeout: 0.3 }, /not ready within 0.3 s/],
    [
      'module.exports = (req, res) => res.writeHead(500).end()',
      { readyCheck: '/', bootTimeout: 2 },
      /not ready within 2 s/,
    ],
    [good, { wrokers: 3 }, /wrokers .*is not a known setting; did you mean workers/],
    [good, { node: './no-such-node' }, /cannot start \.\/no-such-node: .*ENOENT/],
    [good, { pidfile: '/no/such/directory/pid' }, /cannot write the pidfile \/no\/such/],
  ]
  for (const [app, change, why] of broken) {
    deploy(app, change)
    expect((await failingUpgrade(server)).error).toMatch(why)
    await until('the new master is gone', () => server.masters().length === 1)
  }
  deploy(good)
  rmSync(join(cwd, 'app.js'))
  expect((await failingUpgrade(server)).error).toMatch(/app\.js/)
  await load.everyoneServed()
  await load.stop()
  expect(load.failures).toEqual([])
  expect(server.pids()).toEqual(workers)
  expect(readFileSync(pidfile, 'utf8')).toBe(`${server.pid}\n`)
  expect(eventsOf(server, 'upgradeFailed')).toHaveLength(broken.length + 1)
  expect(eventsOf(server, 'startFailed')).toEqual([])
  deploy(good)
  await upgrade(server)
  expect((await server.get('/')).text).toBe('hello')
})

describe.concurrent('while the new master boots', () => {
  /** The new master's worker boots until `goOn()`. */
  const halfWay = async (
    t: Teardown,
    ...flags: string[]
  ): Promise<{ server: Server; heir: number; load: Load; goOn: () => void }> => {
    const dir = tempDir(t)
    const slow = join(dir, 'slow')
    const app = `
      const { existsSync } = require('node:fs')
      const ready = () => require('node:http').createServer((req, res) => res.end('hello')).listen(0, '127.0.0.1')
      const look = () => (existsSync(${JSON.stringify(slow)}) ? setTimeout(look, 20) : ready())
      look()`
    writeFileSync(join(dir, 'app.js'), app)
    const server = await startServer(t, 'app.js', ...flags, { cwd: dir })
    const load = startLoad(t, server.url, { keepAlive: 2, newConnections: 2, pause: 10 })
    await load.everyoneServed()
    writeFileSync(slow, '')
    server.signal('SIGUSR2')
    await server.logTimes(/^Booting worker/, 2)
    const heir = server.masters().at(-1)!
    expect(heir).not.toBe(server.pid)
    return { server, heir, load, goOn: () => rmSync(slow) }
  }

  test('another USR2, HUP and TTIN are refused; its death leaves the old one serving', async (t) => {
    const { server, heir, load } = await halfWay(t)
    for (const [signal, name] of [
      ['SIGUSR2', 'usr2'],
      ['SIGHUP', 'hup'],
      ['SIGTTIN', 'ttin'],
    ] as const) {
      server.signal(signal)
      await server.log(new RegExp(`^Ignored ${name}: an upgrade is under way$`))
    }
    server.expectLog(/^Upgrade failed/)
    process.kill(heir, 'SIGKILL')
    const { error } = await server.log(/^Upgrade failed/)
    expect(error).toBe('it was ended by SIGKILL before it was in charge')
    await load.everyoneServed()
    await load.stop()
    expect(load.failures).toEqual([])
    server.signal('SIGHUP')
    await server.log(/^Hang up: Master/)
  })

  test.for([
    ['TERM to the old one', 'SIGTERM', 1],
    ['Ctrl-C, which both get,', 'SIGINT', -1],
  ] as const)('%s ends both, without a kill', async ([, signal, whom], t) => {
    const dir = tempDir(t)
    const path = join(dir, 'pid')
    const { server, heir, load } = await halfWay(t, '--pidfile', path)
    await load.stop()
    process.kill(whom * server.pid, signal)
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(isAlive(heir)).toBe(false)
    expect(load.failures).toEqual([])
    expect(existsSync(path)).toBe(false)
  })

  test('the death of the old one puts it in charge', async (t) => {
    const pidfile = join(tempDir(t), 'pid')
    const { server, heir, load, goOn } = await halfWay(t, '--pidfile', pidfile)
    await load.stop()
    server.signal('SIGKILL')
    await server.left()
    goOn()
    await server.log(/^In charge: master \d+ ended before it handed over$/)
    expect(readFileSync(pidfile, 'utf8')).toBe(`${heir}\n`)
    expect((await server.get('/')).text).toBe('hello')
  })
})

describe.concurrent('no upgrade is possible', () => {
  test('of process 1 of a container, which says so; of any other, it is', async (t) => {
    const unshare = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']
    const isPossible = spawnSync(unshare[0]!, [...unshare.slice(1), 'true']).status === 0
    const words = [
      process.execPath,
      cli,
      'start',
      join(fixtures, 'hello-export.js'),
      '-b',
      '127.0.0.1:0',
    ]
    const [program, ...args] = isPossible ? [...unshare, ...words] : words
    // Not the harness: the log speaks of pids of another namespace, which mean nothing out here.
    const child = spawn(program!, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: bareEnvironment(),
    })
    t.onTestFinished(() => void child.kill('SIGTERM'))
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await until('it is ready', () => output.includes('"serverReady"'))
    const master = isPossible ? childrenOf(child.pid!)[0]! : child.pid!
    process.kill(master, 'SIGUSR2')
    const event = isPossible ? '"upgradeRefused"' : '"upgraded"'
    await until('it has answered', () => output.includes(event))
    if (isPossible) expect(output).toMatch(/No upgrade: a container ends with its first process/)
    const url = /Listening at: (\S+)/.exec(output)![1]!
    expect((await request(url, '/')).text).toBe('hello')
    for (const [, pid] of output.matchAll(/"pid":(\d+),"time":"[^"]+","event":"starting"/g))
      if (!isPossible) signalIfThere(Number(pid), 'SIGTERM')
    if (isPossible) process.kill(master, 'SIGTERM')
    await until('it has ended', () => output.includes('"stopped"'))
  })

  test('of a program that uses the library', async (t) => {
    const dir = tempDir(t, {
      'program.mjs': `import { supervise } from ${JSON.stringify(library)}
        await supervise('hello.js', { logFormat: 'json', bind: '127.0.0.1:0' })`,
    })
    const server = await startServer(t, 'hello.js', {
      command: [process.execPath, join(dir, 'program.mjs')],
    })
    server.signal('SIGUSR2')
    await server.log(/^No upgrade: this master is a program of yours/)
    expect((await server.get('/')).text).toBe('hello')
  })

  test('where node:cluster has the sockets', async (t) => {
    const server = await startServer(t, 'hello.js', '--sockets', 'cluster')
    server.signal('SIGUSR2')
    expect(await server.log(/^No upgrade: node:cluster/)).toMatchObject({ level: 'warning' })
    expect((await server.get('/')).text).toBe('hello')
  })
})
