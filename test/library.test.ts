// The same master from code: supervise(), defineConfig() and loadConfig() of the package, run as a program would.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { bareEnvironment, fixtures } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'

const library = fileURLToPath(new URL('../dist/index.js', import.meta.url))

/** What the program printed as JSON, and how it ended. */
async function run(
  t: Teardown,
  program: string,
): Promise<{ said: unknown; code: number; stderr: string }> {
  const dir = tempDir(t, {
    'program.mjs': `import * as nodicorn from ${JSON.stringify(library)}\n${program}`,
  })
  return new Promise((resolve) => {
    const options = { cwd: fixtures, env: bareEnvironment(), timeout: 20_000 }
    execFile(process.execPath, [`${dir}/program.mjs`], options, (error, stdout, stderr) => {
      const last = stdout
        .trim()
        .split('\n')
        .findLast((line) => line.startsWith('{"said"'))
      const said = last === undefined ? undefined : (JSON.parse(last) as { said: unknown }).said
      resolve({ said, code: Number(error?.code ?? 0), stderr })
    })
  })
}

const say = 'const say = (said) => console.log(JSON.stringify({ said }))'

describe.concurrent('supervise()', () => {
  test('calls the hooks of the master that it is given, and says where those of the workers belong', async (t) => {
    const { said, stderr } = await run(
      t,
      `${say}
      const called = []
      const options = { bind: '127.0.0.1:0', logLevel: 'error' }
      const refused = await nodicorn
        .supervise('hello-export.js', { ...options, postFork() {} })
        .catch((error) => error.message)
      const server = await nodicorn.supervise('hello-export.js', {
        ...options,
        onStarting: ({ workers }) => called.push(['onStarting', workers]),
        onExit: async ({ exit }) => called.push(['onExit', exit]),
      })
      await server.stop()
      say({ called, refused })`,
    )
    expect(said, stderr).toEqual({
      called: [
        ['onStarting', 1],
        ['onExit', 0],
      ],
      refused:
        "options: postFork runs in the workers, and a function can't be sent to them; put it into a settings file, such as supervisor.config.js",
    })
  })

  test('resolves when all workers are ready, tells where, reloads and stops', async (t) => {
    const { said, code, stderr } = await run(
      t,
      `${say}
      const server = await nodicorn.supervise('hello-export.js', { workers: 2, bind: '127.0.0.1:0', logLevel: 'error' })
      const [url] = server.urls()
      const text = await (await fetch(url)).text()
      say({ workers: server.pids().length, text, exit: await server.stop(), finished: await server.finished })`,
    )
    expect(said, stderr).toEqual({ workers: 2, text: 'hello', exit: 0, finished: 0 })
    expect(code).toBe(0)
  })

  test.for([
    ['nope.js', '{}', 'APP_NOT_FOUND', 4],
    ['throw-at-boot.js', "{ logLevel: 'critical' }", 'APP_FAILED', 3],
    ['hello.js', '{ workers: -1 }', 'BAD_SETTING', 2],
    ['hello.js', '{ wrokers: 1 }', 'UNKNOWN_SETTING', 2],
    ['hello.js', '{ preRequest() {} }', 'BAD_SETTING', 2],
  ] as const)('of %s with %s rejects with %s', async ([app, options, code, exit], t) => {
    const { said, stderr } = await run(
      t,
      `${say}
      await nodicorn.supervise(${JSON.stringify(app)}, ${options}).then(
        () => say('started'),
        (error) => say({ ours: error instanceof nodicorn.UserError, code: error.code, exit: error.exit }))`,
    )
    expect(said, stderr).toEqual({ ours: true, code, exit })
  })
})

test('loadConfig() answers each value with its source, and defineConfig() its argument', async (t) => {
  const { said, stderr } = await run(
    t,
    `${say}
    const config = await nodicorn.loadConfig({ argv: ['--timeout', '2m'], env: { WORKERS: '3' } })
    say([config.settings.timeout, config.sources.timeout, config.settings.workers, config.sources.workers,
      nodicorn.defineConfig({ workers: 2 })])`,
  )
  expect(said, stderr).toEqual([120, '--timeout', 3, 'WORKERS', { workers: 2 }])
})
