// FILE[:EXPORT] -> the app's absolute path and export name. Runs in the CLI and the library; loads nothing of the app.
import { createRequire } from 'node:module'
import { basename, dirname, extname, join, relative, resolve } from 'node:path'
import { fs } from './builtin.ts'
import { UserError } from './errors.ts'
import { statAt } from './read-text.ts'

export interface AppFile {
  /** Absolute. */
  readonly file: string
  readonly exportName?: string
}

/**
 * Finds the app. Without FILE, or with a directory, the `exports` or `main` of the package.json there says which.
 * @param word FILE[:EXPORT] as written
 * @param directory what a relative FILE is relative to
 * @throws UserError APP_NOT_FOUND saying what was looked for
 */
export const findApp = async (word: string | undefined, directory: string): Promise<AppFile> => {
  if (word === undefined) return { file: packageMain(directory, 'no FILE was given') }
  const whole = resolve(directory, word)
  if (isFile(whole)) return { file: whole }
  const { file, exportName } = splitExport(word)
  const path = resolve(directory, file)
  const found = isDirectory(path) ? packageMain(path, `${file} is a directory`) : path
  if (!isFile(found)) throw notFound(await explain(word, file, directory))
  return { file: found, ...(exportName !== undefined && { exportName }) }
}

/** `app.js:api.app` -> app.js, api.app. Gunicorn's `app:create_app()` form loses its parentheses: factories are recognised. */
const splitExport = (word: string): { file: string; exportName: string | undefined } => {
  const match = /^(.+):([A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*)(?:\(\))?$/.exec(word)
  return { file: match?.[1] ?? word, exportName: match?.[2] }
}

const ENDINGS = ['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts']

const explain = async (word: string, file: string, directory: string): Promise<string> => {
  const folder = dirname(resolve(directory, file))
  const name = basename(file)
  const files = isDirectory(folder)
    ? fs.readdirSync(folder).filter((one) => ENDINGS.includes(extname(one)))
    : []
  const { nearest } = await import('./nearest.ts')
  const near = files.find((one) => basename(one, extname(one)) === name) ?? nearest(name, files)
  const suggestion = near && join(dirname(file), near)
  if (/^[A-Za-z_][\w.]*:\w+(\(.*\))?$/.test(word) && !ENDINGS.includes(extname(file))) {
    const example = `${suggestion ?? 'app.js'}${word.slice(file.length).replace(/\(.*/, '')}`
    return `${word} looks like a Python module; FILE must be the path of a JavaScript or TypeScript file, such as ${example}`
  }
  return (
    `${file}: there is no such file in ${folder}` +
    (suggestion ? `; did you mean ${suggestion}?` : '')
  )
}

const packageMain = (directory: string, because: string): string => {
  const place = join(directory, 'package.json')
  const advice = 'pass the file of the app: supervisor start app.js'
  if (!isFile(place))
    throw notFound(`${because}, and there is no package.json in ${directory}; ${advice}`)
  const main = mainOf(place)
  if (main === undefined)
    throw notFound(`${because}, and ${place} has neither "exports" nor "main"; ${advice}`)
  try {
    const found = createRequire(place).resolve(resolve(directory, main))
    // under the name that was asked for: the directory may be a link that is moved by the next deploy
    const inside = relative(fs.realpathSync(directory), found)
    return inside.startsWith('..') ? found : join(directory, inside)
  } catch (error) {
    throw notFound(
      `${place} names ${JSON.stringify(main)} as its main file, which does not exist; ${advice}`,
      error,
    )
  }
}

const mainOf = (place: string): string | undefined => {
  let content: unknown
  try {
    content = JSON.parse(fs.readFileSync(place, 'utf8'))
  } catch (error) {
    throw notFound(
      `${place} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      error,
    )
  }
  if (!isObject(content)) return undefined
  return (
    rootExport(content.exports) ?? (typeof content.main === 'string' ? content.main : undefined)
  )
}

const CONDITIONS = new Set(['.', 'node', 'import', 'require', 'module-sync', 'default'])

/** The file that `import` of the package itself would give. */
const rootExport = (exported: unknown): string | undefined => {
  if (typeof exported === 'string') return exported
  if (!isObject(exported)) return undefined
  for (const [condition, target] of Object.entries(exported)) {
    const file = CONDITIONS.has(condition) ? rootExport(target) : undefined
    if (file !== undefined) return file
  }
  return undefined
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
const isFile = (path: string): boolean => statAt(path)?.isFile() ?? false
const isDirectory = (path: string): boolean => statAt(path)?.isDirectory() ?? false

const notFound = (message: string, cause?: unknown): UserError =>
  new UserError('APP_NOT_FOUND', message, { cause })
