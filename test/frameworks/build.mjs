// Builds the frameworks that have to be built, unless that is done: what was built of the same sources, the same versions
// and by the same Node is the same. Run by run.mjs.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))

const next = [join(here, 'node_modules/next/dist/bin/next'), 'build']
const nitro = [join(here, 'node_modules/nitropack/dist/cli/index.mjs'), 'build']
const tsc = [join(here, '../../node_modules/typescript/bin/tsc')]

/** What is built in the folder of that name. */
const builds = [
  { name: 'nest', output: 'dist', command: tsc },
  { name: 'next', output: '.next', command: next, env: { NEXT_TELEMETRY_DISABLED: '1' } },
  { name: 'nitro', output: '.output', command: nitro },
  { name: 'nitro', output: '.exported', command: nitro, env: { NITRO_PRESET: 'node' } },
]

/** Throws with what the tool said if one can't be built. */
export function buildAll() {
  for (const build of builds) {
    const begin = performance.now()
    const did = ensure(build)
    const seconds = ((performance.now() - begin) / 1000).toFixed(1)
    console.log(`${`${build.name}/${build.output}`.padEnd(20)} ${did} after ${seconds} s`)
  }
}

function ensure({ name, output, command, env }) {
  const app = join(here, 'apps', name)
  const place = join(app, output)
  const stamp = join(place, 'built-of')
  const key = keyOf(app)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return 'was there'
  rmSync(place, { recursive: true, force: true })
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    cwd: app,
    env: { ...process.env, ...env },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${name} could not be built:\n${stdout}\n${stderr}`)
  writeFileSync(stamp, key)
  return 'built'
}

function keyOf(app) {
  const hash = createHash('sha256').update(`${process.version} ${process.platform} ${process.arch}`)
  const files = [join(here, 'package-lock.json'), join(here, 'apps/deeds.mjs'), ...sourcesIn(app)]
  for (const file of files) hash.update(readFileSync(file))
  return hash.digest('hex')
}

/** What was made is in dist/, or has a name with a dot. */
const sourcesIn = (folder) =>
  readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith('.') && name !== 'dist' && name !== 'next-env.d.ts')
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .flatMap((path) => (statSync(path).isDirectory() ? sourcesIn(path) : [path]))
