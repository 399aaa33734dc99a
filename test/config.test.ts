// Promises about settings, told to the real command: where they come from, what is refused and how, help, generated pages.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import { afterAll, expect, test } from 'vitest'

const repository = fileURLToPath(new URL('..', import.meta.url))
const cli = join(repository, 'dist/cli.cjs')

const made: string[] = []
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true })
})
const directoryWith = (files: Record<string, string>): string => {
  const directory = mkdtempSync(join(tmpdir(), 'nodicorn-cli-'))
  made.push(directory)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  return directory
}
const empty = directoryWith({})

interface Options {
  env?: Record<string, string>
  cwd?: string
  nodeArgs?: string[]
}
interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs `supervisor` with these words and nothing in its environment but PATH and `env`. */
const supervisor = (
  words: string | string[],
  { env = {}, cwd = empty, nodeArgs = [] }: Options = {},
) =>
  new Promise<Outcome>((resolve) => {
    const args = typeof words === 'string' ? words.split(' ').filter(Boolean) : words
    const child = execFile(
      process.execPath,
      [...nodeArgs, cli, ...args],
      { cwd, env: { PATH: process.env.PATH, ...env } },
      (_, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    )
  })

type Shown = Record<string, { value: unknown; source: string }>

const config = async (words: string | string[], options: Options = {}): Promise<Shown> => {
  const args = typeof words === 'string' ? words.split(' ').filter(Boolean) : words
  const { code, stdout, stderr } = await supervisor(['config', '--json', ...args], options)
  expect([code, stderr]).toEqual([0, ''])
  return (JSON.parse(stdout) as { settings: Shown }).settings
}
const notes = async (words: string): Promise<string[]> =>
  (JSON.parse((await supervisor(`config --json ${words}`)).stdout) as { notes: string[] }).notes

type Story = [
  line: string,
  env: Record<string, string>,
  expected: Record<string, [unknown, string]>,
]

// Gunicorn command lines of real projects; only the program and the app are changed.
const stories: Story[] = [
  [
    'app.js:application --bind 0.0.0.0:8000 --timeout 180 --workers 2 --threads 2 --worker-class sync --log-file - --access-logfile - --error-logfile - --log-level info',
    {},
    {
      bind: [['0.0.0.0:8000'], '--bind'],
      timeout: [180, '--timeout'],
      workers: [2, '--workers'],
      threads: [2, '--threads'],
      logFile: ['-', '--error-logfile'],
      accessLog: ['-', '--access-logfile'],
      logLevel: ['info', '--log-level'],
    },
  ],
  [
    'app.js --timeout 180 --workers 4 --worker-class gevent --worker-connections 1000 --keep-alive 5',
    {},
    {
      timeout: [180, '--timeout'],
      workers: [4, '--workers'],
      workerConnections: [1000, '--worker-connections'],
      keepAlive: [5, '--keep-alive'],
    },
  ],
  [
    'app.js --timeout=600 --workers=8',
    { GUNICORN_TIMEOUT: '60', GUNICORN_WORKERS: '1' },
    { timeout: [600, '--timeout'], workers: [8, '--workers'] },
  ],
  [
    'app.js',
    { GUNICORN_TIMEOUT: '600', GUNICORN_WORKERS: '8' },
    { timeout: [600, 'GUNICORN_TIMEOUT'], workers: [8, 'GUNICORN_WORKERS'] },
  ],
  [
    'app.js',
    { TIMEOUT: '90', WORKERS: '3' },
    { timeout: [90, 'TIMEOUT'], workers: [3, 'WORKERS'] },
  ],
  [
    '-w 4 -b 0.0.0.0:8080 --timeout 300 --graceful-timeout 300 app.js:app',
    { PORT: '8080' },
    {
      workers: [4, '-w'],
      bind: [['0.0.0.0:8080'], '-b'],
      timeout: [300, '--timeout'],
      gracefulTimeout: [300, '--graceful-timeout'],
    },
  ],
  ['app.js', { PORT: '8080' }, { bind: [['0.0.0.0:8080'], 'PORT'] }],
  [
    'app.js:app --workers 4 --bind 0.0.0.0:1233 --timeout 300 --worker-class uvicorn.workers.UvicornWorker',
    {},
    { workers: [4, '--workers'], bind: [['0.0.0.0:1233'], '--bind'], timeout: [300, '--timeout'] },
  ],
  [
    'app.js',
    { GUNICORN_CMD_ARGS: `--bind=0.0.0.0:9000 --timeout 7 --name 'my app'` },
    {
      bind: [['0.0.0.0:9000'], 'GUNICORN_CMD_ARGS --bind'],
      timeout: [7, 'GUNICORN_CMD_ARGS --timeout'],
      name: ['my app', 'GUNICORN_CMD_ARGS --name'],
    },
  ],
]
test.each(stories)('a Gunicorn command line takes effect: %s %j', async (line, env, expected) => {
  const shown = await config(line, { env })
  for (const [name, [value, source]] of Object.entries(expected)) {
    expect([name, shown[name]]).toEqual([name, { value, source }])
  }
})

test('a Gunicorn settings file, with our names, takes effect through -c', async () => {
  const cwd = directoryWith({
    'supervisor.config.ts': `import os from 'node:os'
      const workers: number = os.availableParallelism() * 2 + 1
      export default { timeout: 120, workers, maxRequests: 1000, keepAlive: 5, preload: true }`,
  })
  const shown = await config('app.js -c supervisor.config.ts', { cwd })
  const source = 'supervisor.config.ts'
  expect(shown).toMatchObject({
    timeout: { value: 120, source },
    maxRequests: { value: 1000, source },
    keepAlive: { value: 5, source },
    preload: { value: true, source },
  })
  expect(shown.workers?.value).toBeGreaterThan(2)
})

test.each(['sync', 'gthread', 'gevent', 'uvicorn.workers.UvicornWorker'])(
  '--worker-class %s is accepted and explained in one line',
  async (kind) => {
    expect(await notes(`app.js --worker-class ${kind}`)).toEqual([
      `--worker-class ${kind} has no meaning in Node: every worker serves many requests at once on its event loop`,
    ])
  },
)

const forms: [string, string][] = [
  ['supervisor.config.ts', 'const timeout: number = 5\nexport default { timeout }'],
  ['supervisor.config.ts', 'enum Time { short = 5 }\nexport default { timeout: Time.short }'],
  ['supervisor.config.mts', 'export default { timeout: 5 } as { timeout: number }'],
  ['supervisor.config.js', 'module.exports = { timeout: 5 }'],
  ['supervisor.config.mjs', 'export default { timeout: await Promise.resolve(5) }'],
  ['supervisor.config.mjs', 'export default () => ({ timeout: 5 })'],
  ['supervisor.config.mjs', 'export default async () => ({ timeout: 5 })'],
  ['supervisor.config.cjs', 'module.exports = { timeout: 5 }'],
  ['supervisor.config.cjs', 'exports.__esModule = true; exports.default = { timeout: 5 }'],
  ['supervisor.config.json', '{ "$schema": "x", "timeout": 5 }'],
]
test.each(forms)('%s can be the settings file: %s', async (name, text) => {
  const cwd = directoryWith({ [name]: text })
  const { stdout } = await supervisor('config', { cwd })
  expect(stdout).toMatch(new RegExp(`^timeout +5 +${name}$`, 'm'))
})

test('a settings file written as a TypeScript module is one, whatever package.json says', async () => {
  for (const type of ['{}', '{"type": "commonjs"}', '{"type": "module"}']) {
    const cwd = directoryWith({
      'supervisor.config.ts': 'export default { timeout: 5 as number }',
      'package.json': type,
    })
    expect((await config('', { cwd })).timeout?.value).toBe(5)
  }
})

test('the settings file can be named by flag or by variable', async () => {
  const cwd = directoryWith({ 'a.json': '{"timeout": 1}', 'b.json': '{"timeout": 2}' })
  const env = { SUPERVISOR_CONFIG: 'a.json' }
  expect((await config('', { cwd, env })).timeout).toEqual({ value: 1, source: 'a.json' })
  expect((await config('--config b.json', { cwd, env })).timeout).toEqual({
    value: 2,
    source: 'b.json',
  })
})

const brokenFiles: [string, string, RegExp][] = [
  [
    'supervisor.config.mjs',
    'export default {\n  timeout: 5,,\n}',
    /^supervisor\.config\.mjs: SyntaxError: Unexpected token ','/,
  ],
  [
    'supervisor.config.cjs',
    'module.exports = {\n  timeout: 5,,\n}',
    /^supervisor\.config\.cjs: SyntaxError: .+ \(line 2\)$/,
  ],
  [
    'supervisor.config.ts',
    'export default {\n  timeout: 5,,\n}',
    /^supervisor\.config\.ts: .*Error: /,
  ],
  ['supervisor.config.json', '{"timeout": }', /^supervisor\.config\.json: SyntaxError: .*JSON/],
  [
    'supervisor.config.mjs',
    '\nthrow new Error("no database")',
    /^supervisor\.config\.mjs: Error: no database \(line 2\)$/,
  ],
  [
    'supervisor.config.mjs',
    'export default async () => { throw "x" }',
    /^supervisor\.config\.mjs: threw x$/,
  ],
  [
    'supervisor.config.mjs',
    'import "./nope.mjs"',
    /^supervisor\.config\.mjs: Error: Cannot find module/,
  ],
  [
    'supervisor.config.mjs',
    'export const timeout = 5',
    /^supervisor\.config\.mjs exports nothing as its default; it must export an object/,
  ],
  [
    'supervisor.config.mjs',
    'export default [1]',
    /^supervisor\.config\.mjs exports an array; it must export an object/,
  ],
  [
    'supervisor.config.json',
    '5',
    /^supervisor\.config\.json exports a number; it must export an object/,
  ],
  [
    'supervisor.config.mjs',
    'export default { timeout: "soon" }',
    /^supervisor\.config\.mjs: timeout is "soon"; it must be a number of seconds/,
  ],
]
test.each(brokenFiles)('a broken %s is refused in one line: %s', async (name, text, line) => {
  const cwd = directoryWith({ [name]: text, 'package.json': '{"type": "module"}' })
  const { code, stdout, stderr } = await supervisor('start app.js', { cwd })
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toMatch(/^supervisor: .*\n$/)
  expect(stderr.trim().replace('supervisor: ', '')).toMatch(line)
})

test('two settings files are one too many, and the log says which is ignored', async () => {
  const cwd = directoryWith({
    'supervisor.config.mjs': 'export default {}',
    'supervisor.config.json': '{}',
  })
  const { stdout } = await supervisor('config', { cwd })
  expect(stdout).toContain('note: supervisor.config.json is ignored: supervisor.config.mjs is used')
})

test.each(['ts', 'mjs', 'cjs', 'js', 'json'])(
  'a .%s file is read afresh each time',
  async (ending) => {
    const name = `supervisor.config.${ending}`
    const prefix =
      { ts: 'export default ', mjs: 'export default ', json: '' }[ending] ?? 'module.exports = '
    const cwd = directoryWith({
      [name]: `${prefix}{"timeout": 1}`,
      'again.mjs': `import { writeFileSync } from 'node:fs'
      import { loadConfig } from ${JSON.stringify(new URL('../dist/config.js', import.meta.url).href)}
      const first = await loadConfig()
      writeFileSync(${JSON.stringify(name)}, ${JSON.stringify(`${prefix}{"timeout": 2}`)})
      const second = await loadConfig()
      console.log(first.settings.timeout, second.settings.timeout)`,
    })
    const script = await new Promise((resolve) =>
      execFile(process.execPath, ['again.mjs'], { cwd }, (_, stdout, stderr) =>
        resolve(stdout + stderr),
      ),
    )
    expect(script).toMatch(/^1 2\n/)
  },
)

const refusals: [string, Options, number, string][] = [
  ['', {}, 2, 'a command is missing: supervisor start app.js'],
  ['strat app.js', {}, 2, '"strat" is not a command; did you mean "supervisor start"?'],
  ['xyzzy', {}, 2, '"xyzzy" is not a command; "supervisor --help" lists them'],
  ['app.js -w 2', {}, 2, '"app.js" is not a command; did you mean "supervisor start app.js -w 2"?'],
  ['-w 2 app.js', {}, 2, '"-w" is not a command; did you mean "supervisor start -w 2 app.js"?'],
  [
    'start app.js extra',
    {},
    2,
    '"extra" is one argument too many: there is one FILE, and arguments for the app follow "--"',
  ],
  ['start app.js --json', {}, 2, '--json is a flag of "supervisor config" only'],
  ['start app.js -c nope.json', {}, 2, 'nope.json: there is no such file'],
  ['start app.js -c gunicorn.conf.py', {}, 2, 'gunicorn.conf.py: there is no such file'],
  ['start app.js --timeout', {}, 2, '--timeout needs a value'],
  [
    'start app.js',
    { env: { SUPERVISOR_TIMOUT: '1' } },
    2,
    'SUPERVISOR_TIMOUT is not a known variable; did you mean SUPERVISOR_TIMEOUT?',
  ],
  ['start nope.js', {}, 4, `nope.js: there is no such file in ${empty}`],
  ['check nope.js', {}, 1, `nope.js: there is no such file in ${empty}`],
  [
    'check nope.js --timeout soon',
    {},
    2,
    '--timeout is "soon"; it must be a number of seconds from 0 to 24 days, or a duration such as "500ms", "2m" or "1h"',
  ],
  [
    'start',
    {},
    4,
    `no FILE was given, and there is no package.json in ${empty}; pass the file of the app: supervisor start app.js`,
  ],
  [
    'start business_suite.wsgi:application -w 2',
    {},
    4,
    'business_suite.wsgi:application looks like a Python module; FILE must be the path of a JavaScript or TypeScript file, such as app.js:application',
  ],
]
test.each(refusals)(
  '"supervisor %s" %j exits %i with one line',
  async (words, options, status, line) => {
    const { code, stdout, stderr } = await supervisor(words, options)
    expect([code, stdout, stderr]).toEqual([status, '', `supervisor: ${line}\n`])
  },
)

test('every mistake has its own line, and nothing is started', async () => {
  const app = directoryWith({ 'app.js': 'console.log("started")' })
  const { code, stdout, stderr } = await supervisor(
    'start app.js -w many --timout 3 --preload=maybe',
    { cwd: app },
  )
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr.trim().split('\n')).toEqual([
    'supervisor: --timout is not a known flag; did you mean --timeout?',
    'supervisor: -w is "many"; it must be a whole number, 1 or more, "auto", or a range from the smaller number to the larger such as "2-8" or "2-auto" (in a settings file also { min: 2, max: 8 })',
    'supervisor: --preload is "maybe"; it must be true or false',
  ])
})

test('a Python settings file is refused with the way out', async () => {
  const cwd = directoryWith({ 'gunicorn.conf.py': 'timeout = 5' })
  const { code, stderr } = await supervisor('start app.js -c gunicorn.conf.py', { cwd })
  expect([code, stderr]).toEqual([
    2,
    'supervisor: gunicorn.conf.py is a Python file; write its settings as supervisor.config.ts, .js or .json\n',
  ])
})

test('on Windows it says in one line that WSL is needed', async () => {
  const nodeArgs = [
    '--import',
    `data:text/javascript,Object.defineProperty(process,'platform',{value:'win32'})`,
  ]
  const { code, stderr } = await supervisor('start app.js', { nodeArgs })
  expect([code, stderr]).toEqual([
    2,
    'supervisor: Windows is not supported; run it in WSL, the Windows Subsystem for Linux\n',
  ])
})

test('values of --env are masked in the table and in JSON', async () => {
  for (const format of ['config', 'config --json']) {
    const { stdout } = await supervisor(`${format} -e TOKEN=secret -e OTHER=hidden`)
    expect(stdout).toContain('TOKEN')
    expect(stdout).not.toMatch(/secret|hidden/)
  }
})

test('the table is aligned and fits 80 columns', async () => {
  const { stdout } = await supervisor(
    'config app.js -w auto --umask 027 -b :8000 -b unix:/run/app.sock',
  )
  const lines = stdout.trimEnd().split('\n')
  const column = lines[0]?.indexOf('source') ?? 0
  for (const line of lines) {
    expect(line.length).toBeLessThanOrEqual(80)
    expect(line.slice(column - 2, column + 1)).toMatch(/^ {2}\S$/)
  }
  expect(stdout).toMatch(/^workers +auto \(\d+ here\) +-w$/m)
  expect(stdout).toMatch(/^umask +0027 +--umask$/m)
  expect(stdout).toMatch(/^bind +:8000 unix:\/run\/app\.sock +-b$/m)
})

test('--print-config is the command config, --check-config the command check', async () => {
  expect((await supervisor('start app.js --print-config -w 2')).stdout).toMatch(/^workers +2 +-w$/m)
  expect((await supervisor('start nope.js --check-config')).code).toBe(1)
})

test('--version is the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    version: string
  }
  for (const words of ['--version', '-v', 'start --version']) {
    expect(await supervisor(words)).toEqual({
      code: 0,
      stdout: `supervisor ${version}\n`,
      stderr: '',
    })
  }
})

test.each([
  '--help',
  '-h',
  'help',
  'start --help',
  'start app.js -w 2 -h',
  'help start',
  'check --help',
  'config --help',
])('"supervisor %s" fits 80 columns', async (words) => {
  const { code, stdout, stderr } = await supervisor(words)
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).toMatch(/^Usage: supervisor /)
  expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
})

test('help that is cut short by its reader is no error', async () => {
  // Gone before it is written: `head` would stay until it is, as a pipe has room for all of it.
  const command = `"${process.execPath}" "${cli}" start --help | true`
  const stderr = await new Promise((resolve) =>
    execFile('sh', ['-c', command], (_, __, text) => resolve(text)),
  )
  expect(stderr).toBe('')
})

test('the help of start names every setting under its group', async () => {
  const { stdout } = await supervisor('start --help')
  for (const name of Object.keys(await config(''))) {
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    expect(stdout).toMatch(new RegExp(String.raw`^  .*--(\[no-\])?${flag}\b`, 'm'))
  }
  expect(stdout).toMatch(/^Timeouts\n {2}-t, --timeout <seconds>\n {6}How long/m)
})

const generator = new URL('../scripts/generate-docs.mjs', import.meta.url).href
const { render } = (await import(generator)) as { render: () => Record<string, string> }

test.each(Object.entries(render()))('%s is what `npm run docs` makes now', (path, text) => {
  expect(readFileSync(join(repository, path), 'utf8')).toBe(text)
})

const schema = JSON.parse(render()['docs/supervisor.config.schema.json'] ?? '') as object
const isValid = new Ajv().compile(schema)

const samples: [boolean, Record<string, unknown>][] = [
  [true, {}],
  [
    true,
    {
      $schema: './x.json',
      bind: ['0.0.0.0:8000', 'unix:/run/app.sock'],
      workers: 'auto',
      timeout: '2m',
      keepAlive: 75.5,
      maxBody: '10mb',
      preload: true,
      nodeArgs: ['--inspect'],
      env: { A: 'x', B: 1 },
      umask: '0027',
      user: 1000,
      logLevel: 'warn',
    },
  ],
  [true, { bind: 8000, workers: 4, nodeArgs: '--inspect' }],
  [true, { workers: { min: 2, max: 'auto' }, scaleDownAfter: '5m' }],
  [false, { timout: 5 }],
  [false, { timeout: 'soon' }],
  [false, { timeout: -1 }],
  [false, { workers: 0 }],
  [false, { workers: 'many' }],
  [false, { workers: { min: 2, most: 8 } }],
  [false, { preload: 'true' }],
  [false, { logLevel: 'loud' }],
  [false, { env: { A: {} } }],
  [false, { umask: 512 }],
  [false, { maxHeaderSize: 1 }],
]
test.each(samples)('the JSON Schema and the server agree (%s) on %j', async (verdict, sample) => {
  const cwd = directoryWith({ 'supervisor.config.json': JSON.stringify(sample) })
  expect(isValid(sample)).toBe(verdict)
  expect((await supervisor('config', { cwd })).code).toBe(verdict ? 0 : 2)
})
