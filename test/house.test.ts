// The rules of the house, checked on the source text: who may import whom, and which file alone may do what.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { startServer } from './helpers/server.ts'
import { projectOf } from './helpers/walkthrough.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Paths below src/, such as `master/plan.ts`. */
const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .sort()

const textOf = (file: string): string => readFileSync(join(root, 'src', file), 'utf8')

/** The code without its comments: a rule is broken by code only. */
const codeOf = (file: string): string =>
  textOf(file)
    .replace(/\/\*[^]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '')

const folderOf = (file: string): string => (file.includes('/') ? dirname(file) : '')

/** What a file imports, statically or not, types too: paths below src/, packages and node: modules as written. */
function importsOf(file: string): string[] {
  const words = /(?:\bfrom|^import|\bimport\()\s*'([^']+)'/gm
  return [...codeOf(file).matchAll(words)].map(([, path]) =>
    path!.startsWith('.') ? normalize(join(folderOf(file), path!)) : path!,
  )
}

/** Doors start things or gather them; nothing imports them. */
const DOORS = ['index.ts', 'app.ts', 'jobs.ts', 'cli.ts']
const isDoor = (file: string): boolean => DOORS.includes(file)

const isOurs = (imported: string): boolean => imported.endsWith('.ts')

describe('imports', () => {
  test('all lead to files that exist', () => {
    const broken = files.flatMap((file) =>
      importsOf(file)
        .filter((imported) => isOurs(imported) && !files.includes(imported))
        .map((imported) => `${file} imports ${imported}`),
    )
    expect(broken).toEqual([])
  })

  const rules: Record<string, (file: string, imported: string) => boolean> = {
    'a leaf imports only other leaves': (file, imported) =>
      folderOf(file) === '' && !isDoor(file) && isOurs(imported) && folderOf(imported) !== '',
    'master/ never imports worker/': (file, imported) =>
      folderOf(file) === 'master' && folderOf(imported) === 'worker',
    'worker/ never imports master/': (file, imported) =>
      folderOf(file) === 'worker' && folderOf(imported) === 'master',
    'master/ and worker/ never import init/': (file, imported) =>
      /^(master|worker)$/.test(folderOf(file)) && folderOf(imported).startsWith('init'),
    'nothing imports a door': (_, imported) => isDoor(imported),
    'the pure files import no Node module': (file, imported) =>
      ['master/lifecycle.ts', 'master/plan.ts', 'master/scaler.ts', 'master/metrics.ts'].includes(
        file,
      ) && imported.startsWith('node:'),
  }
  for (const [rule, breaks] of Object.entries(rules)) {
    test(rule, () => {
      const breakers = files.flatMap((file) =>
        importsOf(file)
          .filter((imported) => breaks(file, imported))
          .map((imported) => `${file} imports ${imported}`),
      )
      expect(breakers).toEqual([])
    })
  }

  test('the rules have something to check', () => {
    expect(files).toEqual(expect.arrayContaining(['cli.ts', 'master/plan.ts', 'worker/entry.ts']))
    expect(importsOf('worker/app-loader.ts')).toEqual(
      expect.arrayContaining(['node:path', 'errors.ts', 'worker/app-exports.ts']),
    )
    expect(importsOf('worker/app-kinds.ts'), 'dynamic ones').toContain('worker/fetch-handler.ts')
  })
})

interface Rule {
  readonly what: RegExp
  readonly only: readonly string[]
}

const onlyThere: Record<string, Rule> = {
  'reads process.env': {
    what: /process\.env\b/,
    // Those of init write code that reads it.
    only: [
      'config.ts',
      'worker/entry.ts',
      'master/worker-handle.ts',
      'init/from/expression.ts',
      'init/from/pm2.ts',
      // what its parent tells a job process, or an application that enqueues
      'jobs/environment.ts',
    ],
  },
  'ends the process': {
    what: /process\.exit\(/,
    // The last one ends the process that it has started for a file of PM2's.
    only: [
      'cli.ts',
      'worker/drain.ts',
      'worker/entry.ts',
      'worker/app-loader.ts',
      'init/from/ecosystem.ts',
      'jobs/master-channel.ts',
      'jobs/child.ts',
    ],
  },
  'starts processes': {
    what: /node:child_process|\bcluster\.(fork|setupPrimary)\(/,
    // ps, where there is no /proc; a new master; systemd-notify; a file of PM2's that is a program.
    only: [
      'master/worker-handle.ts',
      'master/side-process.ts',
      'master/memory.ts',
      'master/upgrade.ts',
      'master/systemd.ts',
      'init/from/ecosystem.ts',
      'jobs/children.ts',
      'jobs/store/redis-local.ts',
    ],
  },
  // Signal 0 only asks; -process.pid is the caller's own process group.
  'sends signals': {
    what: /process\.kill\((?!-process\.pid\b)(?!\w+, 0\))|\.kill\('SIG/,
    // A thread can end its process by no other way than a signal.
    only: [
      'send-signal.ts',
      'beside.ts',
      'worker/watchdog.ts',
      'master/upgrade.ts',
      'client/signals.ts',
      // process.exit() would wait for a thread that can't be ended
      'jobs/master-channel.ts',
    ],
  },
  'listens for signals': {
    what: /process\.(on|once|prependListener)\(\s*('SIG|signal\b)/,
    only: ['master/signals.ts', 'worker/drain.ts', 'client/signals.ts', 'jobs/master-channel.ts'],
  },
  'patches Node': {
    what: /\bproto(type)?(\.\w+|\[[^\]]+\]) = |Object\.definePropert(y|ies)\(\w+\.prototype/,
    only: [
      'worker/listen.ts',
      'worker/requests.ts',
      'worker/body-context.ts',
      'worker/tracker.ts',
      'master/worker-handle.ts',
    ],
  },
}

describe('one place for each deed:', () => {
  for (const [deed, { what, only }] of Object.entries(onlyThere)) {
    test(`only ${only.join(', ')} ${deed}`, () => {
      const doers = files.filter((file) => what.test(codeOf(file)))
      expect(doers.filter((file) => !only.includes(file))).toEqual([])
      expect(doers.length, 'somebody does it, or the pattern is wrong').toBeGreaterThan(0)
    })
  }
})

describe('every source file', () => {
  test('opens with a comment of one to five lines', () => {
    const without = files.filter((file) => {
      const lines = textOf(file)
        .replace(/^#!.*\n/, '')
        .split('\n')
      const length = lines.findIndex((line) => !line.startsWith('//'))
      return length < 1 || length > 5
    })
    expect(without).toEqual([])
  })

  test('has at most 350 lines, data tables apart', () => {
    const tables = ['settings.ts', 'events.ts']
    const long = files.filter((file) => textOf(file).split('\n').length > 351)
    expect(long.filter((file) => !tables.includes(file))).toEqual([])
  })

  test('uses no any and no empty catch', () => {
    const wrong = /:\s*any\b|\bas any\b|<any>|catch\s*(\(\w*\))?\s*\{\s*\}/
    expect(files.filter((file) => wrong.test(codeOf(file)))).toEqual([])
  })
})

describe('examples', () => {
  const examples = readdirSync(join(root, 'examples'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)

  test('exist', () => {
    expect(examples).toContain('hello')
  })

  for (const name of examples) {
    test(`${name} starts and answers`, async (t) => {
      const cwd = projectOf(t, `examples/${name}`)
      const app = ['app.js', 'app.mjs', 'app.ts'].find((file) => existsSync(join(cwd, file)))
      expect(app, 'an example has an app file').toBeDefined()
      const server = await startServer(t, app!, { cwd })
      expect((await server.get('/')).status).toBe(200)
    })
  }
})
