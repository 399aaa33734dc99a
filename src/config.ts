// Where the settings come from: flags > environment > GUNICORN_CMD_ARGS > settings file > defaults. Runs in the master and
// the CLI; the only reader of process.env there. Every problem is collected, and all are reported together.
import { isAbsolute, resolve } from 'node:path'
import { fs } from './builtin.ts'
import type { ActivatedSocket } from './activation.ts'
import { adminFault } from './admin-address.ts'
import { type ParsedArgs, parseWords } from './argv.ts'
import { badSetting, ConfigErrors, UserError } from './errors.ts'
import { completeJobs } from './jobs-setting.ts'
import { findHooks, type FoundHooks, type Hooks, isHookName, OPTIONS } from './hooks.ts'
import {
  addHostAndPort,
  check,
  dropOverridden,
  environmentLayer,
  filled,
  flagLayer,
  type Layer,
  merge,
  objectLayer,
} from './layers.ts'
import {
  type ConfigInput,
  isSettingName,
  type SettingName,
  type Settings,
  settingNames,
  variablesOf,
} from './settings.ts'
import { tlsFault } from './listen-kinds.ts'
import { shellWords } from './shell-words.ts'

/** The settings, the hooks and where each came from; frozen. */
export interface Config extends FoundHooks {
  readonly settings: Settings
  /** For each setting `--timeout`, `-t`, `TIMEOUT`, `GUNICORN_CMD_ARGS --timeout`, `supervisor.config.ts`, `options` or `default`. */
  readonly sources: Readonly<Record<SettingName, string>>
  /** Lines for the log, such as one about a flag without a meaning in Node. */
  readonly notes: readonly string[]
  /** The absolute path of the settings file, if there is one. */
  readonly file?: string
  /** As people know the settings file, if its `preload` is a function. */
  readonly preloadSource?: string
}

/** How the command was given, as it was typed: an upgrade gives it once more. */
export interface StartCommand {
  /** `node` if it was looked up in PATH, else a path. */
  readonly node: string
  readonly nodeArgs: readonly string[]
  /** Our own file; below the working directory it is spelled as that is. */
  readonly script: string
  readonly words: readonly string[]
  /** As it was before the settings file could change it. */
  readonly env: Readonly<NodeJS.ProcessEnv>
}

/** What `supervisor start` and `supervisor check` hand to the master. */
export interface StartRequest {
  /** The app's file, absolute. */
  readonly file: string
  readonly exportName?: string
  /** Where workers run unless `chdir` says otherwise: absolute, its links not resolved. */
  readonly directory: string
  /** What followed `--`. */
  readonly appArgs: readonly string[]
  readonly config: Config
  /** The same command line again, with the environment and the file as they are now. Throws as loadConfig does. */
  readonly loadAgain: () => Promise<Config>
  /** Missing if a program of somebody else's started the master. */
  readonly command?: StartCommand
  /** What systemd has opened for this process. */
  readonly activated?: readonly ActivatedSocket[]
}

/** A copy: later changes are not in it. */
export const environment = (): NodeJS.ProcessEnv => ({ ...process.env })

/** The variable, which nobody after us will see. */
export const takeVariable = (name: string): string | undefined => {
  const value = process.env[name]
  delete process.env[name]
  return value
}

/**
 * The working directory under the name that the shell has for it: a link, such as Capistrano's `current`, stays a link, so that
 * a deploy can let it point elsewhere. The system itself knows only where it led to.
 */
export const workingDirectory = (): string => {
  const real = process.cwd()
  const named = process.env['PWD']
  return named && isAbsolute(named) && isSame(named, real) ? named : real
}

const isSame = (one: string, other: string): boolean => {
  try {
    const [a, b] = [fs.statSync(one), fs.statSync(other)]
    return a.dev === b.dev && a.ino === b.ino
  } catch (error) {
    // ENOENT, EACCES, ENOTDIR: PWD is somebody else's
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return false
  }
}

/** NODE_ENV as the workers see it, whose own variables (`env`) come first. */
export const isProduction = ({ env }: Settings): boolean =>
  (env['NODE_ENV'] ?? process.env['NODE_ENV']) === 'production'

export interface LoadConfigOptions {
  /** Words as after `supervisor start`; default none. */
  readonly argv?: readonly string[]
  /** Settings and hooks of the master given in code; they win over the environment, flags win over them. */
  readonly options?: ConfigInput & Hooks
  /** Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv
  /** Where the settings file is looked for; default the working directory. */
  readonly cwd?: string
}

/**
 * Finds, checks and merges all settings.
 * @throws ConfigErrors with one line for each thing that is wrong.
 */
export const loadConfig = async (request: LoadConfigOptions = {}): Promise<Config> => {
  const { argv = [], options = {}, env = process.env, cwd = process.cwd() } = request
  const words = parseWords(argv)
  const more = gunicornWords(env)
  const file = await readSettingsFile(cwd, configFlag(words, env, more))
  const given: Given = { words, more, env, options: { ...options }, file }

  const problems = [...words.problems, ...(await unknownNames(given))]
  const layers = layersOf(given, problems)
  problems.push(...more.problems, ...file.problems)
  for (const layer of layers) check(layer, cwd, problems)
  const inCode = { values: given.options, source: OPTIONS }
  const found = findHooks([inCode, { values: file.values, source: file.name }], problems)
  const preloadSource = typeof file.values.preload === 'function' ? file.name : undefined
  if (problems.length > 0) throw new ConfigErrors(problems)
  const merged = merge(layers)
  const fault = adminFault(merged.settings) ?? tlsFault(merged.settings)
  if (fault) throw new ConfigErrors([fault])
  const { jobs } = merged.settings
  const settings = jobs
    ? Object.freeze({ ...merged.settings, jobs: completeJobs(jobs, env) })
    : merged.settings
  return Object.freeze({
    ...merged,
    settings,
    ...found,
    notes: Object.freeze([...words.notes, ...more.notes, ...file.notes]),
    ...(file.path && { file: file.path }),
    ...(preloadSource && { preloadSource }),
  })
}

/** Everything that was found, as it was found. */
interface Given {
  readonly words: ParsedArgs
  readonly more: ParsedArgs
  readonly env: NodeJS.ProcessEnv
  readonly options: Readonly<Record<string, unknown>>
  readonly file: SettingsFile
}

/** Strongest first. */
const layersOf = ({ words, more, env, options, file }: Given, problems: UserError[]): Layer[] => {
  const flags = flagLayer(words.uses, '')
  const code = objectLayer(options, OPTIONS)
  if (typeof options.preload === 'function') problems.push(preloadInCode)
  const environment = environmentLayer(env)
  const weaker = [flagLayer(more.uses, `${CMD_ARGS} `), objectLayer(file.values, file.name)]
  for (const layer of [code, ...weaker]) turnOn(layer)
  const layers = [flags, code, environment, ...weaker]
  if (!layers.some((layer) => layer.has('bind'))) addHostAndPort(environment, env, problems)
  dropOverridden(environment, [flags, code])
  return layers
}

/** A function says that there is something to preload, and what; who runs it reads the file once more. */
const turnOn = (layer: Layer): void => {
  const given = layer.get('preload')
  if (typeof given?.value === 'function') layer.set('preload', { ...given, value: true })
}

const preloadInCode = new UserError(
  'BAD_SETTING',
  `${OPTIONS}: preload() runs in a process of its own, and a function can't be sent there; put it into a settings file, such as supervisor.config.js`,
)

const CMD_ARGS = 'GUNICORN_CMD_ARGS'

const gunicornWords = (env: NodeJS.ProcessEnv): ParsedArgs => {
  const text = env[CMD_ARGS] ?? ''
  const words = shellWords(text)
  const parsed = parseWords(words ?? [])
  const wrong = (wanted: string): UserError => badSetting(CMD_ARGS, text, wanted)
  const problems = parsed.problems.map(
    (problem) => new UserError(problem.code, `${CMD_ARGS} ${problem.message}`),
  )
  if (!words) problems.push(wrong('flags whose quotes are closed'))
  // After a mistyped flag its value looks like a FILE; one complaint is enough.
  if (parsed.file && parsed.unknown.length === 0)
    problems.push(wrong('flags only; the app belongs on the command line'))
  return { ...parsed, problems, notes: parsed.notes.map((note) => `${CMD_ARGS} ${note}`) }
}

const CONFIG_VARIABLE = 'SUPERVISOR_CONFIG'

const configFlag = (
  words: ParsedArgs,
  env: NodeJS.ProcessEnv,
  more: ParsedArgs,
): string | undefined =>
  words.own.get('config') ??
  (filled(env[CONFIG_VARIABLE]) ? env[CONFIG_VARIABLE] : more.own.get('config'))

interface SettingsFile {
  readonly path?: string
  /** As shown to people. */
  readonly name: string
  readonly values: Readonly<Record<string, unknown>>
  readonly notes: readonly string[]
  readonly problems: readonly UserError[]
}

const readSettingsFile = async (cwd: string, named: string | undefined): Promise<SettingsFile> => {
  const names =
    named === undefined ? CONFIG_FILES.filter((file) => isFile(resolve(cwd, file))) : [named]
  const [name, ...ignored] = names
  const nothing = { name: name ?? '', values: {}, notes: [], problems: [] }
  if (name === undefined) return nothing
  const path = resolve(cwd, name)
  const notes = ignored.map((file) => `${file} is ignored: ${name} is used`)
  try {
    const { readConfigFile } = await import('./config-file.ts')
    return { ...nothing, path, values: await readConfigFile(path, name), notes }
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return { ...nothing, path, problems: [error] }
  }
}

const CONFIG_FILES = ['ts', 'mts', 'js', 'mjs', 'cjs', 'json'].map(
  (ending) => `supervisor.config.${ending}`,
)
const isFile = (path: string): boolean =>
  fs.statSync(path, { throwIfNoEntry: false })?.isFile() ?? false

/** Names of flags, keys and variables that do not exist, each with the nearest that does. */
const unknownNames = async ({ words, more, env, options, file }: Given): Promise<UserError[]> => {
  const variables = Object.keys(env).filter(isUnknownVariable)
  const inCode = unknownKeys(options)
  const inFile = unknownKeys(file.values)
  const names = [words.unknown, inCode, variables, more.unknown, inFile]
  if (names.every((some) => some.length === 0)) return []
  const suggest = await import('./nearest.ts')
  return [
    ...words.unknown.map((flag) => suggest.unknownFlag(flag, '')),
    ...inCode.map((key) => suggest.unknownKey(key, OPTIONS)),
    ...variables.map((variable) => suggest.unknownVariable(variable)),
    ...more.unknown.map((flag) => suggest.unknownFlag(flag, `${CMD_ARGS} `)),
    ...inFile.map((key) => suggest.unknownKey(key, file.name)),
  ]
}

/** `$schema` is how a JSON file names the schema for its editor. */
const unknownKeys = (values: Readonly<Record<string, unknown>>): string[] =>
  Object.keys(values).filter((key) => !isSettingName(key) && !isHookName(key) && key !== '$schema')

const isUnknownVariable = (variable: string): boolean =>
  variable.startsWith('SUPERVISOR_') && !knownVariables.has(variable)

const knownVariables = new Set([
  ...settingNames.flatMap(variablesOf),
  CONFIG_VARIABLE,
  // Set by our master for its workers, for an app that starts a server of its own.
  'SUPERVISOR_WORKER',
  'SUPERVISOR_WORKER_SLOT',
  // Set by supervisord for the programs it runs, and by Home Assistant for its add-ons.
  'SUPERVISOR_ENABLED',
  'SUPERVISOR_SERVER_URL',
  'SUPERVISOR_PROCESS_NAME',
  'SUPERVISOR_GROUP_NAME',
  'SUPERVISOR_TOKEN',
])
