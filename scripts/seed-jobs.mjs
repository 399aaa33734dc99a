// Puts into dist/ what an embedded job store begins with: an empty database with BullMQ's tables, 1.6 MB. Without it, the first start
// in a directory takes seven seconds and 900 MB more. Run by `npm run build`, which keeps it in .cache/ for the next build.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants } from 'node:zlib'

const require = createRequire(import.meta.url)
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))
const versionOf = (name) => {
  const main = require.resolve(name)
  let directory = dirname(main)
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  const { version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
  return (
    version ?? JSON.parse(readFileSync(join(directory, '..', '..', 'package.json'), 'utf8')).version
  )
}

const installed = (name) => {
  try {
    return Boolean(require.resolve(name))
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return false
    throw error
  }
}

if (installed('@electric-sql/pglite') && installed('bullmq')) {
  const pglite = versionOf('@electric-sql/pglite')
  const cached = at(`.cache/jobs-seed-${pglite}-${versionOf('bullmq')}.tar.br`)
  if (!existsSync(cached)) await make(cached)
  copyFileSync(cached, at('dist/jobs/seed.tar.br'))
  writeFileSync(at('dist/jobs/seed.tar.br.version'), pglite)
}

async function make(file) {
  const { makeSeed } = await import('../dist/jobs/store/database.js')
  const directory = mkdtempSync(join(tmpdir(), 'jobs-seed-'))
  const tar = await makeSeed(directory)
  rmSync(directory, { recursive: true })
  // the files repeat themselves over more than the usual window
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 9,
    [constants.BROTLI_PARAM_LGWIN]: 24,
    [constants.BROTLI_PARAM_SIZE_HINT]: tar.length,
  }
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, brotliCompressSync(tar, { params }))
}
