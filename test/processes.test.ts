// The setting `processes`: what runs beside the workers lives as long as the server, and never harms it.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../src/config.ts'
import type { ProcessStatus, ServerStatus } from '../src/control-protocol.ts'
import { controlPlace, runCommand } from './helpers/command.ts'
import { isAlive } from './helpers/process.ts'
import { fixtures, startServer, type Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const beside = join(fixtures, 'beside.mjs')
const isLinux = process.platform === 'linux'

interface Started {
  readonly server: Server
  /** For the next reload. */
  write(processes: object): void
  /** Lines that the processes wrote. */
  journal(): string[]
  /** Pids of a group whose processes have begun, oldest first. */
  begun(group: string): number[]
  status(): Promise<ServerStatus>
}

async function start(t: Teardown, processes: object): Promise<Started> {
  const env = controlPlace(t)
  const dir = tempDir(t, { journal: '' })
  const [file, JOURNAL] = [join(dir, 'supervisor.config.json'), join(dir, 'journal')]
  const write = (groups: object): void =>
    writeFileSync(file, JSON.stringify({ env: { JOURNAL }, processes: groups }))
  write(processes)
  const server = await startServer(t, 'hello.js', '-c', file, { env })
  const journal = (): string[] => readFileSync(JOURNAL, 'utf8').split('\n').filter(Boolean)
  const begun = (group: string): number[] =>
    journal().flatMap((line) =>
      line.startsWith(`${group}.`) ? [Number(line.split(' ').at(-1))] : [],
    )
  const status = async (): Promise<ServerStatus> => {
    await until('it answers', async () => (await runCommand(env, ['status'])).code === 0)
    return JSON.parse((await runCommand(env, ['status', '--json'])).stdout) as ServerStatus
  }
  return { server, write, journal, begun, status }
}

const groupsOf = (processes: readonly ProcessStatus[]): string[] =>
  processes.map(({ group, slot, state }) => `${group}.${slot} ${state}`).sort()

describe.concurrent('processes beside the workers', () => {
  test('start with the server, are told by status, and end with it', async (t) => {
    const { server, begun, journal, status } = await start(t, {
      scheduler: { entry: beside, workers: 2 },
      tunnel: { command: ['sleep', '1000'] },
    })
    await until('all run', () => begun('scheduler').length === 2)
    const { processes } = await status()
    expect(groupsOf(processes)).toEqual([
      'scheduler.0 running',
      'scheduler.1 running',
      'tunnel.0 running',
    ])
    const pids = processes.map(({ pid }) => pid)
    expect(pids).toEqual(expect.arrayContaining(begun('scheduler')))
    await server.log(/^Booting tunnel with pid: \d+$/)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(pids.filter(isAlive), 'all are gone').toEqual([])
    expect(journal().filter((line) => line.startsWith('was told'))).toHaveLength(2)
    await server.log(/^Exited: tunnel \(pid: \d+\) after .*: stop$/)
  })

  test('that fail are started again, ever more slowly, and the server goes on', async (t) => {
    const { server, begun, status } = await start(t, {
      broken: { entry: beside, env: { END: 'now' } },
      missing: { entry: '/no/such/file.js' },
      fine: { entry: beside },
    })
    server.expectLog(/^Ended by itself: /)
    await server.log(/^broken ended 3 times in a row; starting it again in 2 s$/)
    expect(await server.log(/^Ended by itself: broken .* exited with code 7/)).toMatchObject({
      group: 'broken',
      stderr: ['beside: there is nothing to do'],
    })
    const missing = await server.log(/^Ended by itself: missing /)
    expect(String(missing['stderr'])).toMatch(/Cannot find module/)
    expect((await server.get('/')).text).toBe('hello')
    const { processes } = await status()
    expect(processes.find(({ group }) => group === 'broken')).toMatchObject({
      lastRestart: { reason: 'exit code 7' },
    })
    await until('it runs', () => begun('fine').length === 1)
    process.kill(begun('fine')[0]!, 'SIGKILL')
    await server.log(/^Ended by itself: fine .* was ended by SIGKILL/)
    await until('another one has begun', () => begun('fine').length === 2)
    expect((await status()).ready).toBe(1)
  })

  test('are replaced by a reload, never two at a time, and those the settings no longer have end', async (t) => {
    const { server, write, begun, journal, status } = await start(t, {
      scheduler: { entry: beside },
      old: { entry: beside },
    })
    await until('both run', () => begun('scheduler').length + begun('old').length === 2)
    const [first] = begun('scheduler')
    write({ scheduler: { entry: beside }, young: { entry: beside } })
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    await until('those of the new settings run', async () => {
      const all = groupsOf((await status()).processes)
      return all.join() === 'scheduler.0 running,young.0 running'
    })
    await until('it has begun', () => begun('scheduler').length === 2)
    const [, second] = begun('scheduler')
    const lines = journal()
    expect(lines.indexOf(`was told to end ${first}`)).toBeGreaterThan(0)
    expect(lines.indexOf(`scheduler.0 began ${second}`)).toBeGreaterThan(
      lines.indexOf(`was told to end ${first}`),
    )
    await server.log(/^Exited: old .*: scale$/)
    const { processes } = await status()
    expect(processes.find(({ group }) => group === 'scheduler')).toMatchObject({
      restarts: 1,
      lastRestart: { reason: 'reload' },
    })
  })

  test('go on after a reload that was refused', async (t) => {
    const { server, write, begun } = await start(t, { scheduler: { entry: beside } })
    await until('it runs', () => begun('scheduler').length === 1)
    write({ scheduler: { entry: beside, comand: 'x' } })
    server.expectLog(/^Reload failed/)
    server.signal('SIGHUP')
    const { msg } = await server.log(/^Reload failed/)
    expect(msg).toMatch(
      /processes\["scheduler"\]\.comand .*it must be left out: a group has command, entry/,
    )
    expect(isAlive(begun('scheduler')[0]!)).toBe(true)
  })

  test('of an old master end before those of the new one begin', async (t) => {
    const { server, journal, begun } = await start(t, { scheduler: { entry: beside } })
    await until('it runs', () => begun('scheduler').length === 1)
    server.signal('SIGUSR2')
    const { master } = (await server.log(/^Upgraded/)) as unknown as { master: number }
    await until('the new one has begun', () => begun('scheduler').length === 2)
    expect(journal()[1]).toBe(`was told to end ${begun('scheduler')[0]}`)
    process.kill(master, 'SIGTERM')
    await until('all are gone', () => [master, ...begun('scheduler')].every((pid) => !isAlive(pid)))
  })

  test('that do not end in time are killed, and the exit status says so', async (t) => {
    const { server, begun } = await start(t, {
      stubborn: { entry: beside, env: { END: 'never' }, grace: '300ms' },
    })
    await until('it runs', () => begun('stubborn').length === 1)
    server.expectLog(/^Killed: stubborn /)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 1 })
    expect(isAlive(begun('stubborn')[0]!)).toBe(false)
  })

  test('are gone when their master was killed', async (t) => {
    const { server, begun, status } = await start(t, {
      scheduler: { entry: beside, env: { END: 'never' } },
      ...(isLinux && { tunnel: { command: 'sleep 1000' } }),
    })
    await until('it runs', () => begun('scheduler').length === 1)
    const pids = (await status()).processes.map(({ pid }) => pid)
    server.signal('SIGKILL')
    await until('they are gone', () => pids.every((pid) => !isAlive(pid)))
  })
})

test.each([
  [{ web: { entry: 'x.js' } }, /processes\["web"\] is "web"; it must be named by letters/],
  [{ a: {} }, /processes\["a"\] is .*; it must be an object with either a command or an entry/],
  [{ a: { entry: 'x', command: 'y' } }, /either a command or an entry/],
  [
    { a: { entry: 'x', workers: -1 } },
    /processes\["a"\]\.workers is -1; it must be a whole number/,
  ],
])('%j is refused with what would be right', async (processes, complaint) => {
  const options = { processes } as never
  await expect(loadConfig({ options, env: {} })).rejects.toThrow(complaint)
})
