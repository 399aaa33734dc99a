// --standby: booted workers without clients, one of which takes the place of a worker that dies or is replaced, before another
// one could boot.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startLoad } from './helpers/load.ts'
import { isAlive } from './helpers/process.ts'
import { startServer, type LogLine, type Server } from './helpers/server.ts'
import { tempDir } from './helpers/temp.ts'
import { until } from './helpers/until.ts'
import { extremes } from './helpers/workers.ts'

const APP = 'stands-by.mjs'
const ONE = ['--standby', '1', '--drain-idle', '0.3']

interface Told {
  readonly pid: number
  readonly slot: number
  readonly standby: boolean
  readonly env: string
  readonly title: string
}

/** The pid of the n-th standby that has booted. */
const standby = async (server: Server, n = 1): Promise<number> =>
  (await server.logTimes(/^Standby worker ready/, n))[n - 1]!['worker'] as number

const clientsTooEarly = (server: Server): string[] =>
  server.output.filter((line) => line.includes('before its time'))

const pidsIn = (lines: readonly LogLine[], event: string): unknown[] =>
  lines.flatMap((line) => (line.event === event ? [line['worker']] : []))

/** SIGKILL, then an answer of whoever serves next. */
async function killAndAsk(server: Server, pid: number): Promise<Told> {
  process.kill(pid, 'SIGKILL')
  return until('somebody else answers', async () => {
    // ECONNRESET: the kernel had not ended it yet
    const answer = await server.get('/worker').catch(() => undefined)
    const told = answer?.json<Told>()
    return told?.pid === pid ? undefined : told
  })
}

test.concurrent(
  'under load, the standby answers when the only worker is killed, and another one boots',
  async (t) => {
    const env = { BOOT_MS: '1000' }
    const server = await startServer(t, APP, ...ONE, '--stable-after', '0', { env })
    server.expectLog(/was ended by SIGKILL/)
    const load = startLoad(t, server.url)
    await load.everyoneServed()
    let [victim] = server.pids() as [number]
    for (let n = 1; n <= 3; n++) {
      const next = await standby(server, n)
      expect(await killAndAsk(server, victim), 'it had booted before').toEqual({
        pid: next,
        slot: 0,
        standby: false,
        env: '0',
        title: 'supervisor: worker 0 [stands-by]',
      })
      expect(await server.prints(new RegExp(`^active ${next}`))).toBe(
        `active ${next}: slot 0, was 1, standby true`,
      )
      victim = next
    }
    await load.everyoneServed()
    await load.stop()
    expect(load.failures.filter(({ outcome }) => outcome !== 'reset')).toEqual([])
    expect(clientsTooEarly(server)).toEqual([])
    expect(extremes(server.lines).mostAlive).toBe(2)
    const [first, second] = server.lines
      .filter(({ event }) => /^(booting|serverReady)$/.test(event))
      .slice(1)
    expect([first?.event, second?.event], 'not before all is ready').toEqual([
      'serverReady',
      'booting',
    ])
  },
)

test.concurrent('a promotion waits for the back-off, as a restart would', async (t) => {
  const server = await startServer(t, APP, ...ONE, '--stable-after', '60')
  server.expectLog(/was ended by SIGKILL/)
  const [first] = server.pids() as [number]
  const second = await standby(server)
  await killAndAsk(server, first)
  await standby(server, 2)
  process.kill(second, 'SIGKILL')
  const wait = await server.log(/^Worker slot 0 ended 2 times in a row; starting it again in 1 s/)
  const [, promoting] = await server.logTimes(/^Promoting standby worker/, 2)
  expect(Date.parse(promoting!.time) - Date.parse(wait.time)).toBeGreaterThan(900)
  expect((await server.get('/')).text).toBe('hello')
})

test.concurrent(
  'a worker whose loop is blocked is replaced by the standby, which is watched from then on',
  async (t) => {
    const server = await startServer(t, APP, ...ONE, '--timeout', '2')
    server.expectLog(/^WORKER TIMEOUT/)
    for (let n = 1; n <= 2; n++) {
      const next = await standby(server, n)
      expect((await server.get('/block?ms=60000')).status).toBe(504)
      await server.logTimes(/^Worker ready/, n + 1)
      expect((await server.get('/pid')).text).toBe(String(next))
    }
  },
)

test.concurrent(
  'a standby whose loop is blocked is noticed while it stands by, and another one boots',
  async (t) => {
    const STUCK = join(tempDir(t, { stuck: '' }), 'stuck')
    const flags = [...ONE, '--stall-timeout', '2', '--stable-after', '60']
    const server = await startServer(t, APP, ...flags, { env: { STUCK } })
    const [serving] = server.pids() as [number]
    const first = await standby(server)
    server.expectLog(/^WORKER TIMEOUT/)
    const line = await server.log(/^WORKER TIMEOUT/)
    expect(line).toMatchObject({ worker: first, reason: 'stall', neighbours: 0 })
    expect(line.msg).toMatch(/spinForever .*stands-by\.mjs:\d+/)
    const second = await standby(server, 2)
    rmSync(STUCK)
    await server.logTimes(/^WORKER TIMEOUT/, 2)
    const wait = await server.log(/^Worker slot 1 ended 2 times in a row; starting it again in 1 s/)
    const third = await standby(server, 3)
    expect(Date.parse((await bootOf(server, third)).time)).toBeGreaterThan(
      Date.parse(wait.time) + 900,
    )
    expect(server.pids(), 'who serves was left alone').toEqual([serving, third])
    expect(server.allPids()).toEqual([serving, first, second, third])
  },
)

const bootOf = (server: Server, pid: number): Promise<LogLine> =>
  server.log(new RegExp(`^Booting worker with pid: ${pid}\\b`))

test.concurrent(
  'a reload under load promotes a canary, then one after another, and loses nothing',
  async (t) => {
    const server = await startServer(t, APP, ...ONE, '--workers', '2')
    const old = [...server.pids(), await standby(server)]
    const load = startLoad(t, server.url)
    await load.everyoneServed()
    const from = server.lines.length
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    await load.everyoneServed()
    await load.stop()
    expect(load.failures).toEqual([])
    expect(clientsTooEarly(server)).toEqual([])
    const roll = server.lines.slice(from)
    expect(pidsIn(roll, 'promoting')).toEqual(pidsIn(roll, 'workerReady'))
    expect(pidsIn(roll, 'promoting')).toHaveLength(2)
    const { fewestReady, mostAlive } = extremes(server.lines)
    expect(fewestReady).toBe(2)
    expect(mostAlive, 'two, the standby, and the canary').toBeLessThanOrEqual(4)
    await standby(server, 4)
    await until('the old ones are gone', () => old.filter(isAlive).length === 0)
    expect(server.pids()).toHaveLength(3)
  },
)

test.concurrent(
  'a version that does not boot costs nothing: the old standby serves, and the next is tried again later',
  async (t) => {
    const BROKEN = join(tempDir(t), 'broken')
    const server = await startServer(t, APP, ...ONE, '--stable-after', '60', { env: { BROKEN } })
    const [victim] = server.pids() as [number]
    const spare = await standby(server)
    writeFileSync(BROKEN, '')
    server.expectLog(
      /^Reload failed/,
      /was ended by SIGKILL/,
      /failed to boot: .*broken on purpose/,
    )
    server.signal('SIGHUP')
    await server.log(/^Reload failed, the old workers go on: .*broken on purpose/)
    expect((await killAndAsk(server, victim)).pid).toBe(spare)
    await server.log(/^Worker slot 1 ended 2 times in a row; starting it again in 1 s/)
    expect((await server.get('/pid')).text).toBe(String(spare))
    rmSync(BROKEN)
    await standby(server, 2)
  },
)

test.concurrent('recycling under load promotes, and boots nobody for a slot', async (t) => {
  const limits = ['--max-requests', '40', '--max-requests-jitter', '40']
  const server = await startServer(t, APP, ...ONE, '--workers', '2', ...limits)
  const load = startLoad(t, server.url)
  await server.logTimes(/^Worker exited .*: max-requests$/, 5)
  await load.stop()
  expect(load.failures).toEqual([])
  expect(clientsTooEarly(server)).toEqual([])
  const booted = server.lines.filter(({ event }) => event === 'booting').slice(2)
  expect(booted.filter(({ standby }) => standby !== true)).toEqual([])
  expect(extremes(server.lines).fewestReady).toBe(2)
})

test.concurrent(
  'more workers are standbys that join, in the slot they have; fewer leave the standbys alone',
  async (t) => {
    const server = await startServer(t, APP, '--standby', '2')
    const both = [await standby(server, 1), await standby(server, 2)]
    server.signal('SIGTTIN')
    const { worker } = await server.log(/^Promoting standby worker \(pid: \d+\) to slot 1$/)
    await standby(server, 3)
    const left = both.filter((pid) => pid !== worker)
    server.signal('SIGTTOU')
    await server.log(/^Worker exited .*: scale$/)
    expect(server.pids()).toHaveLength(3)
    expect(server.pids()).toEqual(expect.arrayContaining(left))
  },
)

test.concurrent(
  'postWorkerInit is called at the promotion, and hooks are told the slot of the moment',
  async (t) => {
    const file = join(tempDir(t), 'supervisor.config.mjs')
    const say = (hook: string): string =>
      `${hook}: ({ pid, slot }) => console.log('${hook}', pid, 'has slot', slot)`
    writeFileSync(file, `export default { ${say('postFork')}, ${say('postWorkerInit')} }`)
    const server = await startServer(t, APP, ...ONE, '-c', file)
    server.expectLog(/was ended by SIGKILL/)
    const [victim] = server.pids() as [number]
    const next = await standby(server)
    await server.prints(new RegExp(`^postFork ${next} has slot 1`))
    await killAndAsk(server, victim)
    const called = await server.prints(new RegExp(`^postWorkerInit ${next}`))
    expect(called).toBe(`postWorkerInit ${next} has slot 0`)
  },
)

test.concurrent(
  'what throws when it is activated is an uncaught error of its worker, and the server goes on',
  async (t) => {
    const server = await startServer(t, APP, ...ONE, { env: { ACTIVATE: 'throws' } })
    server.expectLog(/was ended by SIGKILL/, /^UNCAUGHT ERROR .*activation failed/)
    const [victim] = server.pids() as [number]
    const next = await standby(server)
    expect((await killAndAsk(server, victim)).pid).toBe(next)
    await server.log(/^UNCAUGHT ERROR .*activation failed/)
    expect((await server.get('/')).text).toBe('hello')
  },
)

test.concurrent(
  'a standby that still boots is promoted too, being ahead of a new worker',
  async (t) => {
    const server = await startServer(t, APP, ...ONE, { env: { STANDBY_BOOT_MS: '1500' } })
    server.expectLog(/was ended by SIGKILL/)
    const { worker } = await server.log(/^Booting worker with pid: \d+ \(standby\)/)
    const [victim] = server.pids() as [number]
    expect(await killAndAsk(server, victim)).toMatchObject({ pid: worker, slot: 0, env: '0' })
    await server.prints(new RegExp(`^active ${String(worker)}: slot 0`))
    await standby(server)
  },
)

test.concurrent('a stop ends standbys with the workers, booted or not', async (t) => {
  const never = { env: { STANDBY_BOOT_MS: '60000' } }
  const booting = await startServer(t, APP, '--standby', '2', never)
  await booting.logTimes(/^Booting worker with pid: \d+ \(standby\)/, 2)
  const booted = await startServer(t, APP, '--standby', '2')
  await standby(booted, 2)
  for (const server of [booting, booted]) {
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(server.allPids()).toHaveLength(3)
    expect(server.allPids().filter(isAlive)).toEqual([])
  }
  expect(clientsTooEarly(booted)).toEqual([])
})

test.concurrent(
  "with node:cluster's own sockets there are none, and one line says so",
  async (t) => {
    const server = await startServer(t, APP, ...ONE, '--sockets', 'cluster')
    await server.log(/^There are no standby workers \(--standby\): /)
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    expect((await server.get('/worker')).json<Told>()).toMatchObject({ slot: 0, standby: false })
    expect(server.allPids()).toHaveLength(2)
    expect(server.lines.some(({ event }) => event === 'promoting')).toBe(false)
  },
)
