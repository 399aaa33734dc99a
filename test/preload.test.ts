// preload(): it runs once, before any worker; what it returns reaches all of them, and nothing else.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { childrenOf } from './helpers/process.ts'
import {
  bareEnvironment,
  cli,
  fixtures,
  spawnServer,
  startServer,
  type Server,
} from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const app = join(fixtures, 'preloaded.js')

/** What the app had when it was loaded. */
interface Facts {
  readonly slot: string
  readonly id?: string
  readonly same: boolean
  readonly kinds?: readonly boolean[]
  readonly digest?: string
  readonly sockets: number
  readonly inherited: readonly string[]
}

const factsOf = async (server: Server): Promise<Facts> =>
  JSON.parse((await server.get('/')).text) as Facts

/** A directory with a settings file whose preload() has this body. */
function project(t: Teardown, body: string, more = ''): { cwd: string; write: typeof write } {
  const cwd = tempDir(t)
  const write = (text: string): void =>
    writeFileSync(
      join(cwd, 'supervisor.config.mjs'),
      `import fs from 'node:fs'\nexport default { ${more} async preload() { ${text} } }\n`,
    )
  write(body)
  return { cwd, write }
}

/** Counts its runs in a file; the id says which run it was. */
const COUNTING = `
  fs.appendFileSync('runs', 'x')
  return { id: 'run ' + fs.readFileSync('runs', 'utf8').length }`

describe.concurrent('what preload() returns', () => {
  test('is there while the app loads, in each worker, in the successor of one that died, and after a reload anew', async (t) => {
    const { cwd, write } = project(t, COUNTING, 'workers: 2,')
    const server = await startServer(t, app, '--no-rebalance', { cwd })
    const slots = async (id: string): Promise<void> => {
      const seen = new Set<string>()
      await until(`both workers have ${id}`, async () => {
        const facts = await factsOf(server)
        expect(facts).toMatchObject({ id, same: true })
        return seen.add(facts.slot).size === 2
      })
    }
    await slots('run 1')
    server.expectLog(/was ended by SIGKILL/, /^Reload failed/)
    await server.get('/crash').catch(() => undefined)
    await server.logTimes(/^Worker ready/, 3)
    await slots('run 1')

    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    await slots('run 2')

    write(`${COUNTING.replace('return', 'throw')}`)
    server.signal('SIGHUP')
    const failed = await server.log(/^Reload failed/)
    expect(failed.msg).toBe(
      'Reload failed, the old workers go on: supervisor.config.mjs: preload() threw something that is not an Error',
    )
    await server.get('/crash').catch(() => undefined)
    await server.logTimes(/^Worker ready/, 6)
    await slots('run 2')
    expect(readFileSync(join(cwd, 'runs'), 'utf8')).toHaveLength(3)
  })

  test('may be large and rich; its pipe is closed before the app is loaded', async (t) => {
    const bytes = Buffer.alloc(8 << 20, 'nodicorn')
    const { cwd } = project(
      t,
      `return { map: new Map([[1, 2]]), when: new Date(0), bytes: Buffer.alloc(8 << 20, 'nodicorn') }`,
    )
    const [server, without] = await Promise.all([
      startServer(t, app, { cwd }),
      startServer(t, app, '--no-preload', { cwd }),
    ])
    const facts = await factsOf(server)
    expect(facts).toMatchObject({
      kinds: [true, true, true],
      digest: createHash('sha256').update(bytes).digest('hex'),
      inherited: [],
    })
    expect(facts.sockets).toBe((await factsOf(without)).sockets)
  })

  test('is nothing without --preload, or if it returns nothing', async (t) => {
    const off = project(t, COUNTING)
    const nothing = project(t, `fs.writeFileSync('runs', 'x')`)
    const servers = await Promise.all([
      startServer(t, app, '--no-preload', { cwd: off.cwd }),
      startServer(t, app, { cwd: nothing.cwd }),
    ])
    for (const server of servers) expect((await factsOf(server)).id).toBeUndefined()
    expect(existsSync(join(off.cwd, 'runs'))).toBe(false)
    expect(existsSync(join(nothing.cwd, 'runs'))).toBe(true)
  })

  test('shows in no log, no settings, no command line and no environment', async (t) => {
    const secret = `s3cret-${'ab'.repeat(16)}`
    const { cwd, write } = project(t, '')
    const returning = (value: string): void =>
      write(`const key = fs.readFileSync('secret', 'utf8'); return ${value}`)
    writeFileSync(join(cwd, 'secret'), secret)
    returning('{ id: key }')
    const server = await startServer(t, app, '--log-level', 'debug', '--access-log', '-', { cwd })
    expect((await factsOf(server)).id).toBe(secret)
    const pids = [server.pid, ...childrenOf(server.pid)]
    expect(pids.length).toBeGreaterThan(1)
    const proc = process.platform === 'linux' ? ['environ', 'cmdline'] : []
    const seen = pids.flatMap((pid) =>
      proc.map((file) => readFileSync(`/proc/${pid}/${file}`, 'latin1')),
    )
    const config = await supervisor(cwd, 'config', 'x.js')
    const json = await supervisor(cwd, 'config', 'x.js', '--json')
    expect(config.stdout).toMatch(/^preload +true, preload\(\) +supervisor\.config\.mjs$/m)

    server.expectLog(/^Reload failed/)
    const bad = [
      '{ [key]: { deep: [key, () => key] } }',
      'Symbol(key)',
      '{ get [key]() { throw key } }',
    ]
    for (const [index, value] of bad.entries()) {
      returning(value)
      server.signal('SIGHUP')
      await server.logTimes(/^Reload failed/, index + 1)
    }
    server.signal('SIGTERM')
    await server.exit()
    const said = [JSON.stringify(server.lines), server.stderr, server.output.join('\n')]
    for (const text of [...seen, ...said, ...Object.values(config), ...Object.values(json)])
      expect(String(text)).not.toContain(secret)
    const whys = server.lines.filter(({ event }) => event === 'reloadFailed').map(({ msg }) => msg)
    expect(whys.map((msg) => /preload\(\) (.+?), which/.exec(msg)?.[1])).toEqual([
      'returned an object with a function in it',
      'returned a symbol',
      'returned something',
    ])
  })
})

const failing: Record<string, { body: string; says: string | RegExp; flags?: string[] }> = {
  throws: {
    body: `throw new Error('no database')`,
    says: 'supervisor.config.mjs: preload() threw Error: no database',
  },
  'never settles': {
    body: 'await new Promise(() => {})',
    flags: ['--boot-timeout', '3'],
    says: 'the application did not boot: preload() of supervisor.config.mjs has not ended within 3 s (--boot-timeout)',
  },
  blocks: {
    body: 'for (;;);',
    flags: ['--boot-timeout', '3'],
    says: 'the application did not boot: preload() of supervisor.config.mjs has not ended within 3 s (--boot-timeout)',
  },
  'returns a function': {
    body: 'return { find: () => 1 }',
    says: /preload\(\) returned an object with a function in it, which can't be sent to another process; return plain data$/,
  },
  'ends its process': {
    body: 'process.exit(0)',
    says: 'supervisor.config.mjs: preload() had not ended when its process exited with code 0',
  },
}

describe.concurrent('a preload() that', () => {
  for (const [what, { body, says, flags = [] }] of Object.entries(failing)) {
    test(`${what} ends the start with 3, before any worker, and with its reason alone`, async (t) => {
      const { cwd } = project(t, body)
      const server = spawnServer(t, app, ...flags, { cwd })
      expect(await server.exit()).toMatchObject({ code: 3 })
      const [last] = server.stderrLines.slice(-1)
      if (typeof says === 'string') expect(last).toBe(`supervisor: ${says}`)
      else expect(last).toMatch(says)
      expect(server.allPids()).toEqual([])
    })
  }

  test('fails at a reload leaves the old workers; a stop in the middle of one waits for nothing', async (t) => {
    const { cwd, write } = project(t, COUNTING)
    const server = await startServer(t, app, { cwd })
    const old = server.pids()
    server.expectLog(/^Reload failed/)
    write(`throw new Error('no database')`)
    server.signal('SIGHUP')
    expect((await server.log(/^Reload failed/)).msg).toBe(
      'Reload failed, the old workers go on: supervisor.config.mjs: preload() threw Error: no database',
    )
    expect([server.pids(), (await factsOf(server)).id]).toEqual([old, 'run 1'])

    write(`console.log('it hangs'); await new Promise(() => {})`)
    server.signal('SIGHUP')
    await server.prints(/^it hangs/)
    server.signal('SIGTERM')
    const { code, ms } = await server.exit()
    expect([code, ms < 10_000]).toEqual([0, true])
    expect(server.lines.filter(({ event }) => event === 'reloadFailed')).toHaveLength(1)
  })

  test('fails is found by supervisor check; in code it is refused', async (t) => {
    const { cwd, write } = project(t, `throw new Error('no database')`)
    const checked = await supervisor(cwd, 'check', app)
    expect([checked.code, checked.stderr.split('\n').at(-2)]).toEqual([
      1,
      'supervisor: supervisor.config.mjs: preload() threw Error: no database',
    ])
    write(COUNTING)
    expect(await supervisor(cwd, 'check', app)).toMatchObject({ code: 0, stderr: '' })

    const library = join(fixtures, '../../dist/index.js')
    const code = `import { supervise } from ${JSON.stringify(library)}
      await supervise('x.js', { preload: () => 1 }).catch((error) => console.log(error.message))`
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], { cwd })
    expect(stdout).toMatch(/^options: preload\(\) runs in a process of its own, /)
  })
})

const run = promisify(execFile)

/** The command with these words, run to its end. */
async function supervisor(
  cwd: string,
  ...words: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    const done = await run(process.execPath, [cli, ...words], { cwd, env: bareEnvironment() })
    return { code: 0, ...done }
  } catch (error) {
    // its exit status was not 0
    return error as { code: number; stdout: string; stderr: string }
  }
}
