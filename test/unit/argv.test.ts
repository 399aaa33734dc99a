// How the words of a command line are read, and how one string becomes words.
import { expect, test } from 'vitest'
import { type FlagUse, parseWords } from '../../src/argv.ts'
import { shellWords } from '../../src/shell-words.ts'

const use = (name: string, flag: string, text?: string, negated = false): FlagUse =>
  ({ name, flag, text, negated }) as FlagUse

const spellings: [string, FlagUse[]][] = [
  ['--timeout 5', [use('timeout', '--timeout', '5')]],
  ['--timeout=5', [use('timeout', '--timeout', '5')]],
  ['--timeout=', [use('timeout', '--timeout', '')]],
  ['-t 5', [use('timeout', '-t', '5')]],
  ['-t5', [use('timeout', '-t', '5')]],
  ['-t=5', [use('timeout', '-t', '5')]],
  ['--timeout -5', [use('timeout', '--timeout', '-5')]],
  ['--log-file -', [use('logFile', '--log-file', '-')]],
  ['--error-logfile -', [use('logFile', '--error-logfile', '-')]],
  ['--preload', [use('preload', '--preload')]],
  ['--preload=false', [use('preload', '--preload', 'false')]],
  ['--no-preload', [use('preload', '--no-preload', undefined, true)]],
  ['--preload-app', [use('preload', '--preload-app')]],
  ['--limit-request-field_size 9000', [use('maxHeaderSize', '--limit-request-field_size', '9000')]],
  ['--node-args --inspect', [use('nodeArgs', '--node-args', '--inspect')]],
  ['-w 2 -w 3', [use('workers', '-w', '2'), use('workers', '-w', '3')]],
  ['-e A=1 --env B=--x', [use('env', '-e', 'A=1'), use('env', '--env', 'B=--x')]],
]

test.each(spellings)('%s is read', (line, uses) => {
  const parsed = parseWords(line.split(' '))
  expect(parsed).toMatchObject({ uses, unknown: [], problems: [], notes: [], file: undefined })
})

test('FILE may stand before, between and after the flags', () => {
  for (const line of ['app.js -w 2 --preload', '-w 2 app.js --preload', '-w 2 --preload app.js']) {
    const { file, uses, problems } = parseWords(line.split(' '))
    expect([file, uses.length, problems]).toEqual(['app.js', 2, []])
  }
})

test('what follows "--" belongs to the app, flags and a second "--" included', () => {
  const parsed = parseWords(['app.js', '--', '--timeout', '5', '--', 'x'])
  expect(parsed).toMatchObject({ file: 'app.js', uses: [], appArgs: ['--timeout', '5', '--', 'x'] })
})

test('a flag that is not followed by its value is named, and the next flag is still read', () => {
  const parsed = parseWords(['--timeout', '--workers', '4', '-b'])
  expect(parsed.problems.map((problem) => problem.message)).toEqual([
    '--timeout needs a value',
    '-b needs a value',
  ])
  expect(parsed.uses).toEqual([use('workers', '--workers', '4')])
})

test('unknown flags are collected as written, without complaints about their values', () => {
  const parsed = parseWords(['--timout', '5', '-x', '--max_requests=3', 'app.js'])
  expect(parsed.unknown).toEqual(['--timout', '-x', '--max_requests'])
  expect(parsed.problems).toEqual([])
})

test('a second FILE is one argument too many', () => {
  expect(parseWords(['app.js', 'extra']).problems[0]?.message).toMatch(/^"extra" is one argument/)
})

test.each([
  ['--worker-class gevent', '--worker-class gevent'],
  ['--worker-class=uvicorn.workers.UvicornWorker', '--worker-class uvicorn.workers.UvicornWorker'],
  ['-k sync', '-k sync'],
  ['--worker-class', '--worker-class'],
  ['--spew', '--spew'],
  ['-D', '-D'],
  ['--no-sendfile', '--no-sendfile'],
  ['--permit-obsolete-folding', '--permit-obsolete-folding'],
])("Gunicorn's %s is accepted and explained", (line, shown) => {
  const parsed = parseWords([...line.split(' '), '-w', '2'])
  expect(parsed.notes).toEqual([expect.stringMatching(`^${shown} has no meaning in Node: .{10}`)])
  expect(parsed).toMatchObject({ unknown: [], problems: [], uses: [use('workers', '-w', '2')] })
})

test.each(['--dirty-app'])("Gunicorn's %s does not exist yet and is refused", (flag) => {
  expect(parseWords([flag]).unknown).toEqual([flag])
})

test.each([
  ['', []],
  ['  a  b\tc\n', ['a', 'b', 'c']],
  [`--name 'my app'`, ['--name', 'my app']],
  [`--name="my app"`, ['--name=my app']],
  [`a\\ b`, ['a b']],
  [`"a \\" b" 'c \\'`, ['a " b', 'c \\']],
  [`"a\\b"`, ['a\\b']],
  [`'' ""`, ['', '']],
  [`x'y'"z"`, ['xyz']],
])('%j is split as a shell would', (line, words) => {
  expect(shellWords(line)).toEqual(words)
})

test.each([`'open`, `"open`, `a "b`, 'end\\', `it's`])('%j is left open', (line) => {
  expect(shellWords(line)).toBeUndefined()
})
