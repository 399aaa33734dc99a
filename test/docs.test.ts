// The README and docs/ are promises too: every command is run, every piece of code type-checked, every table compared.
// How a page says what is to happen is in docs/contributing.md.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { parse } from 'yaml'
import { describe, expect, onTestFinished, test } from 'vitest'
import { knownFlags } from '../src/argv.ts'
import { flagsOfCommand, operatorCommands, type OperatorCommand } from '../src/commands.ts'
import { events } from '../src/events.ts'
import { initFlags } from '../src/init-targets.ts'
import { isSettingName, settingRow } from '../src/settings.ts'
import {
  allPages,
  anchorsOf,
  checkout,
  codeIn,
  examplePages,
  linksOf,
  readPage,
  tableRows,
  titlesOf,
  type Block,
  type Page,
} from './helpers/pages.ts'
import { frameworks, versionOf } from './frameworks/frameworks.ts'
import { BEGIN, END } from './frameworks/table.ts'
import { newProject, Walkthrough } from './helpers/walkthrough.ts'

const pages = [...allPages(), ...examplePages()]
const blocks = pages.flatMap((page) => page.blocks)
/** Why a block is neither run nor type-checked here: what it imports is installed for that suite alone. */
const ELSEWHERE = 'npm run test:frameworks runs it'
const isRun = ({ notRun }: Block): boolean => notRun === undefined
const page = (path: string): Page => pages.find((one) => one.path === path) ?? readPage(path)

const gunicorn = new URL('../scripts/gunicorn-settings.mjs', import.meta.url).href
const { gunicornSettings } = (await import(gunicorn)) as { gunicornSettings: object }
const gunicornNames = Object.keys(gunicornSettings)

describe('a walk through the page does what it shows', () => {
  const shows = ({ blocks }: Page): boolean => blocks.some((b) => b.language === 'console')
  const walks = pages.filter(shows).map(({ path }) => path)

  test('the README and the pages for users show commands', () => {
    expect(walks).toEqual(
      expect.arrayContaining(['README.md', 'docs/getting-started.md', 'docs/signals.md']),
    )
  })

  test.each(walks)(
    '%s',
    async (path) => {
      // The command lines of examples are run by test/stories.test.ts.
      const example = path.startsWith('examples/')
      const walk = await Walkthrough.begin(
        { onTestFinished },
        {
          ...(example && { files: dirname(path) }),
          npx: path === 'README.md' ? 'as typed' : 'left out',
        },
      )
      const isFollowed = (one: Block): boolean =>
        isRun(one) && (!example || one.language !== 'diff')
      for (const block of page(path).blocks.filter(isFollowed)) {
        await walk.follow(block).catch((error: unknown) => {
          throw new Error(`${block.place}: ${(error as Error).message}`, { cause: error })
        })
      }
      await walk.end()
    },
    120_000,
  )
})

describe('blocks', () => {
  test('are of the languages that the tests understand', () => {
    const followed = ['console', 'text', 'js', 'ts', 'diff', 'ini', 'dockerfile']
    const languages = [...followed, ...Object.keys(readers)]
    const others = blocks.filter(({ language }) => !languages.includes(language))
    expect(others.map(({ place }) => place)).toEqual([])
  })

  test('are left out of the walk for known reasons only, and only commands are', () => {
    const reasons = [
      'it would run this very test',
      'it needs the registry',
      'it rebuilds what the tests use',
      'it changes or judges the whole checkout',
      'it takes minutes',
    ]
    for (const { place, language, notRun } of blocks.filter((block) => !isRun(block)))
      expect({ place, language, known: reasons.includes(notRun!) || notRun === ELSEWHERE }).toEqual(
        {
          place,
          language: notRun === ELSEWHERE ? 'js' : 'console',
          known: true,
        },
      )
  })

  test('of JavaScript and TypeScript are type-checked against the package', () => {
    const code = blocks
      .filter(({ notRun }) => notRun !== ELSEWHERE)
      .filter(({ language }) => language === 'js' || language === 'ts')
    expect(code.length).toBeGreaterThan(5)
    expect(typeErrors(code)).toEqual([])
  })

  test('of frameworks.md are files of the suite that runs them', () => {
    const apps = join(checkout, 'test/frameworks/apps')
    const files = ['next/server.mjs', 'apollo/app.js'].map((file) =>
      readFileSync(join(apps, file), 'utf8'),
    )
    const code = page('docs/frameworks.md').blocks.filter(({ notRun }) => notRun === ELSEWHERE)
    expect(code.map(({ lines }) => `${lines.join('\n')}\n`)).toEqual(files)
  })

  test.each(Object.entries(readers))('of %s are read as what they are', (language, read) => {
    for (const { place, lines } of blocks.filter((block) => block.language === language))
      expect(() => read(lines.join('\n')), place).not.toThrow()
  })

  test("of Gunicorn's command lines change the program and the app alone", () => {
    const diffs = blocks.filter(({ language }) => language === 'diff')
    expect(diffs.length).toBeGreaterThan(5)
    for (const block of diffs)
      for (const { theirs, ours } of pairsOf(block))
        expect(ours).toBe(asOurs(theirs, block.place.startsWith('examples/') ? 'app.js' : 'api.js'))
  })
})

describe('what pages name exists', () => {
  test.each(pages.map(({ path }) => path))('links and anchors of %s', (path) => {
    for (const link of linksOf(page(path))) {
      const [file = '', anchor] = link.split('#')
      const target = file === '' ? path : join(dirname(path), file)
      expect(existsSync(checkout + target), `${link} in ${path}`).toBe(true)
      if (anchor) expect(anchorsOf(readPage(target)), `${link} in ${path}`).toContain(anchor)
    }
  })

  test.each(pages.map(({ path }) => path))('flags and commands of %s', (path) => {
    // Those of node, npm, vitest, curl and test:frameworks.
    const others = [
      '--data-binary',
      '--write',
      '--require',
      '--no-save',
      '--prefix',
      '--omit',
      '--init',
      '--stop-timeout',
      '--max-old-space-size',
      '--unhandled-rejections',
    ]
    const operators = Object.keys(operatorCommands) as OperatorCommand[]
    const theirs = operators.flatMap((name) => Object.keys(flagsOfCommand(name)))
    const known = new Set([
      ...knownFlags(),
      ...others,
      ...Object.keys(initFlags).map((flag) => `--${flag}`),
      ...theirs.map((flag) => `--${flag}`),
      '--inspect',
      '--cpu-prof',
      // those of supervisor jobs
      '--status',
      '--limit',
      '--age',
    ])
    if (['docs/benchmarks.md', 'docs/robustness.md'].includes(path))
      for (const flag of benchmarkFlags()) known.add(flag)
    const code = [...codeIn(oursOf(page(path))), ...page(path).blocks.flatMap(oursInBlock)]
    const flags = code.flatMap((text) => text.match(/(?<![\w-])--[a-z][\w-]*/g) ?? [])
    const refused = page(path).blocks.flatMap(({ lines }) =>
      lines.flatMap((line) => /^supervisor: (--\S+) is not a known flag/.exec(line)?.[1] ?? []),
    )
    expect(flags.filter((flag) => !known.has(flag) && !refused.includes(flag))).toEqual([])
    const commands = code.flatMap((text) => /\bsupervisor ([a-z]+)\b/.exec(text)?.[1] ?? [])
    const all = [
      'start',
      'check',
      'config',
      'init',
      'jobs',
      'completion',
      'help',
      ...operators,
    ] as string[]
    expect(commands.filter((word) => !all.includes(word))).toEqual([])
  })

  test('every page has one title, and the list of all pages has every page', () => {
    const listed = linksOf(page('docs/README.md')).map((link) => join('docs', link))
    for (const one of pages) {
      expect([one.path, titlesOf(one).length]).toEqual([one.path, 1])
      if (!['README.md', 'docs/README.md'].includes(one.path)) expect(listed).toContain(one.path)
    }
    expect(linksOf(page('README.md')), 'the way there').toContain('docs/README.md')
  })

  test("from-pm2.md's fields become settings that exist", () => {
    const rows = tableRows(page('docs/from-pm2.md'))
    const from = rows.findIndex(([first]) => first === '`name`')
    const named = rows.slice(from).flatMap(([, cell = '']) => codeIn(cell))
    const names = named.filter((text) => /^[a-z]+[A-Za-z]*$/.test(text) && text !== 'max')
    expect(names.length).toBeGreaterThan(15)
    expect(names.filter((name) => !isSettingName(name))).toEqual([])
  })

  test('architecture.md begins with where everything is, and every file is there', () => {
    const { text } = page('docs/architecture.md')
    expect(text).toMatch(/^# Architecture\n\n## Where is \.\.\.\?\n/)
    const rows = tableRows(page('docs/architecture.md')).slice(1)
    expect(rows.length).toBeGreaterThan(30)
    const files = rows.flatMap(([, cell = '']) => codeIn(cell))
    expect(files.filter((file) => !existsSync(checkout + file))).toEqual([])
    expect(rows.filter(([, cell = '']) => codeIn(cell).length === 0)).toEqual([])
  })
})

describe('tables are those of the code', () => {
  test('signals.md has every signal that the master obeys', () => {
    const source = readFileSync(join(checkout, 'src/master/signals.ts'), 'utf8')
    const signals = [...source.matchAll(/^ {2}SIG(\w+): '/gm)].map((match) => match[1])
    expect(signals.length).toBeGreaterThan(5)
    const cells = tableRows(page('docs/signals.md')).flatMap(([first = '']) => codeIn(first))
    expect(cells).toEqual(expect.arrayContaining(signals))
  })

  test('logs.md has every event, with its level', () => {
    const three = tableRows(page('docs/logs.md')).filter((row) => row.length === 3)
    const rows = three.slice(1) // the tables of the access log have two columns
    const shown = rows.map(([name = '', level = '']) => [codeIn(name)[0], level])
    expect(shown.sort()).toEqual(
      Object.entries(events)
        .map(([name, row]) => [name, row.level])
        .sort(),
    )
  })

  test('behaviours.md has all but what is not built, each with tests that are in the sources or a reason', () => {
    const rows = tableRows(page('docs/behaviours.md')).slice(1)
    const numbers = rows.map(([number]) => Number(number))
    const missing = Array.from({ length: 84 }, (_, i) => i + 1).filter((n) => !numbers.includes(n))
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
    expect(missing.filter((n) => n < 79 || n > 83)).toEqual([])
    for (const [number, , promise = ''] of rows) {
      const named = testsNamedIn(promise)
      if (named.length === 0) expect(promise, `${number}: a reason`).toMatch(/^Not ours\. .{20}/)
      for (const { file, name } of named)
        expect([file, name, titlesIn(file).includes(name)]).toEqual([file, name, true])
    }
  })

  test('the README has the frameworks of their suite, with its versions, and frameworks.md their commands', () => {
    const { text } = page('README.md')
    const table = text.slice(text.indexOf(BEGIN), text.indexOf(END))
    const shown = tableRows({ ...page('README.md'), text: table }).slice(1)
    expect(shown.map(([name, version]) => [name, version])).toEqual(
      frameworks.map((framework) => [framework.name, versionOf(framework)]),
    )
    const commands = tableRows(page('docs/frameworks.md')).slice(1)
    expect(commands.map(([name]) => name)).toEqual(frameworks.map(({ name }) => name))
  })

  test('timeouts.md has the defaults', () => {
    const rows = tableRows(page('docs/timeouts.md')).slice(1)
    expect(rows.length).toBeGreaterThan(5)
    for (const [cell = '', shown = ''] of rows) {
      const name = codeIn(cell)[0] ?? ''
      if (!isSettingName(name)) throw new Error(`${name} is not a setting`)
      expect([name, shown]).toEqual([name, String(settingRow(name).default)])
    }
  })
})

/** `test/a.test.ts`: `one name`, `another`; `test/b.test.ts`: `a third` */
function testsNamedIn(cell: string): { file: string; name: string }[] {
  const [first = '', ...others] = cell.split(/`(test\/[\w./-]+)`: /)
  expect(first, 'a name needs its file').not.toContain('`')
  return others.flatMap((file, at) =>
    at % 2 === 0 ? codeIn(others[at + 1] ?? '').map((name) => ({ file, name })) : [],
  )
}

/** Everything in quotes that could be the title of a test, as it is written there. */
const titlesIn = (file: string): string[] =>
  [
    ...readFileSync(join(checkout, file), 'utf8').matchAll(/'([^'\n]+)'|"([^"\n]+)"|`([^`\n]+)`/g),
  ].flatMap(([, ...found]) => found.filter((title) => title !== undefined))

/** Without the first columns of tables that have what others are called. */
const oursOf = ({ path, text }: Page): string =>
  path.startsWith('docs/from-')
    ? text.replace(/^\|[^|]*\|(?: [-`, \w]* \|(?=.*\|$))?/gm, '|')
    : text

/** Without the lines of Gunicorn. */
const oursInBlock = ({ language, lines }: Block): readonly string[] =>
  language === 'diff' ? lines.filter((line) => !line.startsWith('-')) : lines

/** Languages of blocks that nothing runs: what reads them throws if they are wrong. */
const readers: Readonly<Record<string, (text: string) => unknown>> = {
  json: (text) => JSON.parse(text) as unknown,
  yaml: (text) => parse(text) as unknown,
  python: (text) => {
    const names = [...text.matchAll(/^(?:(\w+) = |def (\w+)\()/gm)].map(([, a, b]) => a ?? b!)
    for (const name of names) if (!gunicornNames.includes(name)) throw new Error(name)
    if (names.length < 3) throw new Error('it sets nothing')
  },
}

/** Of the scripts in bench/, from their calls of parseArgs. */
const benchmarkFlags = (): string[] =>
  [
    'serve.ts',
    'deadlines/main.ts',
    'reload/main.ts',
    'soak/main.ts',
    'preload.ts',
    'replacements.ts',
    'options.ts',
    'chaos/main.ts',
    'faults/main.ts',
    'side-by-side/main.ts',
    '../test/fuzz/main.ts',
  ]
    .map((file) => readFileSync(join(checkout, 'bench', file), 'utf8'))
    .flatMap((text) => [...text.matchAll(/^ +(?:(\w+): \{ type: '|--(\w+) +(?:[A-Z]+ +)?[a-z])/gm)])
    .map(([, name, inHelp]) => `--${name ?? inHelp}`)

/** `README.md:90: Type 'string' is not assignable ...` for everything that tsc finds in the blocks. */
function typeErrors(code: readonly Block[]): string[] {
  const dir = newProject({ onTestFinished })
  const files = new Map(
    code.map((block, index) => {
      const file = join(dir, `${index}.${block.language === 'ts' ? 'mts' : 'mjs'}`)
      writeFileSync(file, block.lines.join('\n'))
      return [file, block.place]
    }),
  )
  const program = ts.createProgram([...files.keys()], {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    strict: true,
    // The handlers of the examples are JavaScript: their parameters have no types.
    noImplicitAny: false,
    allowJs: true,
    checkJs: true,
    noEmit: true,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [join(dir, 'node_modules', '@types')],
  })
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    const place = files.get(file?.fileName ?? '') ?? file?.fileName
    return `${place}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
  })
}

/** Each removed line with the added one that follows it. */
const pairsOf = ({ lines }: Block): { theirs: string; ours: string }[] =>
  lines.flatMap((line, index) =>
    line.startsWith('- ')
      ? [{ theirs: line.slice(2), ours: (lines[index + 1] ?? '').slice(2) }]
      : [],
  )

/** With our program, our app and our settings file for theirs; nothing else changes. */
const asOurs = (line: string, file: string): string =>
  line
    .replace(/\bgunicorn /, 'supervisor start ')
    .replace(/(?<= )[\w.]+:\w+(?= |$)/g, (app) => (/^[\d.]+:\d+$/.test(app) ? app : `${file}:app`))
    .replace(/(?<= )gunicorn_config\.py\b/, 'supervisor.config.ts')
