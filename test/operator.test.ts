// The commands around a running server that do not draw: logs, doctor, and what looks into workers.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Finding } from '../src/doctor.ts'
import { controlPlace, runCommand } from './helpers/command.ts'
import { bareEnvironment, cli, fixtures, startServer, type Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

async function start(
  t: Teardown,
  env: Record<string, string>,
  ...flags: string[]
): Promise<Server> {
  const server = await startServer(t, 'hello.js', ...flags, { env })
  await until('it answers', async () => (await runCommand(env, ['status'])).code === 0)
  return server
}

describe.concurrent('supervisor logs', () => {
  test('follows the log in its own form, also that of the next master, and ends well when the server ends', async (t) => {
    const env = controlPlace(t)
    const server = await start(t, env)
    const followers = [[], ['--json']].map((more) => {
      const child = spawn(process.execPath, [cli, 'logs', '-f', ...more], {
        cwd: fixtures,
        env: { ...bareEnvironment(), ...env },
      })
      const heard = { out: '', err: '', status: undefined as number | null | undefined }
      child.stdout.on('data', (chunk) => (heard.out += String(chunk)))
      child.stderr.on('data', (chunk) => (heard.err += String(chunk)))
      child.once('close', (status) => (heard.status = status))
      return heard
    })
    const [text, json] = followers as [(typeof followers)[0], (typeof followers)[0]]
    await until('both have what has been', () =>
      followers.every(({ out }) => out.includes('Server is ready')),
    )
    await runCommand(env, ['reopen'])
    await server.log(/^Handling command: reopen \(control socket\)$/)
    server.signal('SIGUSR2')
    const { master } = (await server.log(/^Upgraded/)) as unknown as { master: number }
    await until('both have heard of the new master', () =>
      followers.every(({ out }) => out.includes('In charge, in the place of')),
    )
    process.kill(master, 'SIGTERM')
    await until('both have ended', () => followers.every(({ status }) => status !== undefined))
    expect(followers.map(({ status }) => status)).toEqual([0, 0])
    expect(text.err).toMatch(/what the application prints goes to the server's standard output/)
    expect(text.out).toMatch(
      new RegExp(
        `^\\[\\d{4}-\\d\\d-\\d\\d [\\d:]{8} [+-]\\d{4}\\] \\[${server.pid}\\] \\[INFO\\] Starting`,
      ),
    )
    expect(text.out.match(/Upgraded/g), 'nothing is told twice').toHaveLength(1)
    expect(text.out).toMatch(new RegExp(` \\[${master}\\] \\[INFO\\] Handling signal: term\n`))
    const lines = json.out.trim().split('\n')
    const inLog = server.lines.map((line) => JSON.stringify(line))
    for (const line of lines.slice(0, -1)) expect(inLog.map(shape)).toContain(shape(line))
    expect(json.out).toMatch(/"msg":"Handling signal: term"/)
    expect(json.out, 'debug is not shown').not.toMatch(/"level":"debug"/)
  })

  test('shows no more than was asked for', async (t) => {
    const env = controlPlace(t)
    await start(t, env)
    const { stdout, code } = await runCommand(env, ['logs', '--last', '2', '--level', 'debug'])
    expect(code).toBe(0)
    expect(stdout.trim().split('\n')).toHaveLength(2)
    for (const [words, complaint] of [
      [['logs', '--level', 'loud'], /--level is "loud"; it must be one of debug, info/],
      [['events', '--last', 'two'], /--last is "two"; it must be a whole number, 0 or more/],
      [['events', '-n', '1.5'], /--last is "1.5"/],
    ] as const) {
      const said = await runCommand(env, words)
      expect([said.code, said.stderr]).toEqual([2, expect.stringMatching(complaint)])
    }
  })
})

/** Milliseconds between the line and its copy may differ. */
const shape = (line: string): string => line.replace(/"time":"[^"]+"/, '')

describe.concurrent('supervisor doctor', () => {
  const findings = (stdout: string): Finding[] =>
    (JSON.parse(stdout) as { findings: Finding[] }).findings

  test('looks at the settings of the directory where no server runs', async (t) => {
    const settings = { workers: 4, logFile: '/nowhere/at/all.log', env: { NODE_ENV: 'production' } }
    const cwd = tempDir(t, { 'supervisor.config.json': JSON.stringify(settings) })
    const env = controlPlace(t)
    const { code, stdout } = await runCommand(env, ['doctor', '--json'], cwd)
    expect(findings(stdout)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          check: 'writing',
          level: 'wrong',
          measured: '--log-file /nowhere/at/all.log: there is no directory /nowhere/at',
        }),
        { check: 'mode', level: 'fine', measured: 'NODE_ENV=production' },
      ]),
    )
    expect(code, 'something is wrong').toBe(1)
    writeFileSync(join(cwd, 'supervisor.config.json'), '{ "workers": 2 }')
    const text = await runCommand(env, ['doctor'], cwd)
    expect(text.stdout).toMatch(/no server runs here\n[^]*\nadvice +mode +NODE_ENV is not set\n/)
    expect(text.stdout).toMatch(/\n0 wrong, \d+ to consider, \d+ fine\n$/)
    expect(text.code, 'advice is no failure').toBe(0)
  })

  test('asks the server that runs, for what it has and what has happened to it', async (t) => {
    const env = controlPlace(t)
    const server = await start(t, env, '--workers', '2', '--keep-alive', '5')
    server.expectLog(/was ended by SIGKILL/)
    process.kill(server.pids()[0]!, 'SIGKILL')
    await server.logTimes(/^Worker ready/, 3)
    const { stdout } = await runCommand(env, ['doctor', '--json'])
    const found = findings(stdout)
    const of = (check: string): Finding | undefined => found.find((one) => one.check === check)
    expect(stdout).toContain(`hello (pid ${server.pid})`)
    expect(of('crashes')).toMatchObject({
      level: 'advice',
      measured: expect.stringMatching(/^1 crash of/),
    })
    expect(of('keepAlive')).toMatchObject({ level: 'advice', fix: '--keep-alive 75' })
    expect(of('serving')?.measured).toMatch(/ of 2 workers serve/)
  })
})

describe.concurrent('looking into a worker', () => {
  test('tells the stack of one that is blocked, and of whoever blocks it', async (t) => {
    const env = controlPlace(t)
    const server = await startServer(t, 'blocks.js', '--timeout', '60', { env })
    server.get('/forever').catch(() => undefined) // cut when it is killed
    await server.prints(/^blocked/)
    const [pid] = server.pids()
    // on a busy machine it may get no processor just then, which is told as well
    const told = await until('the stack of a loop that has stood for a while', async () => {
      const { stdout, code } = await runCommand(env, ['stack', '0'])
      expect(code).toBe(0)
      return stdout.includes('blocks.js') && stdout.includes('blocked for') && stdout
    })
    expect(told).toMatch(
      new RegExp(
        `^worker 0 \\(pid ${pid}\\): blocked for \\S+s in GET /forever\\n    at .*blocks.js:\\d+`,
      ),
    )
    const json = JSON.parse((await runCommand(env, ['stack', '--json'])).stdout) as object[]
    expect(json).toMatchObject([{ slot: 0, pid }])
    const nobody = await runCommand(env, ['stack', '5'])
    expect([nobody.code, nobody.stderr]).toEqual([
      2,
      expect.stringMatching(/no worker is ready in slot 5; there are 0/),
    ])
    server.signal('SIGKILL')
  })

  test('writes profiles and heaps into the directory of who asks, for him alone', async (t) => {
    const env = { ...controlPlace(t), TMPDIR: tempDir(t) }
    const server = await start(t, env)
    const cwd = tempDir(t)
    const said = await runCommand(env, ['profile', '0', '--seconds', '1'], cwd)
    expect(said.stdout).toMatch(
      /^nodicorn-hello-0-\d{8}T\d{6}\.cpuprofile: \d+[kM]B, [\d,]+ samples; open it in Chrome/,
    )
    expect(said.stderr).toBe('Profiling worker 0 for 1s\n')
    const heap = await runCommand(env, ['heap', '0', '--json'], cwd)
    const { file } = JSON.parse(heap.stdout) as { file: string }
    expect(JSON.parse(readFileSync(file, 'utf8'))).toHaveProperty('snapshot')
    expect(
      readdirSync(cwd)
        .map((name) => name.replace(/^.*\./, ''))
        .sort(),
    ).toEqual(['cpuprofile', 'heapsnapshot'])
    for (const name of readdirSync(cwd)) expect(statSync(join(cwd, name)).mode & 0o777).toBe(0o600)
    await server.log(/^The heap snapshot of worker/)
    await until('nothing is left of the files that the worker wrote', () =>
      readdirSync(env.TMPDIR).every((name) => !name.startsWith('nodicorn-look-')),
    )
    const which = await runCommand(env, ['profile'], cwd)
    expect([which.code, which.stderr]).toEqual([
      2,
      expect.stringMatching(/say which worker: supervisor profile SLOT/),
    ])
  })

  test('leaves no file behind when who asked has gone', async (t) => {
    const env = { ...controlPlace(t), TMPDIR: tempDir(t) }
    const server = await start(t, env)
    const child = spawn(process.execPath, [cli, 'profile', '0', '--seconds', '2'], {
      cwd: tempDir(t),
      env: { ...bareEnvironment(), ...env },
      stdio: 'ignore',
    })
    await server.log(/^Handling command: profile/)
    child.kill('SIGKILL')
    await until('it is removed', () =>
      readdirSync(env.TMPDIR).every((name) => !name.startsWith('nodicorn-look-')),
    )
    const asks = async (): Promise<boolean> => (await runCommand(env, ['stack', '0'])).code === 0
    await until('the worker can be asked again', asks)
    expect(readdirSync(env.TMPDIR).filter((name) => name.startsWith('nodicorn-look-'))).toEqual([])
  })
})
