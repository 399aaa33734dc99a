// Settings from all their sources, with any value: taken, or refused by lines for people. Never by a stack, and never by a crash.
import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { loadConfig, type LoadConfigOptions } from '../../src/config.ts'
import { readConfigFile } from '../../src/config-file.ts'
import { UserError } from '../../src/errors.ts'
import { hookNames } from '../../src/hooks.ts'
import { flagsOf, settingNames, variablesOf } from '../../src/settings.ts'
import { runCommand } from '../helpers/command.ts'
import { tempDir, type Teardown } from '../helpers/temp.ts'
import { json, text } from './json.ts'
import type { Target } from './target.ts'

const LONGEST_LINE = 2_000

/** Of an error for people. Throws others on. */
function mustBeForPeople(error: unknown): void {
  if (!(error instanceof UserError)) throw error
  mustRead(error.message)
}

function mustRead(message: string): void {
  if (message.trim() === '') throw new Error('an empty error')
  for (const line of message.split('\n'))
    if (/^\s+at .*:\d+|\[object Object\]|undefined is/.test(line) || line.length > LONGEST_LINE)
      throw new Error(`not for people: ${line}`)
}

async function load(from: LoadConfigOptions): Promise<void> {
  try {
    await loadConfig({ env: {}, cwd: '/', ...from })
  } catch (error) {
    mustBeForPeople(error)
  }
}

const name = fc.constantFrom(...settingNames)
const key = fc.oneof({ arbitrary: name, weight: 9 }, fc.constantFrom(...hookNames), text)

/** Up to four settings, or none at all. */
const values = fc.dictionary(key, json, { maxKeys: 4, noNullPrototype: true })

const variable = fc.oneof(
  { arbitrary: fc.constantFrom(...settingNames.flatMap(variablesOf)), weight: 9 },
  fc.constantFrom(
    'GUNICORN_CMD_ARGS',
    'SUPERVISOR_CONFIG',
    'PORT',
    'HOST',
    'WEB_CONCURRENCY',
    'SUPERVISOR_X',
  ),
)
const env = fc.dictionary(variable, text, { maxKeys: 4, noNullPrototype: true })

const word = fc.oneof(
  { arbitrary: fc.constantFrom(...settingNames.flatMap(flagsOf)), weight: 6 },
  { arbitrary: text, weight: 4 },
  fc
    .tuple(fc.constantFrom(...settingNames.flatMap(flagsOf)), text)
    .map(([flag, value]) => `${flag}=${value}`),
  fc.constantFrom('--', '-', '--no-reload', '--=', '-w', '-wx', '--no-', 'app.js', '--help', '-c'),
)

export const settings: Target = {
  name: 'settings from a file, variables, flags and code, of any value',
  kind: 'in-process',
  runs: 600,
  async open() {
    const argv = fc.array(word, { maxLength: 5 })
    const property = fc.asyncProperty(values, env, argv, async (options, variables, words) => {
      await load({ options })
      await load({ env: variables })
      await load({ argv: words })
    })
    const unthinkable = ['a\0b', 'x'.repeat(5_000)].map((chdir) => ({ chdir }))
    const examples = unthinkable.map((options): [object, object, string[]] => [options, {}, []])
    return await Promise.resolve({ property, servers: [], examples })
  },
}

interface File {
  readonly ending: string
  readonly body: string
}

/** Texts of settings files. */
const file: fc.Arbitrary<File> = fc.oneof(
  fc.record({
    ending: fc.constant('json'),
    body: fc.oneof(
      json.map((one) => JSON.stringify(one)),
      text,
    ),
  }),
  fc.record({
    ending: fc.constantFrom('cjs', 'mjs'),
    body: fc.oneof(
      json.map((one) => `throw ${JSON.stringify(one) ?? 'undefined'}`),
      text,
      fc.constantFrom(
        'module.exports = () => { throw null }',
        'throw Object.create(null)',
        'throw Symbol()',
        'export default async () => null',
        'export default Object.create(null)',
      ),
    ),
  }),
)

export const settingsFiles: Target = {
  name: 'the text of a settings file',
  kind: 'in-process',
  runs: 100,
  async open(t: Teardown) {
    const dir = tempDir(t)
    let files = 0
    const property = fc.asyncProperty(file, async ({ ending, body }) => {
      const path = join(dir, `${++files}.config.${ending}`)
      writeFileSync(path, body)
      try {
        await readConfigFile(path, 'supervisor.config')
      } catch (error) {
        mustBeForPeople(error)
      }
    })
    const examples: [File][] = [
      [{ ending: 'cjs', body: 'throw { a: 1 }' }],
      [{ ending: 'mjs', body: 'throw Object.create(null)' }],
    ]
    return await Promise.resolve({ property, servers: [], examples })
  },
}

/** What a process would do with settings that the check lets pass must not be tried with these: they change the machine, or wait. */
const HARMLESS = settingNames.filter(
  (one) =>
    ![
      'user',
      'group',
      'chdir',
      'umask',
      'pidfile',
      'preload',
      'jobs',
      'processes',
      'reload',
      'node',
      'nodeArgs',
    ].includes(one),
)

export const commandLine: Target = {
  name: 'supervisor check with any settings ends with a documented status and without a stack',
  kind: 'servers',
  runs: 5,
  async open(t: Teardown) {
    const dir = tempDir(t)
    const file = join(dir, 'supervisor.config.json')
    const some = fc.dictionary(fc.constantFrom(...HARMLESS), json, {
      maxKeys: 3,
      noNullPrototype: true,
    })
    const property = fc.asyncProperty(some, async (all) => {
      writeFileSync(file, JSON.stringify(all))
      const { code, stderr, stdout } = await runCommand({ XDG_RUNTIME_DIR: dir }, [
        'check',
        'hello-export.js',
        '-c',
        file,
        '--boot-timeout',
        '10',
      ])
      if (![0, 1, 2, 3, 4].includes(code)) throw new Error(`ended with ${code}: ${stderr}`)
      if (code !== 0) mustRead(stderr.trim() || stdout.trim())
    })
    return await Promise.resolve({ property, servers: [] })
  },
}
