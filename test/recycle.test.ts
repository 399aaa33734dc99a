// maxRequests, maxMemory, maxLifetime: workers are replaced before they do harm, one at a time, and nobody notices.
import { describe, expect, test } from 'vitest'
import { ResidentMemory } from '../src/master/memory.ts'
import { startLoad } from './helpers/load.ts'
import { startServer } from './helpers/server.ts'
import { until } from './helpers/until.ts'
import { clientOfEach, extremes, slotsBooted } from './helpers/workers.ts'

const MB = 1024 ** 2

describe.each(['owned', 'cluster'])(
  '--max-requests (sockets: %s)',
  { concurrent: true },
  (sockets) => {
    const flags = ['--sockets', sockets, '--drain-idle', '0.3']

    test('replaces the only worker when it has served so many, and not before', async (t) => {
      const server = await startServer(t, 'hello.js', '--max-requests', '10', ...flags)
      const pids: string[] = []
      for (let n = 0; n < 10; n++) pids.push((await server.get('/pid')).text)
      expect(new Set(pids).size, 'ten of ten by the same one').toBe(1)
      const exited = await server.log(/^Worker exited/)
      expect(exited).toMatchObject({ worker: Number(pids[0]), reason: 'max-requests' })
      expect((await server.get('/pid')).text).not.toBe(pids[0])
      const order = server.lines.map(({ event }) => event)
      expect(order.lastIndexOf('workerReady')).toBeLessThan(order.indexOf('workerExiting'))
    })

    test('under load: no request is lost, no worker is missing, and only one is replaced at a time', async (t) => {
      const limits = ['--max-requests', '40', '--max-requests-jitter', '40']
      // a client that was just answered has so long for its next request, on a machine that is busy with this very test
      const patience = ['--drain-idle', '3']
      const all = ['--workers', '2', ...limits, ...flags, ...patience]
      const server = await startServer(t, 'hello.js', ...all)
      const load = startLoad(t, server.url)
      await server.logTimes(/^Worker exited .*: max-requests$/, 8)
      await load.stop()
      expect(load.failures).toEqual([])
      expect(extremes(server.lines)).toEqual({ fewestReady: 2, mostAlive: 3 })
      expect(new Set(slotsBooted(server))).toEqual(new Set([0, 1]))
    })
  },
)

test.concurrent(
  '--max-requests lets a long request finish on the worker that leaves',
  async (t) => {
    const server = await startServer(t, 'hello.js', '--max-requests', '2', '--drain-idle', '0.3')
    const slow = server.get('/slow?ms=1500')
    await server.prints(/request started/)
    const { text: old } = await server.get('/pid')
    await server.log(/^Worker exiting \(pid: \d+\): 1 request/)
    expect((await server.get('/pid')).text, 'another one serves already').not.toBe(old)
    expect((await slow).text).toBe('done')
  },
)

test.concurrent('without --max-requests no worker is replaced', async (t) => {
  const server = await startServer(t, 'hello.js')
  const load = startLoad(t, server.url, { pause: 0 })
  await until('a thousand requests were served', () => load.counts.ok >= 1_000)
  await load.stop()
  expect(load.failures).toEqual([])
  expect(slotsBooted(server)).toEqual([0])
})

describe('--max-memory', { concurrent: true }, () => {
  const flags = ['--max-memory', '200mb', '--stable-after', '0', '--drain-idle', '0.3']

  test('replaces a worker that stays above it, and says how much it had', async (t) => {
    const server = await startServer(t, 'hello.js', ...flags, '--workers', '2', '--no-rebalance')
    const [large, small] = await clientOfEach(t, server, 2)
    await large!.get('/grow?mb=200')
    const line = await server.log(/^Recycling worker/)
    expect(line).toMatchObject({ worker: large!.pid, reason: 'max-memory', limit: 200 * MB })
    expect(line['bytes']).toBeGreaterThan(200 * MB)
    expect(line.msg).toMatch(/more than 200 MB in memory for a while, now \d+ MB \(--max-memory\)$/)
    expect(await server.log(/^Worker exited/)).toMatchObject({ reason: 'max-memory' })
    expect(server.pids()).toContain(small!.pid)
    expect(extremes(server.lines)).toEqual({ fewestReady: 2, mostAlive: 3 })
  })

  test('below what the app needs anyway replaces it no sooner than --stable-after', async (t) => {
    const server = await startServer(t, 'hello.js', '--max-memory', '1mb', '--stable-after', '5')
    const ready = await server.log(/^Worker ready/)
    const line = await server.log(/^Recycling worker/)
    expect(Date.parse(line.time) - Date.parse(ready.time)).toBeGreaterThan(4_900)
  })
})

describe('--max-lifetime', { concurrent: true }, () => {
  test('under load: no request is lost, no worker is missing, one is replaced at a time', async (t) => {
    const limits = ['--max-lifetime', '0.4', '--max-lifetime-jitter', '0.6', '--drain-idle', '0.3']
    const server = await startServer(t, 'hello.js', '--workers', '2', ...limits)
    const load = startLoad(t, server.url)
    const [line] = await server.logTimes(/^Recycling worker .* it has served for/, 8)
    await server.logTimes(/^Worker exited .*: max-lifetime$/, 8)
    await load.stop()
    expect(load.failures).toEqual([])
    expect(extremes(server.lines)).toEqual({ fewestReady: 2, mostAlive: 3 })
    expect(line).toMatchObject({ reason: 'max-lifetime', limit: 0.4 })
    expect(line!['seconds']).toBeGreaterThanOrEqual(0.4)
  })

  test('is not the same for every worker with a jitter', async (t) => {
    const limits = ['--max-lifetime', '0.1', '--max-lifetime-jitter', '1h']
    const server = await startServer(t, 'hello.js', '--workers', '4', ...limits)
    await server.get('/slow?ms=1000')
    expect(server.lines.filter(({ event }) => event === 'recycling').length).toBeLessThan(4)
  })
})

describe('a recycled worker', { concurrent: true }, () => {
  const limits = ['--max-requests', '1', '--graceful-timeout', '0.5', '--drain-idle', '0.2']

  test('finishes its requests however long they take by their own deadline', async (t) => {
    const server = await startServer(t, 'hello.js', ...limits)
    const [pid] = server.pids()
    expect((await server.get('/slow?ms=2500')).text).toBe('done')
    expect(await server.log(/^Worker exited/)).toMatchObject({
      worker: pid,
      reason: 'max-requests',
    })
  })

  test('with a request that has no deadline keeps nobody else from being replaced', async (t) => {
    const config = { routes: { '/never': { timeout: 0 } } }
    const server = await startServer(t, 'hello.js', ...limits, '--workers', '2', { config })
    const never = server.get('/never').catch((error: NodeJS.ErrnoException) => error.code)
    await server.log(/^Worker exiting \(pid: \d+\): 1 request/)
    await until('a third worker was recycled', async () => {
      await server.get('/')
      return server.lines.filter(({ event }) => event === 'workerExited').length >= 2
    })
    server.expectLog(/was sent SIGKILL: it had not finished within 0.5 s/)
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    expect(await never, 'a reload waits no longer than --graceful-timeout').toBe('ECONNRESET')
  })

  test('with a request that has no deadline ends at a stop, within --graceful-timeout', async (t) => {
    const server = await startServer(t, 'hello.js', ...limits, '--timeout', '0')
    const never = server.get('/never').catch((error: NodeJS.ErrnoException) => error.code)
    await server.log(/^Worker exiting \(pid: \d+\): 1 request/)
    server.expectLog(/was sent SIGKILL: it had not finished within 0.5 s/)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 1 })
    expect(await never).toBe('ECONNRESET')
  })
})

test('memory is read alike from /proc and from ps, and not at all of what is gone', async () => {
  const read = (from?: 'ps'): Promise<number> =>
    new Promise((resolve) =>
      new ResidentMemory(from).read([process.pid, 2 ** 22 + 1], (pid, bytes) => {
        expect(pid).toBe(process.pid)
        resolve(bytes)
      }),
    )
  const own = process.memoryUsage.rss()
  expect((await read()) / own).toBeCloseTo(1, 0)
  expect((await read('ps')) / own).toBeCloseTo(1, 0)
})
