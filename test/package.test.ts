// The tarball that `npm pack` makes, installed in another project: what people get. Needs the registry.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startServer } from './helpers/server.ts'
import { tempDir } from './helpers/temp.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const npx = ['npx', '--no-install', 'supervisor'] as const

const js = `
const { createServer } = require('node:http')
createServer((req, res) => res.end('from JavaScript')).listen(Number(process.env.PORT), '127.0.0.1')
`
const ts = `
import type { RequestListener } from 'node:http'
const app: RequestListener = (req, res) => void res.end('from TypeScript' satisfies string)
export default app
`
const library = `
import { defineConfig, loadConfig, supervise } from 'nodicorn'
console.log([defineConfig, loadConfig, supervise].map((x) => typeof x).join())
`

test('the packed tarball works in another project, for JavaScript and TypeScript', async (t) => {
  const dir = tempDir(t, {
    'package.json': '{ "name": "somebody", "private": true }',
    'app.js': js,
    'app.ts': ts,
    'library.mjs': library,
  })
  const tarball = await pack(dir)
  await npm(dir, 'install', '--prefer-offline', '--no-audit', '--no-fund', tarball)
  const env = npmEnvironment()

  const plain = await startServer(t, 'app.js', { command: npx, cwd: dir, env })
  expect((await plain.get('/')).text).toBe('from JavaScript')

  const typed = await startServer(t, 'app.ts', '--workers', '2', { command: npx, cwd: dir, env })
  expect((await typed.get('/')).text).toBe('from TypeScript')

  const { stdout } = await run(process.execPath, ['library.mjs'], { cwd: dir })
  expect(stdout.trim()).toBe('function,function,function')
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string
  }
  const alias = await run('npx', ['--no-install', 'nodicorn', '--version'], { cwd: dir, env: env })
  expect(alias.stdout.trim()).toBe(`supervisor ${version}`)
}, 180_000)

test('the tarball holds what runs and what explains it, and nothing else', async (t) => {
  const dir = tempDir(t)
  const tarball = await pack(dir)
  const { stdout } = await run('tar', ['-tzf', tarball])
  const files = stdout.trim().split('\n')
  for (const file of ['package.json', 'README.md', 'LICENSE', 'dist/cli.cjs', 'dist/index.d.ts'])
    expect(files).toContain(`package/${file}`)
  const folders = new Set(files.map((file) => file.split('/').slice(1, -1)[0] ?? ''))
  expect([...folders].sort()).toEqual(['', 'dist', 'docs'])
})

/** Path of the tarball. Without scripts: `npm test` has built dist/, and a second build would race with other tests. */
async function pack(dir: string): Promise<string> {
  const { stdout } = await npm(
    root,
    'pack',
    '--ignore-scripts',
    '--json',
    '--pack-destination',
    dir,
  )
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
  return join(dir, filename)
}

const npm = (cwd: string, ...args: string[]): Promise<{ stdout: string }> =>
  run('npm', args, { cwd, env: npmEnvironment() })

/** Where the registry is, but not which project `npm test` was called in. */
function npmEnvironment(): Record<string, string> {
  const theirs =
    /^npm_(?!config_(registry|cafile|cache|userconfig|globalconfig|https?_proxy|proxy)$)/i
  const ours = /^(VITEST|NODE_ENV|NODE_OPTIONS|PORT|HOST|INIT_CWD)/
  const entries = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || theirs.test(name) || ours.test(name) ? [] : [[name, value] as const],
  )
  return Object.fromEntries(entries)
}
