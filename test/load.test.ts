// Every worker is killed, again and again, while clients keep coming: none is refused, none hangs, and only what was
// under way on a killed worker is lost.
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { startLoad, type Load } from './helpers/load.ts'
import { openFiles, zombieChildrenOf } from './helpers/process.ts'
import { cli, startServer, type LogLine, type Server } from './helpers/server.ts'
import { socketPath } from './helpers/temp.ts'
import { until } from './helpers/until.ts'
import { closeWaits, memoryOf } from './helpers/workers.ts'

const WORKERS = 2

/** Kills all workers at once; answers when the last of them was certainly dead, and all successors were ready. */
async function killAll(server: Server, round: number): Promise<number> {
  for (const pid of server.pids()) process.kill(pid, 'SIGKILL')
  await server.logTimes(/was ended by SIGKILL/, WORKERS * round)
  const deadAt = performance.now()
  await server.logTimes(/^Worker ready/, WORKERS * (round + 1))
  return deadAt
}

/** In every round a client may lose the one request that was in flight when its worker died, and once more if it came back to one that died a moment later. */
function expectOnlyInFlightLost(load: Load, deaths: readonly number[]): void {
  expect(load.failures.filter(({ outcome }) => outcome !== 'reset')).toEqual([])
  const lost = new Map<string, number>()
  for (const failure of load.failures) {
    const round = deaths.findIndex((deadAt) => failure.startedAt <= deadAt)
    expect(round, `sent after the last death: ${failure.message}`).toBeGreaterThanOrEqual(0)
    const key = `${failure.client} in round ${round}`
    const times = (lost.get(key) ?? 0) + 1
    expect(times, `failures of ${key}`).toBeLessThanOrEqual(WORKERS)
    lost.set(key, times)
  }
}

test('all workers SIGKILLed 20 times under load: nobody is refused, nobody hangs, nothing is left behind', async (t) => {
  const flags = ['--workers', String(WORKERS), '--backoff-max', '0', '--drain-idle', '0.3']
  const server = await startServer(t, 'hello.js', ...flags)
  server.expectLog(/was ended by SIGKILL/)
  const load = startLoad(t, server.url, { keepAlive: 8, newConnections: 8 })
  await load.everyoneServed()
  const deaths: number[] = []
  let [files, memory] = [0, 0]
  for (let round = 1; round <= 20; round++) {
    deaths.push(await killAll(server, round))
    await load.everyoneServed()
    if (round === 5) [files, memory] = [openFilesOf(server), memoryOnLinux(server)]
  }
  const counts = await load.stop()
  expect(counts).toMatchObject({ refused: 0, hung: 0, other: 0 })
  expectOnlyInFlightLost(load, deaths)
  expect(counts.ok).toBeGreaterThan(20 * 16)
  await until('no connection is stuck in the master', () => closeWaits(server.pid) === 0)
  expect(openFilesOf(server)).toBeLessThanOrEqual(files)
  expect(memoryOnLinux(server) - memory).toBeLessThan(15e6)
  expect(zombieChildrenOf(server.pid)).toEqual([])
  expect(server.pids()).toHaveLength(WORKERS)
})

const openFilesOf = ({ pid }: Server): number => (process.platform === 'linux' ? openFiles(pid) : 0)

const memoryOnLinux = ({ pid }: Server): number =>
  process.platform === 'linux' ? memoryOf(pid) : 0

test('requests sent while no worker lives are answered by the successors, over TCP and a unix socket', async (t) => {
  for (const bind of ['127.0.0.1:0', `unix:${socketPath(t)}`]) {
    const server = await startServer(t, 'hello-export.js', '--workers', String(WORKERS), { bind })
    server.expectLog(/was ended by SIGKILL/)
    const old = server.pids()
    for (const pid of old) process.kill(pid, 'SIGKILL')
    await server.logTimes(/was ended by SIGKILL/, 1)
    const answers = await Promise.all(Array.from({ length: 10 }, () => server.get('/pid')))
    for (const { text } of answers) expect(old).not.toContain(Number(text))
  }
})

test('a flood of connections costs the master nothing: neither CPU nor memory, and no worker ends', async (t) => {
  const server = await startServer(t, 'hello.js', '--workers', String(WORKERS))
  const workers = server.pids()
  const flood = async (): Promise<void> => {
    for (let wave = 0; wave < 10; wave++)
      await Promise.all(Array.from({ length: 200 }, () => server.get('/')))
  }
  await flood() // what is compiled and allocated once
  const before = [cpuSecondsOf(server.pid), memoryOnLinux(server)] as const
  await flood()
  expect(cpuSecondsOf(server.pid) - before[0]).toBeLessThan(0.5)
  expect(memoryOnLinux(server) - before[1]).toBeLessThan(15e6)
  expect(server.pids()).toEqual(workers)
})

/** User and system time; Linux only. */
function cpuSecondsOf(pid: number): number {
  if (process.platform !== 'linux') return 0
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

test('a worker without a file descriptor left accepts no more clients, neither spins nor ends, and goes on when there is one', async (t) => {
  const command = ['sh', '-c', 'ulimit -n 120; exec "$@"', 'sh', process.execPath, cli] as const
  const server = await startServer(t, 'hello.js', '--log-level', 'debug', { command })
  const [pid] = server.pids()
  await server.log(/: 0 requests in flight/) // its watchdog has what it needs
  const { port, hostname } = new URL(server.url)
  const answered = new Set<net.Socket>()
  const clients = Array.from({ length: 200 }, () => {
    const socket = net.connect(Number(port), hostname)
    socket.on('error', () => undefined) // ECONNRESET: closed before its request was read
    socket.once('data', () => answered.add(socket))
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    return socket
  })
  t.onTestFinished(() => clients.forEach((socket) => socket.destroy()))
  await until('each was answered or closed', () =>
    clients.every((socket) => socket.closed || answered.has(socket)),
  )
  expect(answered.size).toBeGreaterThan(20)
  expect(answered.size).toBeLessThan(120)
  const from = server.lines.length
  const looks = (): LogLine[] => server.lines.slice(from).filter((l) => l.event === 'digest')
  await until('two more digests', () => looks().length >= 2)
  expect(looks().at(-1)!['utilization'], 'it waits').toBeLessThan(0.5)
  for (const socket of clients) socket.destroy()
  await until('it serves again', () =>
    server.get('/pid').then(
      ({ text }) => text === String(pid),
      (error: NodeJS.ErrnoException) => error.code === undefined, // ECONNRESET: not yet
    ),
  )
})

describe('with --sockets cluster', () => {
  test('a worker killed under load leaves no hung client and no stuck connection in the master', async (t) => {
    const flags = ['--sockets', 'cluster', '--workers', '2', '--backoff-max', '0']
    const server = await startServer(t, 'hello.js', ...flags, '--drain-idle', '0.3')
    server.expectLog(/was ended by SIGKILL/)
    const options = { keepAlive: 4, newConnections: 12, pause: 0 }
    const load = startLoad(t, server.url, options)
    await load.everyoneServed()
    let files = 0
    for (let round = 1; round <= 10; round++) {
      process.kill(server.pids()[0]!, 'SIGKILL')
      await server.logTimes(/^Worker ready/, WORKERS + round)
      await load.everyoneServed()
      if (round === 2) files = openFilesOf(server)
    }
    const counts = await load.stop()
    expect(counts).toMatchObject({ hung: 0, refused: 0, other: 0 })
    await until('no connection is stuck in the master', () => closeWaits(server.pid) === 0)
    await until('its open files are as before', () => openFilesOf(server) <= files)
  })
})
