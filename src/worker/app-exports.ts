// What the application's main module exports, found without loading it a second time. Runs in every worker.
// A CommonJS main is read from `process.mainModule`, so that a plain start never touches the slower ESM loader.

import { pathToFileURL } from 'node:url'
import { fs } from '../builtin.ts'

/** The exports of the main module: a CommonJS `module.exports` of any type, or an ESM namespace. */
export interface AppExports {
  readonly format: 'commonjs' | 'esm'
  readonly root: unknown
}

/** Node sets it for a CommonJS main only; the types call it deprecated, nothing else tells the preload as much. */
interface MainModule {
  readonly exports: unknown
  readonly loaded: boolean
}

/** Where imports-done.ts finds what it has to call: the last `--import` of this process has run, the main module is next. */
const IMPORTS_DONE = Symbol.for('nodicorn.importsDone')
const importsDone = new Promise<void>((resolve) =>
  Object.defineProperty(globalThis, IMPORTS_DONE, { value: resolve }),
)

/**
 * Calls back once the main module has begun: a CommonJS one has then run to its end, unless it threw.
 * With `--import` Node begins only after all of them, and importing the app sooner would run it before its
 * instrumentation; imports-done.ts, given as the last one, says when.
 */
export function afterMainBegan(callback: () => void): void {
  const marked = process.execArgv.some((arg) => /[/\\]imports-done\.[jt]s$/.test(arg))
  if (marked) void importsDone.then(() => setImmediate(callback))
  else setImmediate(callback)
}

/** The exports of a CommonJS main that has begun, without any waiting; undefined if the main is ESM. */
export function commonJsExports(): AppExports | undefined {
  const main = process.mainModule as MainModule | undefined
  if (!main) return undefined
  // Not loaded: it threw, and the app's own handler let the process live.
  return { format: 'commonjs', root: main.loaded ? main.exports : undefined }
}

/**
 * The exports of an ESM main, after its top-level awaits: import() of a module already begun gives the same instance.
 * Undefined if the main module threw.
 */
export async function esmExports(file: string): Promise<AppExports | undefined> {
  try {
    const root: unknown = await import(pathToFileURL(file).href)
    return commonJsExports() ?? { format: 'esm', root }
  } catch {
    // Whatever it threw: Node has reported it for the main module and ends this process with it.
    return undefined
  }
}

/** `module.exports = app`, `export default app`, or transpiled code's `exports.default = app`. */
export function defaultExport({ format, root }: AppExports): unknown {
  if (format === 'esm') return interop((root as { default?: unknown }).default)
  return isEmptyObject(root) ? undefined : interop(root)
}

/** What `app.js:name` means; dots lead into objects. Undefined if there is nothing. */
export function namedExport(exports: AppExports, name: string): unknown {
  if (name === 'default') return defaultExport(exports)
  return name
    .split('.')
    .reduce<unknown>((value, key) => (has(value, key) ? value[key] : undefined), exports.root)
}

/** The names a person may write after the colon. */
export const exportNames = ({ root }: AppExports): string[] =>
  isObject(root) ? Object.keys(root).filter((name) => name !== 'module.exports') : []

/**
 * Whether the file's text calls `.listen(`: an app that exports for its tests, connects to its database and listens
 * later is worth waiting for. A comment that says so costs a short wait, nothing else.
 */
export function mentionsListen(file: string): boolean {
  return /\.listen\s*\(/.test(fs.readFileSync(file, 'utf8'))
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  (typeof value === 'object' && value !== null) || typeof value === 'function'

const has = (value: unknown, key: string): value is Record<string, unknown> =>
  isObject(value) && key in value

const isEmptyObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && isPlain(value) && Object.keys(value).length === 0

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Only objects that are nothing but exports are looked into: an Express app with a `.default` is served as itself. */
const interop = (value: unknown): unknown =>
  isObject(value) && 'default' in value && (value.__esModule === true || isBareExports(value))
    ? value.default
    : value

const isBareExports = (value: Record<string, unknown>): boolean =>
  typeof value === 'object' && isPlain(value) && typeof value.fetch !== 'function'
