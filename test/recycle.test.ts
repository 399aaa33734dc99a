// maxRequests: workers are replaced after so many requests, never together, and nobody notices.
import { describe, expect, test } from 'vitest'
import { startLoad } from './helpers/load.ts'
import { startServer } from './helpers/server.ts'
import { until } from './helpers/until.ts'
import { extremes, slotsBooted } from './helpers/workers.ts'

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
      const server = await startServer(t, 'hello.js', '--workers', '2', ...limits, ...flags)
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
