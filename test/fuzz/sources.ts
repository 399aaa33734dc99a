// What `supervisor init --from` reads: Gunicorn's settings files, scripts, units, ecosystem files of PM2. Read or refused for people, and what comes
// of it is a module.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { transformSync } from 'esbuild'
import fc from 'fast-check'
import { UserError } from '../../src/errors.ts'
import { takeFrom } from '../../src/init/from/main.ts'
import { tempDir, type Teardown } from '../helpers/temp.ts'
import { json, text } from './json.ts'
import type { Target } from './target.ts'

const NAMES = [
  'bind',
  'workers',
  'timeout',
  'worker_class',
  'accesslog',
  'errorlog',
  'max_requests',
  'preload_app',
  'raw_env',
  'on_starting',
  '__proto__',
  'constructor',
]
const PYTHON = [
  ...NAMES,
  ...[
    ' = ',
    ' += ',
    '\n',
    '\n    ',
    '\n\t',
    ', ',
    ' or ',
    ' if ',
    ' else ',
    ' * ',
    ' + ',
    ' // ',
    ' ** ',
    ' - ',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    ':',
    '.',
    '@',
    '\\\n',
    ';',
  ],
  ...[
    '"',
    "'",
    '"""',
    "'''",
    'f"{',
    'r"',
    'b"',
    '}"',
    '0x1f',
    '1_000',
    '1e400',
    '9'.repeat(400),
    '0b2',
    'True',
    'None',
    '# x\n',
  ],
  ...[
    'import os\n',
    'import multiprocessing\n',
    'os.environ.get("X", "1")',
    'os.environ["X"]',
    'multiprocessing.cpu_count()',
    'int(',
    'str(',
    'max(',
    'def f(x):\n  return x\n',
    'lambda: ',
    'print(',
    'while True:\n  pass\n',
  ],
]
const python = fc
  .array(fc.oneof({ arbitrary: fc.constantFrom(...PYTHON), weight: 9 }, text), { maxLength: 30 })
  .map((parts) => parts.join(''))

const assignments = fc
  .array(fc.tuple(fc.constantFrom(...NAMES), json), { minLength: 1, maxLength: 5 })
  .map((all) => all.map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`).join(''))

const SHELL = [
  'gunicorn ',
  'exec ',
  '-w ',
  '--bind ',
  '--bind=',
  '-c ',
  'app:app ',
  '$PORT ',
  '${X:-',
  '$(nproc)',
  '`',
  '"',
  "'",
  '\\',
  '\n',
  ' && ',
  ' | ',
  '; ',
  '4 ',
  '((',
  '}',
  'web: ',
  '[Service]\n',
  'ExecStart=',
  'CMD [',
  '"]',
  'ENTRYPOINT ',
  'FROM x\n',
  'export X=1\n',
  '<<EOF\n',
]
const script = fc
  .array(fc.oneof({ arbitrary: fc.constantFrom(...SHELL), weight: 9 }, text), { maxLength: 20 })
  .map((parts) => parts.join(''))

const APP = [
  'name',
  'script',
  'args',
  'instances',
  'exec_mode',
  'env',
  'max_memory_restart',
  'watch',
  'cwd',
  'interpreter',
  'node_args',
  'cron_restart',
  'kill_timeout',
  'wait_ready',
]
const ecosystem = fc
  .oneof(
    json,
    fc.record({
      apps: fc.array(fc.dictionary(fc.constantFrom(...APP), json, { noNullPrototype: true }), {
        maxLength: 3,
      }),
    }),
  )
  .map((value) => JSON.stringify(value))

const source = fc.oneof(
  fc.record({ file: fc.constant('gunicorn.conf.py'), body: fc.oneof(python, assignments) }),
  fc.record({
    file: fc.constantFrom('run.sh', 'Procfile', 'web.service', 'Dockerfile'),
    body: script,
  }),
  fc.record({ file: fc.constant('ecosystem.json'), body: ecosystem }),
)

export const sources: Target = {
  name: 'files of Gunicorn and PM2 for init --from',
  kind: 'in-process',
  runs: 600,
  async open(t: Teardown) {
    const dir = tempDir(t)
    const property = fc.asyncProperty(source, async ({ file, body }) => {
      writeFileSync(join(dir, file), body)
      try {
        const { files } = await takeFrom(file, dir)
        for (const made of Object.values(files)) transformSync(made, { loader: 'ts' })
      } catch (error) {
        if (!(error instanceof UserError)) throw error
        if (/^\s+at /m.test(error.message) || error.message === '') throw error
      }
    })
    return await Promise.resolve({ property, servers: [] })
  },
}
