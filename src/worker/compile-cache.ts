// V8's compile cache: the throw-away process of `preload` fills it, the workers read it. What is in it is run, so a directory to
// which anybody else could write is not used. Without one, or on a Node without the feature, all goes on as ever, in silence.

import { dirname, isAbsolute, join } from 'node:path'
import { fs } from '../builtin.ts'

/** Since Node 22.8 and 22.10; the types of Node 20 do not know them. */
interface CompileCacheApi {
  readonly enableCompileCache?: (directory: string) => unknown
  readonly flushCompileCache?: () => void
}
const api = (): CompileCacheApi => process.getBuiltinModule('node:module') as CompileCacheApi

/** The application's own choice, for or against; coverage is less exact with functions out of a cache. */
const THEIR_CHOICE = ['NODE_COMPILE_CACHE', 'NODE_DISABLE_COMPILE_CACHE', 'NODE_V8_COVERAGE']

const UNUSED_MS = 30 * 86_400_000
/** A start removes no more than so many old ones. */
const PRUNED_AT_ONCE = 10

export type Variables = Readonly<Record<string, string | undefined>>

/** Finds or makes the directory for this application, Node and user, and uses it. Undefined: there is none to be had. */
export function makeCompileCache(file: string, variables: Variables): string | undefined {
  if (!api().enableCompileCache) return undefined
  if (THEIR_CHOICE.some((name) => variables[name])) return undefined
  for (const place of placesOf(variables)) {
    const directory = tryMaking(place, file)
    if (directory !== undefined && useCompileCache(directory)) return directory
  }
  return undefined
}

/** Uses a directory that is there; false if others could have written to it. Ours, not a variable: nobody inherits it. */
export function useCompileCache(directory: string): boolean {
  try {
    if (!isOursAlone(directory)) return false
    const now = new Date()
    fs.utimesSync(directory, now, now)
  } catch (error) {
    return without(error)
  }
  api().enableCompileCache?.(directory)
  return true
}

/** Node writes it only at an exit, which a worker that is killed never has. */
export const flushCompileCache = (): void => api().flushCompileCache?.()

/** Removes directories beside `directory` that nobody has used for 30 days: of other Nodes, applications and releases. */
export function pruneCompileCaches(directory: string): void {
  const parent = dirname(directory)
  try {
    const old = fs
      .readdirSync(parent)
      .filter((name) => /^[0-9a-f]{16}$/.test(name))
      .map((name) => join(parent, name))
      .filter((path) => Date.now() - fs.lstatSync(path).mtimeMs > UNUSED_MS)
    for (const path of old.slice(0, PRUNED_AT_ONCE)) fs.rmSync(path, { recursive: true })
  } catch (error) {
    without(error)
  }
}

/** Where they may be kept, best first: the directories to be made, each in the one before. A home, as that of `nobody`, is not. */
function placesOf({ XDG_CACHE_HOME, HOME }: Variables): string[][] {
  const isPath = (path: string | undefined): path is string =>
    path !== undefined && isAbsolute(path)
  const caches = isPath(XDG_CACHE_HOME) ? XDG_CACHE_HOME : isPath(HOME) && join(HOME, '.cache')
  const temp = process.getBuiltinModule('node:os').tmpdir()
  return [
    ...(caches ? [[caches, 'nodicorn']] : []),
    [join(temp, `nodicorn-${process.geteuid?.()}`)],
  ]
}

function tryMaking(place: readonly string[], file: string): string | undefined {
  try {
    let directory = ''
    for (const name of [...place, 'compile-cache', keyOf(file)]) {
      directory = join(directory, name)
      makeDirectory(directory)
    }
    return fs.realpathSync(directory)
  } catch (error) {
    without(error)
    return undefined
  }
}

function makeDirectory(path: string): void {
  try {
    fs.mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    // EEXIST: whose it is, is looked at later
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** By the real path: each release behind a link such as `current` has its own, and old ones are pruned. */
function keyOf(file: string): string {
  const { createHash } = process.getBuiltinModule('node:crypto')
  const facts = [fs.realpathSync(file), process.version, process.arch, process.geteuid?.()]
  return createHash('sha256').update(facts.join('\0')).digest('hex').slice(0, 16)
}

/** It is open to us only, and none but us and root can put another one into its place. */
function isOursAlone(directory: string): boolean {
  const us = process.geteuid?.()
  const own = fs.lstatSync(directory)
  if (!own.isDirectory() || own.uid !== us || (own.mode & 0o077) !== 0) return false
  for (let path = dirname(directory); ; path = dirname(path)) {
    const { uid, mode } = fs.lstatSync(path)
    const isSticky = (mode & 0o1000) !== 0
    if ((uid !== us && uid !== 0) || ((mode & 0o022) !== 0 && !isSticky)) return false
    if (path === dirname(path)) return true
  }
}

/** ENOENT, EACCES, EROFS, ENOTDIR, ENOSPC: a missing home, a read-only container, somebody cleans up at the same time. */
function without(error: unknown): false {
  if ((error as NodeJS.ErrnoException).code === undefined) throw error
  return false
}
