// A worker that ends unasked: what the log says of it, who takes its place and when, and who notices nothing. And a
// master that does.
import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { request } from './helpers/client.ts'
import { controlPlace, runCommand } from './helpers/command.ts'
import { isAlive, zombieChildrenOf } from './helpers/process.ts'
import { cli, startServer, type LogLine } from './helpers/server.ts'
import { until } from './helpers/until.ts'
import { clientOfEach, grandchildrenOf, slotsBooted } from './helpers/workers.ts'

/** A request that its worker does not survive: the client sees the connection break. */
const fatal = async (answer: Promise<unknown>): Promise<void> => {
  await expect(answer).rejects.toMatchObject({ code: 'ECONNRESET' })
}

describe.concurrent('the log of a crash names', () => {
  test("the worker's pid and slot, the exit code, its uptime and its last 20 lines on stderr", async (t) => {
    const server = await startServer(t, 'last-words.js')
    const [pid] = server.pids()
    await fatal(server.get('/die'))
    server.expectLog(/exited with code 9/)
    const line = await server.log(/exited with code 9/)
    expect(line.msg).toMatch(
      new RegExp(`^Worker \\(pid:${pid}\\) exited with code 9 after [\\d.]+ s`),
    )
    expect(line).toMatchObject({ level: 'error', worker: pid, slot: 0, code: 9, signal: null })
    expect(line['uptime']).toBeGreaterThan(0)
    const words = Array.from({ length: 20 }, (_, i) => `last word ${i + 11}`)
    expect(line['stderr']).toEqual(words)
    expect(server.stderrLines, 'stderr itself has all of it').toContain('last word 1')
  })

  test('an uncaught error with its stack, with --crash exit', async (t) => {
    const server = await startServer(t, 'hello.js', '--crash', 'exit')
    await fatal(server.get('/crash'))
    server.expectLog(/exited with code 1/)
    const { stderr } = await server.log(/exited with code 1/)
    expect(String(stderr)).toMatch(/Error: crash was asked for.*at .*routes\.js:\d+/)
  })

  test('an unhandled rejection with its stack, with --crash exit', async (t) => {
    const server = await startServer(t, 'hello.js', '--crash', 'exit')
    await fatal(server.get('/reject'))
    server.expectLog(/exited with code 1/)
    const { stderr } = await server.log(/exited with code 1/)
    expect(String(stderr)).toMatch(/Error: a rejection was asked for.*at .*routes\.js:\d+/)
  })

  test('a SIGKILL that was not ours, without guessing at memory', async (t) => {
    const server = await startServer(t, 'hello.js')
    await fatal(server.get('/abort'))
    server.expectLog(/was ended by SIGKILL/)
    const line = await server.log(/was ended by SIGKILL/)
    expect(line).toMatchObject({ code: null, signal: 'SIGKILL' })
    expect(line['cause']).toMatch(/^not by us/)
    expect(line['cause']).not.toMatch(/^out of memory/)
  })
})

test.concurrent(
  "an app's own uncaughtException listener goes on working, and its worker lives on",
  async (t) => {
    const server = await startServer(t, 'handles-own-errors.js')
    const [pid] = server.pids()
    const crashed = server.get('/crash').catch(() => undefined)
    await until('the listener was called', () =>
      server.stderr.includes('the app handled: crash was asked for'),
    )
    expect((await server.get('/pid')).text).toBe(String(pid))
    server.signal('SIGINT')
    await crashed
    expect(await server.exit()).toMatchObject({ code: 0 })
  },
)

describe.each(['owned', 'cluster'])(
  'a worker that ends (sockets: %s)',
  { concurrent: true },
  (sockets) => {
    const flags = ['--sockets', sockets, '--no-rebalance']

    test('is replaced at once, in its slot, under a new id, and its siblings notice nothing', async (t) => {
      const server = await startServer(t, 'hello.js', '--workers', '2', ...flags)
      const [victim, sibling] = await clientOfEach(t, server, 2)
      const slot = (await victim!.get('/slot')).text
      const { id } = (await victim!.get('/cluster')).json<{ id: number }>()
      const slow = sibling!.get('/slow?ms=700')
      await server.prints(/request started/)
      server.expectLog(/was ended by SIGKILL/)
      process.kill(victim!.pid, 'SIGKILL')
      const crash = await server.log(/was ended by SIGKILL/)
      const boot = await server.log(/^Booting worker/, { from: server.lines.indexOf(crash) })
      expect(String(boot['slot'])).toBe(slot)
      expect(Date.parse(boot.time) - Date.parse(crash.time), 'without waiting').toBeLessThan(500)
      await server.logTimes(/^Worker ready/, 3)
      expect((await slow).text).toBe('done')
      const [one, two] = await clientOfEach(t, server, 2)
      const ids = await Promise.all(
        [one!, two!].map(async (c) => (await c.get('/cluster')).json<{ id: number }>().id),
      )
      expect([one!.pid, two!.pid]).toContain(sibling!.pid)
      expect(ids).not.toContain(id)
    })
  },
)

for (const code of [0, 1, 3, 4]) {
  test.concurrent(
    `an app that was up and exits with ${code} does not end the server`,
    async (t) => {
      const server = await startServer(t, 'hello.js')
      await fatal(server.get(`/exit?code=${code}`))
      server.expectLog(/exited with code/)
      expect(await server.log(/exited with code/)).toMatchObject({ code })
      expect((await server.get('/')).text).toBe('hello')
    },
  )
}

test.concurrent('what a worker started does not outlive it', async (t) => {
  const server = await startServer(t, 'grandchild.js')
  const grandchild = Number((await server.get('/grandchild')).text)
  expect(isAlive(grandchild)).toBe(true)
  server.expectLog(/was ended by SIGKILL/)
  await fatal(server.get('/abort'))
  await until('the grandchild is gone', () => !isAlive(grandchild))
})

describe.concurrent('a crash loop', () => {
  test('waits 0, 1, 2 ... seconds up to --backoff-max, never gives up, and clients meanwhile wait in the queue', async (t) => {
    const flags = ['--crash', 'exit', '--backoff-max', '1.5', '--stable-after', '60']
    const server = await startServer(t, 'crash-once-ready.js', ...flags)
    server.expectLog(/exited with code 1/)
    const [second, third] = await server.logTimes(/^Worker slot 0 ended \d times in a row/, 2)
    expect(second).toMatchObject({ level: 'warning', crashes: 2, seconds: 1 })
    expect(third).toMatchObject({ crashes: 3, seconds: 1.5 })
    const askedInTheOutage = server.get('/')
    await server.logTimes(/^Worker ready/, 4)
    expect((await askedInTheOutage).text).toBe('hello')
    const waits = waitsBetween(server.lines)
    expect(waits[0]).toBeLessThan(700)
    expect(waits[1]).toBeGreaterThan(950)
    expect(waits[2]).toBeGreaterThan(1_450)
  })

  test('begins anew after a stable time', async (t) => {
    const server = await startServer(
      t,
      'crash-once-ready.js',
      '--crash',
      'exit',
      '--stable-after',
      '0.05',
    )
    server.expectLog(/exited with code 1/)
    await server.logTimes(/^Booting worker/, 5)
    expect(server.lines.filter(({ event }) => event === 'backingOff')).toEqual([])
  })

  test('is left by SIGTERM at once, with exit 0', async (t) => {
    const server = await startServer(t, 'crash-once-ready.js', '--crash', 'exit')
    server.expectLog(/exited with code 1/)
    await server.log(/starting it again in 1 s/)
    server.signal('SIGTERM')
    const exit = await server.exit()
    expect(exit.code).toBe(0)
    expect(exit.ms).toBeLessThan(900)
  })
})

/** From each crash to the next boot, ms. */
function waitsBetween(lines: readonly LogLine[]): number[] {
  const crashes = lines.filter(({ event }) => event === 'workerCrashed')
  return crashes.map((crash) => {
    const next = lines.slice(lines.indexOf(crash)).find(({ event }) => event === 'booting')
    return next ? Date.parse(next.time) - Date.parse(crash.time) : Infinity
  })
}

test('a hundred crashes leave no zombie and no open file, use each slot again and no id twice', async (t) => {
  const flags = ['--workers', '5', '--backoff-max', '0', '--no-rebalance']
  const server = await startServer(t, 'hello.js', ...flags)
  server.expectLog(/was ended by SIGKILL/)
  const filesBefore = openFilesOf(server.pid)
  for (let round = 1; round <= 20; round++) {
    for (const pid of server.pids()) process.kill(pid, 'SIGKILL')
    await server.logTimes(/^Worker ready/, 5 + 5 * round)
  }
  expect(server.pids()).toHaveLength(5)
  expect(zombieChildrenOf(server.pid)).toEqual([])
  expect(openFilesOf(server.pid)).toBeLessThanOrEqual(filesBefore)
  expect(new Set(slotsBooted(server))).toEqual(new Set([0, 1, 2, 3, 4]))
  expect(new Set(server.allPids()).size).toBe(105)
  const clients = await clientOfEach(t, server, 5)
  const facts = await Promise.all(
    clients.map(async (client) =>
      (await client.get('/cluster')).json<{ id: number; slot: string }>(),
    ),
  )
  expect(facts.map(({ slot }) => slot).sort()).toEqual(['0', '1', '2', '3', '4'])
  expect(new Set(facts.map(({ id }) => id)).size).toBe(5)
  for (const { id } of facts) expect(id).toBeGreaterThan(100)
})

test('a process that the system refuses is tried again later, and nobody notices', async (t) => {
  const env = controlPlace(t)
  const limited = ['sh', '-c', 'ulimit -n 50; exec "$0" "$@"', process.execPath, cli] as const
  const server = await startServer(t, 'hello.js', '--backoff-max', '1', { env, command: limited })
  server.expectLog(/cannot start a worker process: spawn \S+ EMFILE/)
  await runCommand(env, ['scale', '30'])
  await server.logTimes(/cannot start a worker process/, 3)
  expect((await server.get('/')).text).toBe('hello')
  expect((await runCommand(env, ['scale', '1'])).code).toBe(0)
  await until('the others have left', () => server.pids().length === 1)
  const { stdout } = await runCommand(env, ['status', '--json'])
  expect(JSON.parse(stdout)).toMatchObject({ target: 1, ready: 1 })
})

const openFilesOf = (pid: number): number =>
  process.platform === 'linux' ? readdirSync(`/proc/${pid}/fd`).length : 0

describe.each(['owned', 'cluster'])('when the master is killed (sockets: %s)', (sockets) => {
  test('workers and what they started end within a second, and the port is free', async (t) => {
    const server = await startServer(t, 'grandchild.js', '--workers', '2', '--sockets', sockets)
    const { url } = server
    const family = [...(await grandchildrenOf(server, 2)), ...server.pids()]
    expect(family.filter(isAlive)).toHaveLength(4)
    const never = server.get('/never').catch((error: NodeJS.ErrnoException) => error.code)
    const killedAt = performance.now()
    server.signal('SIGKILL')
    await until('all of them are gone', () => family.filter(isAlive).length === 0)
    expect(performance.now() - killedAt).toBeLessThan(1_500)
    expect(await never).toMatch(/ECONNRE(SET|FUSED)/)
    await expect(request(url, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})
