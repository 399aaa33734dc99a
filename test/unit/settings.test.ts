// The table of settings: what each kind accepts, and that the table keeps its own promises.
import * as v from 'valibot'
import { expect, expectTypeOf, test } from 'vitest'
import {
  type ConfigInput,
  flagOf,
  flagsOf,
  groups,
  type SettingName,
  type Settings,
  settingNames,
  settingRow,
  variablesOf,
} from '../../src/settings.ts'

const fromText = (name: SettingName, text: string): unknown => {
  const row = settingRow(name)
  return fromFile(name, row.fromText?.(text) ?? text)
}
const fromFile = (name: SettingName, value: unknown): unknown => {
  const result = v.safeParse(settingRow(name).schema, value)
  return result.success ? result.output : 'refused'
}

const texts: [SettingName, string, unknown][] = [
  ['workers', '4', 4],
  ['workers', 'auto', 'auto'],
  ['workers', 'AUTO', 'auto'],
  ['workers', '0', 'refused'],
  ['workers', '1.5', 'refused'],
  ['workers', 'many', 'refused'],
  ['workers', '', 'refused'],
  ['workers', '2-8', { min: 2, max: 8 }],
  ['workers', '3-3', { min: 3, max: 3 }],
  ['workers', '1-AUTO', { min: 1, max: 'auto' }],
  ['workers', '8-2', 'refused'],
  ['workers', '0-4', 'refused'],
  ['workers', '2-', 'refused'],
  ['workers', '2-8-9', 'refused'],
  ['workers', 'auto-2', 'refused'],
  ['workers', '1.5-2', 'refused'],
  ['threads', '0', 0],
  ['threads', '-1', 'refused'],
  ['threads', '99999999999', 'refused'],
  ['backlog', '0', 'refused'],
  ['timeout', '30', 30],
  ['timeout', '0', 0],
  ['timeout', '0.5', 0.5],
  ['timeout', '.5', 0.5],
  ['timeout', '500ms', 0.5],
  ['timeout', '2m', 120],
  ['timeout', '2 m', 120],
  ['timeout', '1.5h', 5400],
  ['timeout', '24d', 2_073_600],
  ['timeout', '25d', 'refused'],
  ['timeout', '-5', 'refused'],
  ['timeout', 'soon', 'refused'],
  ['timeout', '5 minutes', 'refused'],
  ['timeout', 'Infinity', 'refused'],
  ['timeout', '0x10', 'refused'],
  ['maxBody', '0', 0],
  ['maxBody', '1048576', 1_048_576],
  ['maxBody', '16kb', 16_384],
  ['maxBody', '512MB', 536_870_912],
  ['maxBody', '1.5gb', 1_610_612_736],
  ['maxBody', '5 tb', 'refused'],
  ['maxHeaderSize', '0', 'refused'],
  ['maxHeaderSize', '32kb', 32_768],
  ['preload', 'true', true],
  ['preload', 'ON', true],
  ['preload', '1', true],
  ['preload', 'no', false],
  ['preload', '0', false],
  ['preload', 'maybe', 'refused'],
  ['bind', ':8000 unix:/x', [':8000', 'unix:/x']],
  ['bind', ':8000,:8001', [':8000', ':8001']],
  ['bind', ':99999', 'refused'],
  ['admin', '127.0.0.1:9100', '127.0.0.1:9100'],
  ['admin', 'unix:/run/admin.sock', 'unix:/run/admin.sock'],
  ['admin', 'admin.example:9100', 'refused'],
  ['admin', ':9100 :9101', 'refused'],
  ['adminToken', 'sixteen-letters!', 'sixteen-letters!'],
  ['adminToken', 'too short', 'refused'],
  ['adminToken', 'sixteen letters and more', 'refused'],
  ['nodeArgs', `--a '--b c'`, ['--a', '--b c']],
  ['nodeArgs', `--a 'b`, 'refused'],
  ['umask', '0022', 0o022],
  ['umask', '22', 0o022],
  ['umask', '0o027', 0o027],
  ['umask', '8', 'refused'],
  ['umask', '1000', 'refused'],
  ['env', 'A=1=2', { A: '1=2' }],
  ['env', 'A=', { A: '' }],
  ['env', 'A', 'refused'],
  ['env', '=1', 'refused'],
  ['user', '1000', '1000'],
  ['stallTimeout', 'timeout', 'timeout'],
  ['stallTimeout', '2m', 120],
  ['stallTimeout', '0', 0],
  ['stallTimeout', 'never', 'refused'],
  ['slowRatio', '0.25', 0.25],
  ['slowRatio', '0', 0],
  ['slowRatio', '1', 1],
  ['slowRatio', '1.5', 'refused'],
  ['slowRatio', '50%', 'refused'],
  ['alertTimeouts', '5 in 60s', { timeouts: 5, seconds: 60 }],
  ['alertTimeouts', '5 in 2m', { timeouts: 5, seconds: 120 }],
  ['alertTimeouts', '0 in 1s', { timeouts: 0, seconds: 1 }],
  ['alertTimeouts', '5', 'refused'],
  ['alertTimeouts', '5 in 0', 'refused'],
  ['alertTimeouts', '5 in soon', 'refused'],
  ['alertTimeouts', '-5 in 60s', 'refused'],
  ['alertWebhook', 'https://hooks.example/x', 'https://hooks.example/x'],
  ['alertWebhook', '', ''],
  ['alertWebhook', 'hooks.example', 'refused'],
  ['alertWebhook', 'ftp://hooks.example', 'refused'],
  ['routes', '{"GET /a":{"timeout":"5m"}}', { 'GET /a': { timeout: 300 } }],
  ['routes', '{}', {}],
  ['routes', '{"GET /a"', 'refused'],
  ['routes', '{"a":{}}', 'refused'],
  ['routes', '[1]', 'refused'],
  ['minUploadRate', '1kb', 1024],
  ['maxMemory', '512mb', 536_870_912],
  ['maxMemory', '80%', '80%'],
  ['maxMemory', '100%', '100%'],
  ['maxMemory', '0', 0],
  ['maxMemory', '0%', 'refused'],
  ['maxMemory', '101%', 'refused'],
  ['maxMemory', '-1', 'refused'],
  ['maxMemory', 'half', 'refused'],
  ['maxLifetime', '6h', 21_600],
  ['accessLogFormat', 'combined', 'combined'],
  ['accessLogFormat', '%(h)s "%(r)s" %(s)s', '%(h)s "%(r)s" %(s)s'],
  ['accessLogFormat', 'jsn', 'refused'],
  ['accessLogFormat', '%(h)s %(zz)s', 'refused'],
  ['accessLogFormat', '', 'refused'],
  ['forwardedAllowIps', '*', ['*']],
  ['forwardedAllowIps', '10.0.0.0/8,::1 fd00::/8', ['10.0.0.0/8', '::1', 'fd00::/8']],
  ['forwardedAllowIps', '10.0.0.0/40', 'refused'],
  ['forwardedAllowIps', 'proxy.example', 'refused'],
  ['logLevel', 'WARN', 'warning'],
  ['reload', 'yes', true],
  ['reloadExtraFiles', `views/**/*.html 'my notes.txt'`, ['views/**/*.html', 'my notes.txt']],
  ['reloadEngine', 'POLL', 'poll'],
  ['reloadEngine', 'kqueue', 'refused'],
  ['logLevel', 'fatal', 'critical'],
  ['logLevel', 'debug', 'debug'],
  ['logLevel', 'loud', 'refused'],
  ['logFile', '-', '-'],
]
test.each(texts)('the flag or variable of %s may say %j: %j', (name, text, value) => {
  expect(fromText(name, text)).toEqual(value)
})

const values: [SettingName, unknown, unknown][] = [
  ['workers', 4, 4],
  ['workers', '4', 4],
  ['workers', 2.5, 'refused'],
  ['workers', Number.NaN, 'refused'],
  ['workers', null, 'refused'],
  ['workers', { min: 2, max: 8 }, { min: 2, max: 8 }],
  ['workers', { min: '2', max: 'auto' }, { min: 2, max: 'auto' }],
  ['workers', '2-8', { min: 2, max: 8 }],
  ['workers', { min: 8, max: 2 }, 'refused'],
  ['workers', { min: 0, max: 2 }, 'refused'],
  ['workers', { min: 2 }, 'refused'],
  ['workers', { min: 2, max: 4, step: 1 }, 'refused'],
  ['timeout', 0.25, 0.25],
  ['timeout', '250ms', 0.25],
  ['timeout', Number.POSITIVE_INFINITY, 'refused'],
  ['timeout', true, 'refused'],
  ['preload', true, true],
  ['preload', 'true', 'refused'],
  ['bind', 8000, ['8000']],
  ['bind', ':8000', [':8000']],
  ['bind', [':8000', '[::1]:8000'], [':8000', '[::1]:8000']],
  ['bind', [8000], 'refused'],
  ['umask', 0o027, 0o027],
  ['umask', 0o1000, 'refused'],
  ['env', { A: 1, B: true, C: 'x' }, { A: '1', B: 'true', C: 'x' }],
  ['env', { A: {} }, 'refused'],
  ['env', ['A=1'], 'refused'],
  ['env', { 'A=B': '1' }, 'refused'],
  ['user', 1000, '1000'],
  ['stallTimeout', 0.5, 0.5],
  ['slowRatio', 0.5, 0.5],
  ['slowRatio', -0.1, 'refused'],
  ['alertTimeouts', { timeouts: 2, seconds: 10 }, { timeouts: 2, seconds: 10 }],
  ['alertTimeouts', { timeouts: -2, seconds: 10 }, 'refused'],
  ['alertTimeouts', { timeouts: 2, seconds: 0 }, 'refused'],
  [
    'routes',
    { '/a': { concurrency: 2, maxBody: '1kb' } },
    { '/a': { concurrency: 2, maxBody: 1024 } },
  ],
  ['routes', { '/a': {} }, { '/a': {} }],
  ['routes', { '/a': { concurrency: 0 } }, 'refused'],
  ['routes', { '/a': { retries: 1 } }, 'refused'],
  ['routes', { 'GET a': { timeout: 1 } }, 'refused'],
  ['routes', { '/a': 300 }, 'refused'],
  ['forwardedAllowIps', [], []],
  ['forwardedAllowIps', ['10.0.0.0/8'], ['10.0.0.0/8']],
  ['forwardedAllowIps', ['10.0.0.0/8', 7], 'refused'],
  ['accessLogFormat', 7, 'refused'],
  ['user', 'www-data', 'www-data'],
]
test.each(values)('a settings file may say %s: %j is %j', (name, value, output) => {
  expect(fromFile(name, value)).toEqual(output)
})

test.each(settingNames)('the default of %s is a value it can have', (name) => {
  const { default: value } = settingRow(name)
  if (value === undefined) expect(['umask', 'socketMode', 'jobs']).toContain(name)
  else expect(fromFile(name, value)).toEqual(value)
})

test.each(settingNames)('the row of %s is complete', (name) => {
  const { group, help, wanted, placeholder } = settingRow(name)
  expect(groups).toContain(group)
  expect(help).toMatch(/^[A-Z"].*\.$/)
  expect(help).not.toMatch(/\bsecs?\b|msecs?\b/)
  expect(wanted).not.toBe('')
  if (placeholder === undefined) expect(wanted).toBe('true or false')
})

test('no flag and no variable belongs to two settings', () => {
  for (const all of [settingNames.flatMap(flagsOf), settingNames.flatMap(variablesOf)]) {
    expect(all).toHaveLength(new Set(all).size)
  }
})

test("no variable is one of the shell's or the system's", () => {
  const taken = ['USER', 'GROUP', 'HOME', 'NAME', 'ENV', 'CHDIR', 'PWD', 'UMASK', 'HOST', 'PORT']
  expect(settingNames.flatMap(variablesOf).filter((variable) => taken.includes(variable))).toEqual(
    [],
  )
})

test('flags and variables follow from the name', () => {
  expect(flagOf('maxRequestsJitter')).toBe('--max-requests-jitter')
  expect(variablesOf('workers')).toEqual([
    'SUPERVISOR_WORKERS',
    'WORKERS',
    'GUNICORN_WORKERS',
    'WEB_CONCURRENCY',
  ])
})

test('the types of the values follow from the table', () => {
  expectTypeOf<Settings['workers']>().toEqualTypeOf<
    number | 'auto' | { readonly min: number; readonly max: number | 'auto' }
  >()
  expectTypeOf<Settings['timeout']>().toEqualTypeOf<number>()
  expectTypeOf<Settings['bind']>().toEqualTypeOf<readonly string[]>()
  expectTypeOf<Settings['logFormat']>().toEqualTypeOf<'auto' | 'text' | 'json'>()
  expectTypeOf<Settings['umask']>().toEqualTypeOf<number | undefined>()
  expectTypeOf<{ timeout: '2m'; workers: 'auto'; logLevel: 'warn' }>().toExtend<ConfigInput>()
  expectTypeOf<{ timeout: 'soon' }>().not.toExtend<ConfigInput>()
  expectTypeOf<{ logLevel: 'loud' }>().not.toExtend<ConfigInput>()
})
