// Tells the master which files the application loads, early or late, and which it looks for in vain. Runs in every worker with
// `reload`. Every file comes before it is read, so that the one that ends the worker is known too.

import Module from 'node:module'
import { dirname, isAbsolute, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stampOf } from '../file-stamp.ts'
import { builtFiles } from '../paths.ts'
import type { Channel } from './channel.ts'

/** Makes Node send a message for each ES module, as it does for `node --watch`. */
const VARIABLE = 'WATCH_REPORT_DEPENDENCIES'

interface Parent {
  readonly filename?: string | null
}
type ResolveFilename = (request: string, parent?: Parent | null, ...rest: unknown[]) => string
/** As packages that change what require() finds have known it for ten years. */
interface Internals {
  _resolveFilename: ResolveFilename
  readonly _extensions: Readonly<Record<string, unknown>>
}

/** From now on. Returns the environment that the application is to have. `file`: the application's. */
export function reportModules(
  channel: Channel,
  file: string,
  env: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv {
  const told = new Set<string>()
  const tell = (...paths: readonly string[]): void => {
    const fresh = paths.filter((path) => isApplications(path) && !told.has(path))
    for (const path of fresh) told.add(path)
    if (fresh.length > 0)
      channel.tell({ type: 'modules', files: fresh.map((path) => [path, stampOf(path)]) })
  }
  tell(file)
  watchRequire(tell)
  watchImport(tell)
  return withReports(env)
}

type Tell = (...paths: readonly string[]) => void

/** Node's own reports leave out what an ES module gets by way of a CommonJS one that exports another. */
function watchRequire(tell: Tell): void {
  const internals = Module as unknown as Internals
  const find = internals._resolveFilename
  internals._resolveFilename = function (request, parent, ...rest) {
    try {
      const path = Reflect.apply(find, this, [request, parent, ...rest]) as string
      tell(path)
      return path
    } catch (error) {
      const base = /^\.{0,2}\//.test(request) && resolve(dirname(parent?.filename ?? '.'), request)
      if (base) tell(...['', ...Object.keys(internals._extensions)].map((end) => base + end))
      throw error
    }
  }
}

/** Takes Node's reports out of what the application sends. */
function watchImport(tell: Tell): void {
  const send = process.send!
  process.send = ((message: unknown, ...rest: unknown[]) => {
    const reported = reportedFiles(message)
    if (!reported) return Reflect.apply(send, process, [message, ...rest]) as boolean
    tell(...reported.map(pathOf))
    return true
  }) as typeof send
}

/** Paths or URLs; undefined if it is another message. */
function reportedFiles(message: unknown): readonly string[] | undefined {
  if (typeof message !== 'object' || message === null) return undefined
  const { 'watch:require': missing, 'watch:import': imported } = message as Record<string, unknown>
  const files = imported ?? missing
  if (!Array.isArray(files)) return undefined
  return files.filter((file) => typeof file === 'string')
}

/** It has the variable for whoever asks for it by name, as Node does for every module, and not for those who copy it. */
const withReports = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  new Proxy(env, {
    get: (target, key) => (key === VARIABLE ? '1' : target[key as string]),
    set: (target, key, value) => {
      target[key as string] = value as string
      return true
    },
  })

const pathOf = (reported: string): string =>
  reported.startsWith('file:') ? fileURLToPath(reported) : reported

/** Not what is in no file, such as `node:fs` and `data:`, nor what others wrote. */
const isApplications = (path: string): boolean =>
  isAbsolute(path) && !path.includes('/node_modules/') && !path.startsWith(builtFiles)
