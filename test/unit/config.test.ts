// Which of several places a setting comes from, and what is said when something is wrong with them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { loadConfig, type LoadConfigOptions } from '../../src/config.ts'
import { ConfigErrors } from '../../src/errors.ts'
import type { SettingName } from '../../src/settings.ts'

const made: string[] = []
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true })
})
const directoryWith = (files: Record<string, string>): string => {
  const directory = mkdtempSync(join(tmpdir(), 'nodicorn-config-'))
  made.push(directory)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  return directory
}
const empty = directoryWith({})

const load = (line: string, env: NodeJS.ProcessEnv = {}, more: LoadConfigOptions = {}) =>
  loadConfig({ argv: line.split(' ').filter(Boolean), env, cwd: empty, ...more })

const linesOf = async (...request: Parameters<typeof load>): Promise<readonly string[]> => {
  const error: unknown = await load(...request).catch((error: unknown) => error)
  if (error instanceof ConfigErrors) return error.lines
  throw new Error('nothing was wrong', { cause: error })
}

const timeoutFile = directoryWith({
  'supervisor.config.json': '{"timeout": 1, "env": {"A": "file"}}',
})

const ladder: [string, string, NodeJS.ProcessEnv, number, string][] = [
  ['the file beats the default', '', {}, 1, 'supervisor.config.json'],
  [
    'GUNICORN_CMD_ARGS beats the file',
    '',
    { GUNICORN_CMD_ARGS: '-t 2' },
    2,
    'GUNICORN_CMD_ARGS -t',
  ],
  [
    "Gunicorn's variable beats GUNICORN_CMD_ARGS",
    '',
    { GUNICORN_CMD_ARGS: '-t 2', GUNICORN_TIMEOUT: '3' },
    3,
    'GUNICORN_TIMEOUT',
  ],
  [
    "the short variable beats Gunicorn's",
    '',
    { GUNICORN_TIMEOUT: '3', TIMEOUT: '4' },
    4,
    'TIMEOUT',
  ],
  [
    'SUPERVISOR_ beats the short variable',
    '',
    { TIMEOUT: '4', SUPERVISOR_TIMEOUT: '5' },
    5,
    'SUPERVISOR_TIMEOUT',
  ],
  ['the flag beats all', '--timeout 6', { SUPERVISOR_TIMEOUT: '5' }, 6, '--timeout'],
  ['the last of two flags counts', '--timeout 6 -t 7', {}, 7, '-t'],
  [
    'an empty variable counts as unset',
    '',
    { TIMEOUT: ' ', GUNICORN_TIMEOUT: '3' },
    3,
    'GUNICORN_TIMEOUT',
  ],
]
test.each(ladder)('%s', async (_, line, env, value, source) => {
  const config = await load(line, env, { cwd: timeoutFile })
  expect([config.settings.timeout, config.sources.timeout]).toEqual([value, source])
})

test('WEB_CONCURRENCY is the weakest variable for the workers', async () => {
  expect((await load('', { WEB_CONCURRENCY: '3' })).settings.workers).toBe(3)
  expect((await load('', { WEB_CONCURRENCY: '3', GUNICORN_WORKERS: '4' })).settings.workers).toBe(4)
  expect((await load('', { WEB_CONCURRENCY: '' })).settings.workers, 'empty: unset').toBe(1)
  expect(await linesOf('', { WEB_CONCURRENCY: 'many' })).toEqual([
    expect.stringMatching(/^WEB_CONCURRENCY is "many"/),
  ])
})

test('settings given in code beat the environment, and flags beat them', async () => {
  const options = { timeout: '2m', workers: 2 } as const
  const config = await load('-w 3', { TIMEOUT: '9', WORKERS: '9' }, { options })
  expect(config.settings).toMatchObject({ timeout: 120, workers: 3 })
  expect(config.sources).toMatchObject({ timeout: 'options', workers: '-w' })
})

test('the variables of `env` are merged, the stronger source winning', async () => {
  const { settings, sources } = await load(
    '-e A=flag -e B=2',
    { SUPERVISOR_ENV: `A=x C='3 4'` },
    { cwd: timeoutFile },
  )
  expect(settings.env).toEqual({ A: 'flag', B: '2', C: '3 4' })
  expect(sources.env).toBe('supervisor.config.json, SUPERVISOR_ENV, -e')
})

const listening: [string, NodeJS.ProcessEnv, readonly string[], string][] = [
  ['', {}, ['127.0.0.1:8000'], 'default'],
  ['', { PORT: '8080' }, ['0.0.0.0:8080'], 'PORT'],
  ['', { HOST: 'localhost' }, ['localhost'], 'HOST'],
  ['', { HOST: '::1', PORT: '80' }, ['[::1]:80'], 'HOST and PORT'],
  ['-b :1 --bind :2', { PORT: '8080' }, [':1', ':2'], '--bind'],
  ['-b :1,:2', {}, [':1', ':2'], '-b'],
  ['', { BIND: ':1 :2', PORT: '8080' }, [':1', ':2'], 'BIND'],
  ['', { GUNICORN_CMD_ARGS: '-b :3', PORT: '8080' }, [':3'], 'GUNICORN_CMD_ARGS -b'],
  ['-b :1', { PORT: 'not-for-us' }, [':1'], '-b'],
]
test.each(listening)('with "%s" and %j it listens on %j', async (line, env, bind, source) => {
  const config = await load(line, env)
  expect([config.settings.bind, config.sources.bind]).toEqual([bind, source])
})

test('everything is frozen', async () => {
  const config = await load('-e A=1 -b :1')
  for (const part of [
    config,
    config.settings,
    config.sources,
    config.settings.env,
    config.settings.bind,
    config.notes,
  ]) {
    expect(Object.isFrozen(part)).toBe(true)
  }
})

test('a relative --chdir becomes absolute, and one that does not exist is refused', async () => {
  const cwd = directoryWith({})
  mkdirSync(join(cwd, 'sub'))
  expect((await load('--chdir sub', {}, { cwd })).settings.chdir).toBe(join(cwd, 'sub'))
  expect(await linesOf('--chdir nope')).toEqual([
    '--chdir is "nope"; it must be an existing directory',
  ])
})

const SECONDS = 'a number of seconds from 0 to 24 days, or a duration such as "500ms", "2m" or "1h"'
const mistakes: [string, NodeJS.ProcessEnv, string][] = [
  ['--timeout soon', {}, `--timeout is "soon"; it must be ${SECONDS}`],
  ['-t=-5', {}, `-t is "-5"; it must be ${SECONDS}`],
  ['', { TIMEOUT: 'soon' }, `TIMEOUT is "soon"; it must be ${SECONDS}`],
  [
    '',
    { GUNICORN_CMD_ARGS: '--timeout soon' },
    `GUNICORN_CMD_ARGS --timeout is "soon"; it must be ${SECONDS}`,
  ],
  [
    '',
    { GUNICORN_CMD_ARGS: '--timout 3' },
    'GUNICORN_CMD_ARGS --timout is not a known flag; did you mean --timeout?',
  ],
  [
    '',
    { GUNICORN_CMD_ARGS: "--name 'x" },
    `GUNICORN_CMD_ARGS is "--name 'x"; it must be flags whose quotes are closed`,
  ],
  [
    '',
    { GUNICORN_CMD_ARGS: 'app:app' },
    'GUNICORN_CMD_ARGS is "app:app"; it must be flags only; the app belongs on the command line',
  ],
  [
    '-w 0',
    {},
    '-w is "0"; it must be a whole number, 1 or more, "auto", or a range from the smaller number to the larger such as "2-8" or "2-auto" (in a settings file also { min: 2, max: 8 })',
  ],
  ['--timout 3', {}, '--timout is not a known flag; did you mean --timeout?'],
  ['--max_requests 3', {}, '--max_requests is not a known flag; did you mean --max-requests?'],
  ['--xyzzy', {}, '--xyzzy is not a known flag'],
  ['--workers', {}, '--workers needs a value'],
  [
    '',
    { SUPERVISOR_TIMOUT: '3' },
    'SUPERVISOR_TIMOUT is not a known variable; did you mean SUPERVISOR_TIMEOUT?',
  ],
  ['', { PORT: '99999' }, 'PORT is "99999"; it must be a port from 0 to 65535'],
  [
    '-b :80 -b :99999',
    {},
    '-b is ":99999"; it must be host:port, [ipv6]:port, :port, a port from 0 to 65535, unix:/path or fd://number',
  ],
  ['-e TOKEN', {}, '-e is "TOKEN"; it must be KEY=VALUE, or in a settings file an object of texts'],
  [
    '--log-level loud',
    {},
    '--log-level is "loud"; it must be one of debug, info, warning, error, critical',
  ],
]
test.each(mistakes)('"%s" with %j is refused in one line', async (line, env, complaint) => {
  expect(await linesOf(line, env)).toEqual([complaint])
})

test('all mistakes are reported together', async () => {
  const cwd = directoryWith({ 'supervisor.config.json': '{"timeout": "soon", "max_requests": 3}' })
  const lines = await linesOf(
    '-w many --preload=perhaps --timout 3',
    { SUPERVISOR_KEEPALIVE: '3' },
    { cwd },
  )
  expect(lines.map((line) => line.split(/ is |;/)[0])).toEqual([
    '--timout',
    'SUPERVISOR_KEEPALIVE',
    'supervisor.config.json: max_requests',
    '-w',
    '--preload',
    'supervisor.config.json: timeout',
  ])
})

test('a variable that a flag overrides is not looked at, unlike a mistake in the file', async () => {
  expect((await load('--timeout 5', { TIMEOUT: 'of another program' })).settings.timeout).toBe(5)
  const cwd = directoryWith({ 'supervisor.config.json': '{"timeout": "soon"}' })
  expect(await linesOf('--timeout 5', {}, { cwd })).toHaveLength(1)
})

test.each([
  'SUPERVISOR_WORKER',
  'SUPERVISOR_WORKER_SLOT',
  'SUPERVISOR_ENABLED',
  'SUPERVISOR_GROUP_NAME',
])('%s, set by us or by another supervisor, is not a mistake', async (variable) => {
  expect((await load('', { [variable]: '1' })).settings.workers).toBe(1)
})

test.each([
  [
    '{"TOKEN": ["secret"]}',
    'the value of supervisor.config.json: env.TOKEN is "***"; it must be a text, a number or a boolean',
  ],
  [
    '["TOKEN=secret"]',
    'supervisor.config.json: env is "***"; it must be an object such as { "KEY": "value" }',
  ],
  [
    '{"TO=KEN": "secret"}',
    'supervisor.config.json: env is {"TO=KEN":"***"}; it must be an object whose keys are names of variables',
  ],
])('the values in a wrong `env` are never shown: %s', async (env, complaint) => {
  const cwd = directoryWith({ 'supervisor.config.json': `{"env": ${env}}` })
  expect(await linesOf('', {}, { cwd })).toEqual([complaint])
})

const unknownKeys: [string, string][] = [
  ['max_requests', 'is not a known setting; did you mean maxRequests?'],
  ['keepalive', 'is not a known setting; did you mean keepAlive?'],
  ['preload_app', 'is not a known setting; did you mean preload?'],
  ['proc_name', 'is not a known setting; did you mean name?'],
  ['limit_request_field_size', 'is not a known setting; did you mean maxHeaderSize?'],
  ['worker', 'is not a known setting; did you mean workers?'],
  ['xyzzy', 'is not a known setting'],
  [
    'worker_tmp_dir',
    'has no meaning in Node: workers report through a pipe, not through files; remove it',
  ],
]
test.each(unknownKeys)('the key %s of a file %s', async (key, complaint) => {
  const cwd = directoryWith({ 'supervisor.config.json': JSON.stringify({ [key]: 1 }) })
  expect(await linesOf('', {}, { cwd })).toEqual([`supervisor.config.json: ${key} ${complaint}`])
})

test('every name is in the sources', async () => {
  const { settings, sources } = await load('')
  expect(Object.keys(sources)).toEqual(Object.keys(settings))
  expect(Object.values(sources).every((source) => source === 'default')).toBe(true)
  expect(sources['workers' satisfies SettingName]).toBe('default')
})
