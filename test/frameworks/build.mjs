// Builds the frameworks that have to be built, or takes them from the cache: what was built of the same sources and the
// same versions by the same Node is the same. Run by run.mjs.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const checkout = join(here, '../..')
const modules = (path) => join(here, 'node_modules', path)

/** What is built where; `outputs` are below its directory. */
const builds = [
  {
    name: 'nest',
    commands: [[join(checkout, 'node_modules/typescript/bin/tsc')]],
    outputs: ['dist'],
  },
  {
    name: 'next',
    commands: [[modules('next/dist/bin/next'), 'build']],
    outputs: ['.next'],
    env: { NEXT_TELEMETRY_DISABLED: '1' },
  },
  {
    name: 'nitro',
    commands: [[modules('nitropack/dist/cli/index.mjs'), 'build']],
    outputs: ['.output'],
  },
  {
    name: 'nitro',
    commands: [[modules('nitropack/dist/cli/index.mjs'), 'build']],
    outputs: ['.exported'],
    env: { NITRO_PRESET: 'node' },
  },
]
