// What each signal means, to the master and to a worker; and a Ctrl-C that arrives by several ways at once.
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { groupOf, isAlive } from './helpers/process.ts'
import { cli, startServer } from './helpers/server.ts'
import { until } from './helpers/until.ts'
import { clientOfEach, slotsBooted } from './helpers/workers.ts'

const npmLike = fileURLToPath(new URL('fixtures/npm-like.mjs', import.meta.url))

describe.concurrent('SIGTTIN and SIGTTOU', () => {
  test('add a worker and take one away, but never the last', async (t) => {
    const server = await startServer(t, 'hello.js')
    const [first] = server.pids()
    server.signal('SIGTTIN')
    await server.log(/^Workers: 1 -> 2$/)
    server.signal('SIGTTIN')
    await server.log(/^Workers: 2 -> 3$/)
    await server.logTimes(/^Worker ready/, 3)
    expect(slotsBooted(server)).toEqual([0, 1, 2])
    server.signal('SIGTTOU')
    await server.log(/^Workers: 3 -> 2$/)
    server.signal('SIGTTOU')
    await server.log(/^Workers: 2 -> 1$/)
    await until('one worker is left', () => server.pids().length === 1)
    expect(server.pids(), 'the youngest left').toEqual([first])
    server.signal('SIGTTOU')
    await server.logTimes(/^Handling signal: ttou$/, 3)
    expect((await server.get('/pid')).text).toBe(String(first))
    expect(server.lines.filter(({ event }) => event === 'workersChanged')).toHaveLength(4)
  })

  test('let the worker that leaves finish its requests', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2', '--no-rebalance')
    const clients = await clientOfEach(t, server, 2)
    const slots = await Promise.all(clients.map(async (client) => (await client.get('/slot')).text))
    const leaver = clients[slots.indexOf('1')]!
    const slow = leaver.get('/slow?ms=700')
    await server.prints(/request started/)
    server.signal('SIGTTOU')
    await server.log(/^Worker exiting \(pid: \d+\): 1 request/)
    expect((await slow).text).toBe('done')
    const exited = await server.log(/^Worker exited/)
    expect(exited).toMatchObject({ worker: leaver.pid, slot: 1, reason: 'scale' })
  })
})

test.concurrent("SIGUSR1 is left to Node's debugger, and the server goes on", async (t) => {
  const server = await startServer(t, 'hello.js')
  server.signal('SIGUSR1')
  // Either, should something else on this machine be debugged as well.
  await until('node has answered', () =>
    /Debugger listening|Starting inspector.*failed/.test(server.stderr),
  )
  expect((await server.get('/')).text).toBe('hello')
  expect(server.lines.filter(({ event }) => event === 'handlingSignal')).toEqual([])
})

describe.concurrent('Ctrl-C', () => {
  test('reaches no worker: each leads a process group of its own', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2')
    for (const pid of server.pids()) expect(groupOf(pid)).toBe(pid)
    expect(groupOf(server.pid)).toBe(server.pid)
  })

  test('to the whole process group is handled once', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2')
    process.kill(-server.pid, 'SIGINT')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(server.lines.filter(({ event }) => event === 'handlingSignal')).toHaveLength(1)
  })

  test('under npm, which passes on what the terminal sends as well, is handled once: exit 0', async (t) => {
    const server = await startServer(t, 'hello.js', '--workers', '2', {
      command: [process.execPath, npmLike, process.execPath, cli],
    })
    const group = groupOf(server.pid)!
    expect(group, 'the server is a child of what leads the group').not.toBe(server.pid)
    const slow = server.get('/slow?ms=300')
    await server.prints(/request started/)
    const workers = server.pids()
    process.kill(-group, 'SIGINT')
    expect((await slow).text).toBe('done')
    expect(await server.exit()).toMatchObject({ code: 0, signal: null })
    expect(workers.filter(isAlive)).toEqual([])
    expect(server.lines.filter(({ event }) => event === 'handlingSignal')).toHaveLength(1)
    expect(server.lines.filter(({ event }) => event === 'workerKilled')).toEqual([])
  })
})

describe.each(['owned', 'cluster'])(
  'a signal to a worker (sockets: %s)',
  { concurrent: true },
  (sockets) => {
    for (const [signal, patience] of [
      ['SIGTERM', 700],
      ['SIGINT', 200],
    ] as const) {
      test(`${signal} lets it finish its requests, and another takes its slot`, async (t) => {
        const flags = ['--workers', '2', '--sockets', sockets, '--no-handover']
        const server = await startServer(t, 'hello.js', ...flags)
        const [client, other] = await clientOfEach(t, server, 2)
        const slot = (await client!.get('/slot')).text
        const slow = client!.get(`/slow?ms=${patience}`)
        await server.prints(/request started/)
        process.kill(client!.pid, signal)
        await server.log(/^Worker exiting \(pid: \d+\): 1 request/)
        const answer = await slow
        expect(answer.text).toBe('done')
        expect(answer.headers.connection).toBe('close')
        const exited = await server.log(/^Worker exited/)
        expect(exited).toMatchObject({ worker: client!.pid, reason: 'signal' })
        await server.logTimes(/^Worker ready/, 3)
        expect(String(slotsBooted(server)[2])).toBe(slot)
        expect((await other!.get('/pid')).text, 'the other one noticed nothing').toBe(
          String(other!.pid),
        )
        expect(server.lines.filter(({ event }) => event === 'workerCrashed')).toEqual([])
      })
    }

    test('SIGTERM to a worker whose app has a handler of its own: no request is cut, the handler runs', async (t) => {
      const flags = ['--workers', '2', '--sockets', sockets, '--no-rebalance']
      const server = await startServer(t, 'handles-sigterm.js', ...flags)
      const [client] = await clientOfEach(t, server, 2)
      const slow = client!.get('/slow?ms=500')
      await server.prints(/request started/)
      process.kill(client!.pid, 'SIGTERM')
      expect((await slow).text).toBe('done')
      await server.prints(/^clean-up line 100 of 100$/)
      await server.logTimes(/^Worker ready/, 3)
      expect((await server.get('/')).text).toBe('hello')
    })
  },
)
