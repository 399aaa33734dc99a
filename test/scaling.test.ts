// A range of workers: more of them under load, fewer without, and what signals and reloads make of that.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { keepAliveClient } from './helpers/client.ts'
import { startLoad } from './helpers/load.ts'
import { fixtures, spawnServer, startServer, type Server } from './helpers/server.ts'
import { tempDir } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const soon = ['--scale-up-after', '1', '--scale-down-after', '2']
const never = ['--scale-up-after', '1h', '--scale-down-after', '1h']

const changes = (server: Server): string[] =>
  server.lines.flatMap(({ event, from, to }) =>
    event === 'workersChanged' ? `${String(from)} -> ${String(to)}` : [],
  )

describe('a range of workers', { concurrent: true }, () => {
  test('grows while event loops are busy and shrinks afterwards; no request is lost', async (t) => {
    const flags = ['--workers', '1-2', '--scale-up-at', '0.5', '--drain-idle', '0.3', ...soon]
    const server = await startServer(t, 'hello.js', ...flags)
    const light = startLoad(t, server.url, { keepAlive: 2, newConnections: 1, pause: 100 })
    const heavy = { keepAlive: 4, newConnections: 0, path: '/block?ms=40', pause: 0 }
    const load = startLoad(t, server.url, heavy)
    const grown = await server.log(/^Workers: 1 -> 2: busy for [\d.]+ s, the event loops are at/)
    expect(grown).toMatchObject({ from: 1, to: 2, reason: 'busy' })
    expect(grown['utilization']).toBeGreaterThanOrEqual(0.5)
    expect(grown['seconds']).toBeGreaterThanOrEqual(1)
    await server.logTimes(/^Worker ready/, 2)
    await load.everyoneServed()
    await load.stop()
    const shrunk = await server.log(/^Workers: 2 -> 1: one fewer would have done for [\d.]+ s/)
    expect(shrunk).toMatchObject({ from: 2, to: 1, reason: 'calm' })
    expect(shrunk['seconds']).toBeGreaterThanOrEqual(2)
    expect(await server.log(/^Worker exited/)).toMatchObject({ slot: 1, reason: 'scale' })
    await light.everyoneServed()
    await light.stop()
    expect([...load.failures, ...light.failures]).toEqual([])
    expect(changes(server)).toEqual(['1 -> 2', '2 -> 1'])
    expect(server.pids()).toHaveLength(1)
  })

  test('grows while connections wait to be accepted, however idle the loops are', async (t) => {
    const flags = ['--workers', '1-2', '--worker-connections', '1', '--scale-up-after', '1']
    const server = await startServer(t, 'hello.js', ...flags, '--no-rebalance', '--no-handover')
    const first = keepAliveClient(server.url)
    t.onTestFinished(() => first.destroy())
    const old = (await first.get('/pid')).text
    const waiting = server.get('/pid')
    if (process.platform !== 'linux')
      first.destroy() // nobody tells of the queue
    else expect(await server.log(/^Workers: 1 -> 2: conn/)).toMatchObject({ reason: 'queue' })
    const answer = await waiting
    expect(answer.status).toBe(200)
    expect(answer.text !== old).toBe(process.platform === 'linux')
  })

  test('stays within it when TTIN and TTOU ask for more, and says so', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '1-2', ...never)
    server.signal('SIGTTOU')
    await server.log(/^Workers: still 1, the fewest there may be \(--workers\)$/)
    server.signal('SIGTTIN')
    await server.log(/^Workers: 1 -> 2$/)
    await server.logTimes(/^Worker ready/, 2)
    server.signal('SIGTTIN')
    await server.log(/^Workers: still 2, the most there may be \(--workers\)$/)
    server.signal('SIGTTOU')
    await server.log(/^Workers: 2 -> 1$/)
    await until('one worker is left', () => server.pids().length === 1)
  })

  test('that nobody uses goes down to its smallest, one by one, and answers at once', async (t) => {
    const flags = ['--workers', '1-3', '--scale-up-after', '1h', '--scale-down-after', '3']
    const server = await startServer(t, 'hello.js', ...flags)
    const [first] = server.pids()
    for (const to of [2, 3]) {
      server.signal('SIGTTIN')
      await server.log(new RegExp(`^Workers: ${to - 1} -> ${to}$`))
    }
    await server.log(/^Workers: 3 -> 2: one fewer/)
    await server.log(/^Workers: 2 -> 1: one fewer/)
    await until('one worker is left', () => server.pids().length === 1)
    expect(server.pids()).toEqual([first])
    expect((await server.get('/')).text).toBe('hello')
    expect(changes(server)).toEqual(['1 -> 2', '2 -> 3', '3 -> 2', '2 -> 1'])
  })

  test('keeps its size through a reload if the new settings allow it', async (t) => {
    const cwd = tempDir(t)
    const set = (workers: unknown): void =>
      writeFileSync(
        join(cwd, 'supervisor.config.json'),
        JSON.stringify({ workers, scaleUpAfter: '1h', scaleDownAfter: '1h' }),
      )
    const app = join(fixtures, 'hello.js')
    set({ min: 1, max: 3 })
    const server = await startServer(t, app, { cwd })
    server.signal('SIGTTIN')
    await server.log(/^Workers: 1 -> 2$/)
    await server.logTimes(/^Worker ready/, 2)
    const sizes = [
      [{ min: 2, max: 4 }, 2],
      ['3-4', 3],
      [1, 1],
    ] as const
    for (const [round, [workers, size]] of sizes.entries()) {
      set(workers)
      server.signal('SIGHUP')
      await server.logTimes(/^Reload finished/, round + 1)
      await until(`there are ${size}`, () => server.pids().length === size)
    }
    expect(changes(server)).toEqual(['1 -> 2', '2 -> 3', '3 -> 1'])
  })

  test('that goes from more to fewer is refused, with what would be right', async (t) => {
    const server = spawnServer(t, 'hello.js', '--workers', '8-2')
    expect(await server.exit()).toMatchObject({ code: 2 })
    expect(server.stderr).toMatch(/--workers.*"8-2".*a range from the smaller number to the larger/)
  })
})
