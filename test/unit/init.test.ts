// What `supervisor init` makes of facts, and what it reads of other servers' settings without running them.
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  fromWords,
  inDockerfile,
  inProcfile,
  inScript,
  inUnit,
  type CommandLine,
} from '../../src/init/from/command-line.ts'
import { configText } from '../../src/init/from/config-text.ts'
import { fromPython } from '../../src/init/from/gunicorn.ts'
import { appsOf, fromPm2, startOf, type App } from '../../src/init/from/pm2.ts'
import { readPython } from '../../src/init/from/python.ts'
import { ShellScope } from '../../src/init/from/shell.ts'
import type { Taken } from '../../src/init/from/taken.ts'
import { withoutFlag } from '../../src/init/derived.ts'
import { nameOf, nodeOf } from '../../src/init/facts.ts'
import { packagesOf } from '../../src/init/packages.ts'
import { tempDir } from '../helpers/temp.ts'

const nothing = (): undefined => undefined
const settingsOf = ({ entries }: Taken): Record<string, string> =>
  Object.fromEntries([...entries].map(([name, { value }]) => [name, value.js]))
const leftOf = ({ left }: Taken): string[] => left.map(({ source, why }) => `${source}: ${why}`)
const python = (...lines: string[]): Taken => fromPython(readPython(lines.join('\n')))
const taken = (found: CommandLine | undefined): Taken => fromWords(found!)
const script = (text: string): Taken => taken(inScript(text, new ShellScope(), nothing))

describe('a settings file in Python', () => {
  test.each([
    ['timeout = 120', { timeout: '120' }],
    ['timeout: int = 2 * 60', { timeout: '120' }],
    ['keepalive = 5', { keepAlive: '5' }],
    ['bind = "0.0.0.0:" "8000"', { bind: "'0.0.0.0:8000'" }],
    [
      "bind = ['127.0.0.1:80', 'unix:/run/a.sock']",
      { bind: "['127.0.0.1:80', 'unix:/run/a.sock']" },
    ],
    ["bind = '%s:%s' % (a, b)", {}],
    ["bind = '0.0.0.0:%s' % os.environ.get('P', 80)", { bind: '`0.0.0.0:${process.env.P ?? 80}`' }],
    ["bind = '{}:{}'.format('0.0.0.0', 8000)", { bind: "'0.0.0.0:8000'" }],
    [
      "p = os.getenv('P', '80')\nbind = f'0.0.0.0:{p}'",
      { bind: "`0.0.0.0:${process.env.P ?? '80'}`" },
    ],
    ["timeout = int(os.environ.get('T', '300'))", { timeout: 'Number(process.env.T ?? 300)' }],
    ["timeout = int(os.environ.get('T') or 300)", { timeout: 'Number(process.env.T || 300)' }],
    ["timeout = int(os.environ['T'])", { timeout: 'Number(process.env.T)' }],
    ["timeout = float(os.getenv('T', default=1.5))", { timeout: 'Number(process.env.T ?? 1.5)' }],
    ["timeout = int(os.environ.get('GUNICORN_TIMEOUT', 300))", { timeout: '300' }],
    ["workers = int(os.environ.get('WEB_CONCURRENCY', 1 + 2))", { workers: '3' }],
    [
      'workers = multiprocessing.cpu_count() * 2 + 1',
      { workers: 'availableParallelism() * 2 + 1' },
    ],
    ['workers = 2 * (os.cpu_count() + 1)', { workers: '2 * (availableParallelism() + 1)' }],
    [
      'workers = (os.cpu_count() or 1) // 2',
      { workers: 'Math.floor((availableParallelism() || 1) / 2)' },
    ],
    ['workers = min(4, mp.cpu_count())', { workers: 'Math.min(4, availableParallelism())' }],
    ['workers = min(4, 3)', { workers: '3' }],
    [
      "reload = os.getenv('E', 'x').lower() in ('1', 'dev')",
      { reload: "['1', 'dev'].includes((process.env.E ?? 'x').toLowerCase())" },
    ],
    ["reload = not os.getenv('PROD')", { reload: '!process.env.PROD' }],
    [
      "loglevel = 'debug' if os.getenv('D') else 'info'",
      { logLevel: "(process.env.D ? 'debug' : 'info') as ConfigInput['logLevel']" },
    ],
    ["loglevel = 'INFO'", { logLevel: "'info'" }],
    ['umask = 0o027', { umask: "'0027'" }],
    ["raw_env = ['A=b', 'URL=x=y']", { env: "{ A: 'b', URL: 'x=y' }" }],
    ['preload_app = True; max_requests = 1_000', { preload: 'true', maxRequests: '1000' }],
    ['if x:\n    timeout = 3\ntimeout = 4', { timeout: '4' }],
    ['# timeout = 3', {}],
  ])('%s', (text, settings) => {
    const imports = 'import os, multiprocessing\nimport multiprocessing as mp\n'
    expect(settingsOf(python(imports + text))).toEqual(settings)
  })

  test('says what it could not take, a reason for each line', () => {
    const file = python(
      'import os',
      'from shop import secrets',
      'worker_class = "gevent"',
      'dirty_workers = 2',
      'timeout = secrets.timeout()',
      'workers = -1',
      'threads = 1',
      'errorlog = None',
      'if os.path.exists("x"):',
      '    timeout = 5',
      'helper = 3',
      'max_requests = helper',
      'unused = 3',
      'def on_starting(server):',
      '    timeout = 7',
      'wsgi_app = "shop:app"',
    )
    expect(settingsOf(file)).toEqual({ maxRequests: '3' })
    expect(leftOf(file)).toEqual([
      'worker_class = "gevent": every worker serves many requests at once on its event loop',
      'dirty_workers = 2: jobs take the place of dirty workers: docs/jobs.md',
      expect.stringMatching(/^workers = -1: it must be a whole number, 1 or more/),
      expect.stringMatching(/^threads = 1: the size of each worker's thread pool/),
      'errorlog = None: nothing is the default here as well',
      'unused = 3: it is no setting of Gunicorn that has a meaning here',
      'timeout = secrets.timeout(): shop.secrets.timeout() is not known without running it',
      'if os.path.exists("x"):: it is known only when it is run',
      'def on_starting(...): write onStarting() in JavaScript: docs/hooks.md',
    ])
    expect(file.remarks.join()).toContain('The app was')
  })

  test('that is none is refused', () => {
    expect(() => readPython('timeout = 3\nthis is § not Python')).toThrow('line 2: "§"')
  })
})

describe('a command line', () => {
  test.each([
    [
      'gunicorn -w 4 -b 0.0.0.0:8080 --timeout 300 a:app',
      { workers: '4', bind: "'0.0.0.0:8080'", timeout: '300' },
    ],
    [
      'exec /venv/bin/gunicorn a:app --timeout=${T:-300}',
      { timeout: 'Number(process.env.T || 300)' },
    ],
    ['T=${T-300}; gunicorn --timeout "$T" a', { timeout: 'Number(process.env.T ?? 300)' }],
    ['T=5\ngunicorn --timeout $T a', { timeout: '5' }],
    ['OPTS="--timeout 9 -w 2"\npython -m gunicorn $OPTS a', { timeout: '9', workers: '2' }],
    ['gunicorn --workers $((2 * $(nproc) + 1)) a', { workers: '2 * availableParallelism() + 1' }],
    ['gunicorn --workers $((W * 2)) a', {}],
    ['gunicorn -b 0.0.0.0:${P:-80} a', { bind: "`0.0.0.0:${process.env.P || '80'}`" }],
    ['gunicorn -b :$PORT a', {}],
    ['gunicorn --timeout ${GUNICORN_TIMEOUT} a', {}],
    ['gunicorn -e A=b -e "C=d e" a', { env: "{ A: 'b', C: 'd e' }" }],
    ['gunicorn --preload a >log 2>&1 "$@"', { preload: 'true' }],
    ["sh -c 'migrate && gunicorn -t 7 a'", { timeout: '7' }],
    [
      'gunicorn a \\\n --timeout 8 \\   # new\n --keep-alive 5 # old',
      { timeout: '8', keepAlive: '5' },
    ],
    ['pip install gunicorn\nif x; then exec gunicorn -t 1 a; fi', { timeout: '1' }],
  ])('%s', (text, settings) => {
    expect(settingsOf(script(text))).toEqual(settings)
  })

  test('says what it could not take', () => {
    const found = script(
      'migrate\ngunicorn -k gevent --timeout $(cat t) --bogus --dirty-workers a:app',
    )
    expect(leftOf(found)).toEqual([
      '--timeout $(cat t): $(cat t) is not known without running it',
      '-k gevent: every worker serves many requests at once on its event loop',
      '--bogus: there is no such flag here',
      '--dirty-workers: jobs take the place of dirty workers: docs/jobs.md',
    ])
    expect(found.remarks).toEqual([
      'It also ran, and you should go on to run: migrate',
      expect.stringContaining('The app was a:app'),
    ])
  })

  test('is found in a Procfile, a unit, a Dockerfile, and a script that one of them names', () => {
    const timeout = (found: CommandLine | undefined): unknown => settingsOf(taken(found)).timeout
    const start = (path: string): string | undefined =>
      path === './start.sh' ? 'gunicorn -t 5 a' : undefined
    expect(timeout(inProcfile('release: x\nweb: gunicorn a -t 4\n', nothing))).toBe('4')
    const unit = '[Service]\nEnvironment="T=6" A=b\nExecStart=-/v/gunicorn a \\\n  --timeout ${T}\n'
    expect(timeout(inUnit(unit, nothing))).toBe('Number(process.env.T ?? 6)')
    const image = (end: string): string => `FROM x\nENV T=3 \\\n  U=4\n${end}\n`
    expect(timeout(inDockerfile(image('CMD gunicorn -t $T a'), nothing))).toBe(
      'Number(process.env.T ?? 3)',
    )
    expect(timeout(inDockerfile(image('ENTRYPOINT ["gunicorn"]\nCMD ["-t", "2"]'), nothing))).toBe(
      '2',
    )
    expect(timeout(inDockerfile(image('CMD ["./start.sh"]'), start))).toBe('5')
    expect(inDockerfile(image('CMD ["node", "app.js"]'), nothing)).toBeUndefined()
  })
})

describe("an app of PM2's", () => {
  const pm2 = (app: App): Taken => fromPm2({ script: 'api.js', ...app })

  test.each([
    [
      { name: 'api', instances: 'max', exec_mode: 'cluster' },
      { name: "'api'", workers: "'auto'" },
    ],
    [
      { instances: 4, wait_ready: true },
      { workers: '4', waitReady: 'true' },
    ],
    [{ instances: -1 }, { workers: "'auto'" }],
    [{ max_memory_restart: '300M' }, { maxMemory: "'300mb'" }],
    [
      { max_memory_restart: '1G', kill_timeout: 5000 },
      { maxMemory: "'1gb'", gracefulTimeout: '5' },
    ],
    [{ listen_timeout: 90_000 }, { bootTimeout: '90' }],
    [{ min_uptime: '10s' }, { stableAfter: '10' }],
    [
      { node_args: '--a --b=c', source_map_support: true },
      { nodeArgs: "['--a', '--b=c', '--enable-source-maps']" },
    ],
    [{ env: { A: 1, B: 'x' } }, { env: "{ A: 1, B: 'x' }" }],
    [{ watch: ['src'] }, { reload: 'true', reloadExtraFiles: "['src']" }],
    [{ watch: false, autorestart: true }, {}],
    [
      { cwd: 'api', uid: 1000, log_type: 'json' },
      { chdir: "'api'", user: '1000', logFormat: "'json'" },
    ],
  ])('%j', (app, settings) => {
    const found = pm2(app)
    expect([settingsOf(found), leftOf(found)]).toEqual([settings, []])
  })

  test('says what it could not take', () => {
    const found = pm2({
      cron_restart: '0 3 * * *',
      listen_timeout: 3000,
      max_restarts: 9,
      bogus: 1,
    })
    expect(leftOf(found)).toEqual([
      expect.stringMatching(/^cron_restart: '0 3 \* \* \*': let cron run "supervisor reload"/),
      expect.stringMatching(/^listen_timeout: 3000: .* bootTimeout stays 60 s$/),
      expect.stringMatching(/^max_restarts: 9: it never gives up/),
      'bogus: 1: there is nothing like it here',
    ])
  })

  test('with an environment for production has it where NODE_ENV says so', () => {
    const found = pm2({ env: { A: 'a' }, env_production: { B: 2 } })
    expect(
      settingsOf(found)
        .env?.split('\n')
        .map((line) => line.trim()),
    ).toEqual(['{', "A: 'a',", "...(process.env.NODE_ENV === 'production' && { B: 2 }),", '}'])
  })

  test('is one of a list, of apps, or alone; its arguments follow --', () => {
    const app = { script: 'api.js', args: '--port 3' }
    for (const exported of [app, [app], { apps: [app] }]) expect(appsOf(exported)).toEqual([app])
    for (const other of [null, 3, {}, [], { apps: [3] }]) expect(appsOf(other)).toBeUndefined()
    expect(startOf(app)).toBe('supervisor start api.js -- --port 3')
  })
})

test('what was taken is a file with a comment for each change, in 100 columns', () => {
  const text = configText('gunicorn.conf.py', python('timeout = 3', 'worker_class = "sync"'))
  expect(text)
    .toBe(`// Made from gunicorn.conf.py by "supervisor init --from". Comments say what is different, and what was not taken.
import type { ConfigInput } from 'nodicorn'

export default {
  // A request that takes longer gets a 504; its worker goes on with the others, unless it is
  // blocked
  timeout: 3,
  // Not taken: worker_class = "sync" (every worker serves many requests at once on its event loop)
} satisfies ConfigInput
`)
})

test.each([
  ['', 24],
  ['>=20', 24],
  ['>=26', 26],
  ['20.x', 20],
  ['^22.1.0', 22],
  ['22', 22],
  ['v22\n', 22],
  ['>=20 <23', 22],
  ['18', 20],
  ['^20 || ^22', 24],
  ['lts/*', 24],
])('engines %j mean an image of Node %i', (range, major) => {
  expect(nodeOf(range)).toBe(major)
})

test.each([
  ['@acme/The Shop', 'the-shop'],
  ['3-things_', 'things'],
  ['§', 'app'],
  ['a'.repeat(40), 'a'.repeat(32)],
])('%s is called %s', (name, slug) => {
  expect(nameOf(name)).toBe(slug)
})

test('a flag is taken out of a command line with its value, however it is written', () => {
  const words = [
    'start',
    'a.js',
    '-b',
    'x',
    '--bind',
    'y',
    '--bind=z',
    '-bw',
    '-w',
    '2',
    '--',
    '-b',
  ]
  expect(withoutFlag(words, '--bind', '-b')).toEqual(['start', 'a.js', '-w', '2', '--', '-b'])
})

test.each([
  ['package-lock.json', {}, 'npm ci', undefined],
  ['README', {}, 'npm install', undefined],
  [
    'pnpm-lock.yaml',
    { packageManager: 'pnpm@9.1.0+sha512.0' },
    'pnpm install --frozen-lockfile',
    'npm install --global pnpm@9.1.0',
  ],
  ['yarn.lock', {}, 'yarn install --frozen-lockfile', 'npm install --global --force yarn@1'],
  [
    'yarn.lock',
    { packageManager: 'yarn@4.1.0' },
    'YARN_NODE_LINKER=node-modules yarn install --immutable',
    'npm install --global --force corepack && corepack enable',
  ],
])('%s with %j installs by %s', (file, manifest, install, prepare) => {
  const directory = tempDir({ onTestFinished }, { [file]: '' })
  expect(packagesOf(directory, manifest)).toMatchObject({ install, prepare })
})
