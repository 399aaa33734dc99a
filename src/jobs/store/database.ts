// The embedded store's database: PGlite, which is Postgres in WebAssembly, with BullMQ's tables, in a directory. Runs in the store,
// and when the package is built.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliDecompress } from 'node:zlib'
import type { PGlite } from '@electric-sql/pglite'
import { UserError } from '../../errors.ts'
import { loadBullmq, loadPglite } from '../packages.ts'

/** Less memory than Postgres takes by itself: 220 MB instead of 360. */
const CONFIGURATION = ['shared_buffers=16MB', 'max_wal_size=64MB', 'wal_buffers=1MB']
const INT8 = 20

export interface Opened {
  readonly db: PGlite
  readonly isNew: boolean
  /** Where the old data is, if it could not be read. */
  readonly movedTo?: string
}

/** `0.5`: what the files on disk depend on. */
export function pgliteVersion(): string {
  // its package.json is not among its exports
  const main = createRequire(import.meta.url).resolve('@electric-sql/pglite')
  const file = join(dirname(main), '..', 'package.json')
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
  return version
}

const minorOf = (version: string): string => version.split('.').slice(0, 2).join('.')

/**
 * Opens `dataDir`, or makes it, from the archive `seed` if there is one that fits. Data that can't be opened is moved aside, not removed.
 * @throws UserError if it was made by another version of PGlite.
 */
export async function openDatabase(dataDir: string, seed: string): Promise<Opened> {
  await loadPglite()
  const data = join(dataDir, 'data')
  const versionFile = join(dataDir, 'VERSION')
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  checkVersion(dataDir, versionFile)
  // written last, when nobody has been told yet that a job was taken
  const isNew = !existsSync(versionFile)
  if (isNew) rmSync(data, { recursive: true, force: true })
  try {
    const db = await open(data, isNew ? seed : undefined)
    writeFileSync(versionFile, `${pgliteVersion()}\n`)
    return { db, isNew }
  } catch (error) {
    if (isNew || (error as NodeJS.ErrnoException).code !== undefined) throw error
    return await startAnew(dataDir, error as Error)
  }
}

function checkVersion(dataDir: string, versionFile: string): void {
  if (!existsSync(versionFile)) return
  const made = readFileSync(versionFile, 'utf8').trim()
  if (minorOf(made) === minorOf(pgliteVersion())) return
  throw new UserError(
    'JOB_STORE',
    `the job store in ${dataDir} was made by PGlite ${made}, and ${pgliteVersion()} is installed: let its jobs finish with npm install @electric-sql/pglite@~${minorOf(made)}, then remove the directory`,
  )
}

async function startAnew(dataDir: string, why: Error): Promise<Opened> {
  const movedTo = join(dataDir, `data.unreadable-${Date.now()}`)
  renameSync(join(dataDir, 'data'), movedTo)
  writeFileSync(join(movedTo, 'WHY'), `${why.stack ?? String(why)}\n`)
  return { db: await open(join(dataDir, 'data'), undefined), isNew: true, movedTo }
}

async function open(data: string, seed: string | undefined): Promise<PGlite> {
  const { PGlite } = await loadPglite()
  const loadDataDir = seed === undefined ? undefined : await readSeed(seed)
  const db = await PGlite.create({
    dataDir: data,
    startParams: PGlite.defaultStartParams.map((word) =>
      word === 'search_path=public' ? 'search_path=bullmq,public' : word,
    ),
    postgresqlconf: CONFIGURATION,
    // as pg has them
    parsers: { [INT8]: (text: string) => text },
    ...(loadDataDir && { loadDataDir }),
  })
  const { runMigrations } = await loadBullmq('embedded')
  await runMigrations({ query: (text, params) => queryOn(db, text, params) as never })
  return db
}

/** Several statements at once, as migrations have them, need the other of PGlite's ways. */
const queryOn = async (
  db: PGlite,
  text: string,
  params?: readonly unknown[],
): Promise<{ rows: unknown[] }> =>
  params?.length
    ? await db.query(text, [...params])
    : ((await db.exec(text)).at(-1) ?? { rows: [] })

/** The seed is of one version of PGlite, whose name is beside it. */
async function readSeed(seed: string): Promise<Blob | undefined> {
  if (!existsSync(seed) || !existsSync(`${seed}.version`)) return undefined
  if (readFileSync(`${seed}.version`, 'utf8') !== pgliteVersion()) return undefined
  const tar = await promisify(brotliDecompress)(readFileSync(seed))
  return new Blob([tar])
}

/** The archive for a quick first start: see scripts/seed-jobs.mjs. */
export async function makeSeed(directory: string): Promise<Uint8Array> {
  const db = await open(join(directory, 'data'), undefined)
  const archive = await db.dumpDataDir('none')
  await db.close()
  return new Uint8Array(await archive.arrayBuffer())
}
