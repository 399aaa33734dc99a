// --reload: whatever the application loaded, a change of it brings new workers; what is broken waits until it is mended.
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { spawnServer, startServer, type LogLine, type Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

/** One request shows every file: `/lazy` those that are loaded at the first request for it. */
const commonJs = {
  'app.js': `
    const { createServer } = require('node:http')
    const a = require('./lib/a')
    module.exports = (req, res) => {
      if (req.url === '/lazy') res.end(require('./lib/lazy'))
      else res.end(a)
    }`,
  'lib/a.js': `module.exports = 'one'`,
  'lib/lazy.js': `module.exports = 'one'`,
}
const es = (ending: 'mjs' | 'ts'): Record<string, string> => ({
  'package.json': '{ "type": "module" }',
  [`app.${ending}`]: `
    import { a } from './lib/a.${ending}'
    import b from './lib/b.cjs'
    export default async (req${ending === 'ts' ? ': { url?: string }' : ''}, res) => {
      if (req.url === '/lazy') res.end((await import('./lib/lazy.${ending}')).a)
      else res.end(req.url === '/b' ? b : a)
    }`.replace(', res)', ending === 'ts' ? ', res: { end: (text: string) => void })' : ', res)'),
  [`lib/a.${ending}`]: `export const a = 'one'`,
  [`lib/lazy.${ending}`]: `export const a = 'one'`,
  'lib/b.cjs': `module.exports = require('./c.cjs')`,
  'lib/c.cjs': `module.exports = 'one'`,
})

interface Project {
  readonly cwd: string
  /** As careful editors do: nobody ever reads half a file. */
  write(file: string, text: string): void
}

function project(t: Teardown, files: Readonly<Record<string, string>>): Project {
  const cwd = tempDir(t, files)
  const write = (file: string, text: string): void => {
    writeFileSync(join(cwd, '.tmp'), text)
    renameSync(join(cwd, '.tmp'), join(cwd, file))
  }
  return { cwd, write }
}

/** Changes something; what the next reload says it was for, when that has finished. */
async function reloadAfter(server: Server, change: () => void): Promise<string> {
  const from = server.lines.length
  change()
  const { msg } = await server.log(/^Worker reloading: /, { from })
  await server.log(/^Reload finished/, { from })
  return msg.replace('Worker reloading: ', '')
}

const isOf = (event: string) => (line: LogLine) => line.event === event

const kinds = [
  ['CommonJS', 'js', commonJs, (text: string) => `module.exports = '${text}'`],
  ['ES modules', 'mjs', es('mjs'), (text: string) => `export const a = '${text}'`],
  ['TypeScript', 'ts', es('ts'), (text: string) => `export const a: string = '${text}'`],
] as const

describe.each(kinds)('of %s', { concurrent: true }, (_, ending, files, code) => {
  test('what the app loads, early or late, brings a reload when it changes', async (t) => {
    const { cwd, write } = project(t, files)
    const server = await startServer(t, `app.${ending}`, '--reload', { cwd })
    const seen = [await reloadAfter(server, () => write(`lib/a.${ending}`, code('two')))]
    expect((await server.get('/')).text).toBe('two')
    expect((await server.get('/lazy')).text).toBe('one')
    seen.push(await reloadAfter(server, () => write(`lib/lazy.${ending}`, code('two'))))
    expect((await server.get('/lazy')).text).toBe('two')
    expect(seen).toEqual([`lib/a.${ending} modified`, `lib/lazy.${ending} modified`])
  })
})

test.concurrent('of CommonJS below an ES module, what is required there counts too', async (t) => {
  const { cwd, write } = project(t, es('mjs'))
  const server = await startServer(t, 'app.mjs', '--reload', { cwd })
  const why = await reloadAfter(server, () => write('lib/c.cjs', `module.exports = 'two'`))
  expect([why, (await server.get('/b')).text]).toEqual(['lib/c.cjs modified', 'two'])
})

describe.concurrent('a file', () => {
  test('may be written, replaced, removed and made again, also with its directory', async (t) => {
    const { cwd, write } = project(t, commonJs)
    const server = await startServer(t, 'app.js', '--reload', { cwd })
    const file = join(cwd, 'lib/a.js')
    const deeds: Record<string, (code: string) => void> = {
      written: (code) => appendFileSync(file, `\n${code}`),
      replaced: (code) => write('lib/a.js', code),
      'made again': (code) => {
        rmSync(file)
        write('lib/a.js', code)
      },
      'in a new directory': (code) => {
        rmSync(dirname(file), { recursive: true })
        mkdirSync(dirname(file))
        write('lib/a.js', code)
      },
      'written there': (code) => appendFileSync(file, `\n${code}`),
    }
    for (const [what, change] of Object.entries(deeds)) {
      await reloadAfter(server, () => change(`module.exports = '${what}'`))
      expect((await server.get('/')).text).toBe(what)
    }
  })

  test('of many that change together, as in a checkout, brings one reload, not one each', async (t) => {
    const names = Array.from({ length: 30 }, (_, n) => `lib/${n}.js`)
    const { cwd } = project(t, {
      'app.js': `
      const all = ${JSON.stringify(names)}.map((name) => require('./' + name))
      module.exports = (req, res) => res.end(all.join(' '))`,
      ...Object.fromEntries(names.map((name) => [name, `module.exports = 'one'`])),
    })
    const server = await startServer(t, 'app.js', '--reload', { cwd })
    await reloadAfter(server, () => {
      for (const name of names) writeFileSync(join(cwd, name), `module.exports = 'two'`)
    })
    const all = names.map(() => 'two').join(' ')
    await until('all of them are new', async () => (await server.get('/')).text === all)
    // two if the machine paused while they were written
    expect(server.lines.filter(isOf('reloading')).length).toBeLessThan(3)
  })

  test('that nobody loaded, or that the app itself writes beside its code, does nothing', async (t) => {
    const writes = `require('node:fs').writeFileSync(__dirname + '/lib/' + process.pid + '.log', 'x');`
    const files = { ...commonJs, 'app.js': writes + commonJs['app.js'], 'lib/other.js': '' }
    const { cwd, write } = project(t, files)
    const server = await startServer(t, 'app.js', '--reload', { cwd })
    write('lib/other.js', 'changed')
    write('lib/new.js', 'new')
    mkdirSync(join(cwd, 'node_modules'))
    await reloadAfter(server, () => write('lib/a.js', `module.exports = 'two'`))
    const changes = server.lines.filter(isOf('fileChanged')).map(({ msg }) => msg)
    expect(changes).toEqual(['Worker reloading: lib/a.js modified'])
    expect(server.lines.filter(isOf('reloading'))).toHaveLength(1)
  })

  test('that --reload-extra-file means counts although nobody loads it, also a new one', async (t) => {
    const files = { ...commonJs, 'views/deep/a.html': '', 'note.txt': '', 'views/a.txt': '' }
    const { cwd, write } = project(t, files)
    const extra = ['--reload-extra-file', 'views/**/*.html', '--reload-extra-file', 'note.txt']
    const server = await startServer(t, 'app.js', '--reload', ...extra, { cwd })
    const seen: string[] = []
    const change = async (file: string): Promise<void> =>
      void seen.push(await reloadAfter(server, () => write(file, `${seen.length} ${file}`)))
    await change('views/deep/a.html')
    write('views/a.txt', 'not meant')
    await change('views/new.html')
    await change('note.txt')
    await change('views/new.html')
    const names = ['views/deep/a.html', 'views/new.html', 'note.txt', 'views/new.html']
    expect(seen).toEqual(names.map((name) => `${name} modified`))
  })

  test('is seen by --reload-engine poll as well', async (t) => {
    const { cwd, write } = project(t, { ...commonJs, 'views/a.html': '' })
    const flags = ['--reload', '--reload-engine', 'poll', '--reload-extra-file', 'views/*']
    const server = await startServer(t, 'app.js', ...flags, { cwd })
    await reloadAfter(server, () => write('lib/a.js', `module.exports = 'two'`))
    expect((await server.get('/')).text).toBe('two')
    const why = await reloadAfter(server, () => write('views/b.html', ''))
    expect(why).toBe('views/b.html modified')
  })
})

test.concurrent('the settings file counts, and what it says takes effect', async (t) => {
  const config = (color: string, more = ''): string =>
    `export default { reload: true, env: { COLOR: '${color}' } ${more} }`
  const { cwd, write } = project(t, {
    'app.mjs': 'export default (req, res) => res.end(process.env.COLOR)',
    'supervisor.config.mjs': config('red'),
  })
  const server = await startServer(t, 'app.mjs', { cwd })
  expect((await server.get('/')).text).toBe('red')
  server.expectLog(/^Reload failed, the old workers go on: supervisor.config.mjs/)
  write('supervisor.config.mjs', config('green', ', wrokers: 2'))
  await server.log(/^Reload failed.*wrokers/)
  expect((await server.get('/')).text).toBe('red')
  await reloadAfter(server, () => write('supervisor.config.mjs', config('blue')))
  expect((await server.get('/')).text).toBe('blue')
})

describe.concurrent('broken code', () => {
  test('leaves the old worker in place and is shown; mended, also in a file it tried first, it comes in', async (t) => {
    const { cwd, write } = project(t, commonJs)
    const server = await startServer(t, 'app.js', '--reload', { cwd })
    const old = server.pids()
    server.expectLog(/^Reload failed/)
    write('lib/new.js', 'const = 1')
    write('lib/a.js', `module.exports = require('./new') + require('./missing')`)
    const failed = await server.log(/^Reload failed, the old workers go on: .*SyntaxError/)
    expect(failed['stderr']).toContainEqual(expect.stringContaining('lib/new.js:1'))
    expect((await server.get('/')).text).toBe('one')
    const from = server.lines.length
    write('lib/new.js', `module.exports = 'mended'`)
    await server.log(/^Worker reloading: lib\/new.js modified/, { from })
    await server.log(/^Reload failed.*Cannot find module '.\/missing'/, { from })
    expect(server.pids()).toEqual(old)
    const why = await reloadAfter(server, () => write('lib/missing.js', `module.exports = '!'`))
    expect([why, (await server.get('/')).text]).toEqual(['lib/missing.js modified', 'mended!'])
  })

  test('at the first start is waited for, with its error, until a file changes', async (t) => {
    const { cwd, write } = project(t, { ...commonJs, 'lib/a.js': 'const = 1' })
    const server = spawnServer(t, 'app.js', '--reload', '--workers', '2', { cwd })
    server.expectLog(/^Start failed, waiting for a file to change/)
    await server.log(/^Start failed, waiting for a file to change \(--reload\): .*SyntaxError/)
    await server.complains(/lib\/a\.js:1\n/)
    write('lib/a.js', `throw new Error('still broken')`)
    await server.log(/^Start failed, .*still broken/)
    write('lib/a.js', `module.exports = 'mended'`)
    await server.log(/^Server is ready: 2 workers/)
    expect((await server.get('/')).text).toBe('mended')
    await reloadAfter(server, () => write('lib/a.js', `module.exports = 'two'`))
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
  })

  test('that hangs at the first start is replaced when it changes', async (t) => {
    const hangs = `setInterval(() => {}, 1000); exports.x = 1; console.log('hangs')`
    const { cwd, write } = project(t, { 'app.js': hangs })
    const server = spawnServer(t, 'app.js', '--reload', { cwd })
    await server.prints(/hangs/)
    write('app.js', `module.exports = (req, res) => res.end('mended')`)
    await server.log(/^Server is ready/)
    expect((await server.get('/')).text).toBe('mended')
  })

  test('that is waited for does not keep the server from stopping, cleanly', async (t) => {
    const { cwd } = project(t, { 'app.js': 'const = 1' })
    const server = spawnServer(t, 'app.js', '--reload', { cwd })
    server.expectLog(/^Start failed/)
    await server.log(/^Start failed/)
    await until('no worker is left', () => server.pids().length === 0)
    server.signal('SIGINT')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(server.lines.at(-1)).toMatchObject({ event: 'stopped' })
  })
})

test.concurrent('what the app starts sees nothing of how its files are found out', async (t) => {
  const { cwd } = project(t, {
    'app.cjs': `
      const { execFileSync, fork } = require('node:child_process')
      const { Worker } = require('node:worker_threads')
      const { once } = require('node:events')
      module.exports = async (req, res) => {
        process.env.SET = 'yes'
        const heard = []
        for (const start of [fork, (file) => new Worker(file)])
          await once(start(__dirname + '/child.mjs').on('message', (one) => heard.push(one)), 'exit')
        const names = execFileSync('env').toString().split('\\n').map((line) => line.split('=')[0])
        res.end(JSON.stringify([...heard, ...names.filter((name) => /^(WATCH_|SET)/.test(name))]))
      }`,
    'child.mjs': `
      import { parentPort } from 'node:worker_threads'
      import './other.mjs'
      if (parentPort) parentPort.postMessage('from a thread')
      else process.send('from a process', () => process.disconnect())`,
    'other.mjs': '',
  })
  const server = await startServer(t, 'app.cjs', '--reload', { cwd })
  expect((await server.get('/')).json()).toEqual(['from a process', 'from a thread', 'SET'])
})

test.concurrent(
  'with NODE_ENV=production, and with --preload, one line says what that means',
  async (t) => {
    const { cwd } = project(t, commonJs)
    const env = { NODE_ENV: 'production' }
    const server = await startServer(t, 'app.js', '--reload', '--preload', { cwd, env })
    const warnings = server.lines.filter(isOf('warning')).map(({ msg }) => msg)
    expect(warnings).toEqual([
      '--reload is for development, and NODE_ENV is production',
      '--preload does nothing with --reload',
    ])
  },
)
