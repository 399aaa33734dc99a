// Runs a settings file and returns what it exports, fresh each time. Runs in the master; imported only if there is a file.
import * as nodeModule from 'node:module'
import { extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { fs } from './builtin.ts'
import { UserError } from './errors.ts'
import { thrownFacts } from './hook-runner.ts'

type Values = Readonly<Record<string, unknown>>

const require = nodeModule.createRequire(import.meta.url)
let reads = 0

/**
 * The object a settings file exports, or that the function it exports returns.
 * @param name how people know the file
 * @throws UserError BAD_CONFIG_FILE
 */
export const readConfigFile = async (path: string, name: string): Promise<Values> => {
  let exported: unknown
  try {
    if (!fs.statSync(path, { throwIfNoEntry: false })?.isFile())
      throw bad(`${name}: there is no such file`)
    exported = await load(path, name)
    if (typeof exported === 'function') exported = await (exported as () => unknown)()
  } catch (error) {
    if (error instanceof UserError) throw error
    throw bad(`${name}: ${firstLine(error, path)}`, error)
  }
  if (isPlainObject(exported)) return exported
  throw bad(
    `${name} exports ${describe(exported)}; it must export an object of settings, or a function that returns one`,
  )
}

const load = async (path: string, name: string): Promise<unknown> => {
  switch (extname(path)) {
    case '.json':
      return JSON.parse(fs.readFileSync(path, 'utf8')) as unknown
    case '.js':
    case '.mjs':
    case '.cjs':
      return exportOf(await importFresh(path))
    case '.ts':
    case '.mts':
    case '.cts':
      return exportOf(await importTypeScript(path))
    case '.py':
      throw bad(
        `${name} is a Python file; write its settings as supervisor.config.ts, .js or .json`,
      )
    default:
      throw bad(`${name}: a settings file ends in .ts, .mts, .cts, .js, .mjs, .cjs or .json`)
  }
}

/** The query makes ESM read the file anew; CommonJS is cached by path. What the file imports itself stays cached. */
const importFresh = async (path: string): Promise<unknown> => {
  Reflect.deleteProperty(require.cache, path)
  reads += 1
  const url = `${pathToFileURL(path).href}?read=${reads}`
  const release = asModule(path, url)
  try {
    return await import(url)
  } finally {
    release()
  }
}

/**
 * `npm init` writes `"type": "commonjs"`, with which Node refuses `export default` in a .js or .ts file, and without a
 * type it warns. A settings file that is written as a module is loaded as one. Returns what undoes it.
 */
const asModule = (path: string, url: string): (() => void) => {
  const format = { '.js': 'module', '.ts': 'module-typescript' }[extname(path)]
  const isModule = format && /^(?:export|import)\s/m.test(fs.readFileSync(path, 'utf8'))
  const { registerHooks } = nodeModule as { registerHooks?: RegisterHooks }
  if (!isModule || !registerHooks) return () => undefined
  const hooks = registerHooks({
    load: (loaded, context, next) =>
      next(loaded, loaded === url ? { ...context, format } : context),
  })
  return () => hooks.deregister()
}

/** Since Node 22.15; the types of Node 20 do not know it. */
type RegisterHooks = (hooks: {
  load: (url: string, context: object, next: (url: string, context: object) => unknown) => unknown
}) => { deregister: () => void }

const importTypeScript = async (path: string): Promise<unknown> => {
  if (stripsTypes()) {
    try {
      return await importFresh(path)
    } catch (error) {
      // Enums and namespaces are more than Node strips; tsx compiles them.
      if (!isObject(error) || error.code !== 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') throw error
    }
  }
  const { tsImport } = await import('tsx/esm/api')
  return await tsImport(pathToFileURL(path).href, import.meta.url)
}

/** The types of Node 20 do not know the feature. */
const stripsTypes = (): boolean =>
  Boolean((process.features as { typescript?: unknown }).typescript)

/** `export default`, `module.exports`, and `exports.default` of transpiled code. */
const exportOf = (module: unknown): unknown => {
  const value = isObject(module) ? module.default : undefined
  return isObject(value) && value.__esModule === true && 'default' in value ? value.default : value
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
const isPlainObject = (value: unknown): value is Values => isObject(value) && !Array.isArray(value)

const describe = (value: unknown): string => {
  if (value === undefined) return 'nothing as its default'
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`
}

/** What was thrown is as good as any text. */
const worded = (thrown: unknown): string =>
  typeof thrown === 'string' ? thrown : thrownFacts(thrown).error.replace(/\s+/g, ' ')

/** One line of what went wrong, with the line number if the error knows it. */
const firstLine = (error: unknown, path: string): string => {
  if (!(error instanceof Error)) return `threw ${worded(error)}`
  // esbuild's first line says only how many errors follow.
  const lines = error.message.split('\n').filter((line) => !/^Transform failed with/.test(line))
  const text = (lines[0] ?? error.message).replace(`${path}:`, 'line ')
  const line = error.stack?.split(path)[1]?.match(/^(?:\?[^:]*)?:(\d+)/)?.[1]
  return `${error.name}: ${text}${line && !text.startsWith('line ') ? ` (line ${line})` : ''}`
}

const bad = (message: string, cause?: unknown): UserError =>
  new UserError('BAD_CONFIG_FILE', message, { cause })
