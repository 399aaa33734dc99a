// Every worker is killed, again and again, while clients keep coming: none is refused, none hangs, and only what was
// under way on a killed worker is lost.
import { describe, expect, test } from 'vitest'
import { startLoad, type Load } from './helpers/load.ts'
import { openFiles, zombieChildrenOf } from './helpers/process.ts'
import { startServer, type Server } from './helpers/server.ts'
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
