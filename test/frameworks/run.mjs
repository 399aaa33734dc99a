// npm run test:frameworks [-- [--write] [flags of vitest]]: installs what has changed, builds, tests, and prints the table.
// With --write the table also becomes that of the README. With --prepare it ends before the tests.
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tsImport } from 'tsx/esm/api'
import { buildAll } from './build.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const checkout = join(here, '../..')
const flags = process.argv.slice(2)

const parts = []
function part(name, deed) {
  const begin = performance.now()
  deed()
  parts.push(`${name} ${((performance.now() - begin) / 1000).toFixed(0)} s`)
}

/** Ends this run if the command fails. */
function run(command, args, options) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', ...options })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

function install() {
  const lock = join(here, 'package-lock.json')
  const installed = join(here, 'node_modules/.package-lock.json')
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
    // Not `npm ci`, which refuses a lock file without the binaries for other systems than the one it was made on.
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
    run('npm', ['install', '--no-save', '--ignore-scripts', ...quiet], { cwd: here })
  }
  const ours = join(here, 'node_modules/nodicorn')
  if (!existsSync(ours)) symlinkSync(checkout, ours)
}

const folder = mkdtempSync(join(tmpdir(), 'sv-'))
process.on('exit', () => rmSync(folder, { recursive: true }))
const file = join(folder, 'results.json')

function test() {
  const config = ['--config', join(here, 'vitest.config.ts')]
  const args = [join(checkout, 'node_modules/vitest/vitest.mjs'), 'run', ...config]
  run(process.execPath, [...args, ...flags.filter((flag) => flag !== '--write')], {
    cwd: checkout,
    env: { ...process.env, FRAMEWORKS_RESULTS: file },
  })
}

part('install', install)
part('build', buildAll)
if (flags.includes('--prepare')) process.exit()
part('test', test)
console.log(`\n${parts.join(', ')}`)

// A flag that picks some of the tests has a value.
if (flags.every((flag) => flag.startsWith('--'))) {
  const { BEGIN, END, tableOf } = await tsImport('./table.ts', import.meta.url)
  const table = tableOf(JSON.parse(readFileSync(file, 'utf8')))
  console.log(`\n${table}`)
  if (flags.includes('--write')) {
    const path = join(checkout, 'README.md')
    const text = readFileSync(path, 'utf8')
    const [before, after] = [text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)]
    writeFileSync(path, `${text.slice(0, before)}\n\n${table}\n\n${text.slice(after)}`)
  }
}
