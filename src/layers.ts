// The sources of settings as layers of values, and how layers are checked and merged. A leaf under config.ts; reads no variables
// and no files itself.
import { resolve } from 'node:path'
import * as v from 'valibot'
import { inBrackets } from './address.ts'
import type { FlagUse } from './argv.ts'
import { badSetting, UserError } from './errors.ts'
import { statAt } from './read-text.ts'
import {
  isSettingName,
  type SettingName,
  type Settings,
  settingNames,
  settingRow,
  variablesOf,
} from './settings.ts'
import { shellWords } from './shell-words.ts'

/** A value as it was given, before its check. */
export interface Given {
  readonly value: unknown
  /** The place for error messages: `--timeout`, `supervisor.config.ts: timeout`. */
  readonly where: string
  /** The place for `supervisor config`: `--timeout`, `supervisor.config.ts`. */
  readonly source: string
}
export type Layer = Map<SettingName, Given>

export const flagLayer = (uses: readonly FlagUse[], prefix: string): Layer => {
  const layer: Layer = new Map()
  for (const use of uses) {
    const where = prefix + use.flag
    const value = valueOfFlag(use)
    layer.set(use.name, {
      value: joined(use.name, layer.get(use.name)?.value, value),
      where,
      source: where,
    })
  }
  return layer
}

const valueOfFlag = ({ name, text, negated }: FlagUse): unknown => {
  if (negated && settingRow(name).without !== undefined) return settingRow(name).without
  const value = text === undefined ? true : fromText(name, text)
  return negated && typeof value === 'boolean' ? !value : value
}

const fromText = (name: SettingName, text: string): unknown =>
  settingRow(name).fromText?.(text) ?? text

/** A repeated flag: lists and maps grow, of anything else the last one counts. What can't be joined is left to the check. */
const joined = (name: SettingName, before: unknown, value: unknown): unknown => {
  const { many } = settingRow(name)
  if (many === 'list' && Array.isArray(before) && Array.isArray(value))
    return [...(before as unknown[]), ...(value as unknown[])]
  if (many === 'map' && isObject(before) && isObject(value)) return { ...before, ...value }
  return many && before !== undefined && typeof before !== 'object' ? before : value
}

export const environmentLayer = (env: NodeJS.ProcessEnv): Layer => {
  const layer: Layer = new Map()
  for (const name of settingNames) {
    const variable = variablesOf(name).find((candidate) => filled(env[candidate]))
    if (variable === undefined) continue
    const text = env[variable]?.trim() ?? ''
    const pieces = settingRow(name).many === 'map' ? (shellWords(text) ?? [text]) : [text]
    const value = pieces
      .map((piece) => fromText(name, piece))
      .reduce((all, piece) => joined(name, all, piece))
    layer.set(name, { value, where: variable, source: variable })
  }
  return layer
}

/** An empty variable counts as unset: `WORKERS=` in a compose file. */
export const filled = (value: string | undefined): value is string =>
  value !== undefined && value.trim() !== ''

export const objectLayer = (values: Readonly<Record<string, unknown>>, source: string): Layer => {
  const layer: Layer = new Map()
  for (const [name, value] of Object.entries(values)) {
    if (isSettingName(name) && value !== undefined)
      layer.set(name, { value, where: `${source}: ${name}`, source })
  }
  return layer
}

/** HOST and PORT say where to listen when nothing else does. PORT alone means every interface, as for Gunicorn. */
export const addHostAndPort = (
  layer: Layer,
  env: NodeJS.ProcessEnv,
  problems: UserError[],
): void => {
  const host = filled(env.HOST) ? env.HOST.trim() : undefined
  const port = filled(env.PORT) ? env.PORT.trim() : undefined
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65535)) {
    problems.push(badSetting('PORT', port, 'a port from 0 to 65535'))
  } else if (host !== undefined || port !== undefined) {
    const bracketed = inBrackets(host ?? '0.0.0.0')
    const source = [host && 'HOST', port && 'PORT'].filter(Boolean).join(' and ')
    layer.set('bind', { value: [port ? `${bracketed}:${port}` : bracketed], where: source, source })
  }
}

/** A variable that a flag overrides may be meant for another program: its value is not looked at. */
export const dropOverridden = (environment: Layer, stronger: readonly Layer[]): void => {
  for (const name of stronger.flatMap((layer) => [...layer.keys()])) {
    if (settingRow(name).many !== 'map') environment.delete(name)
  }
}

/** Replaces each value by the program's; adds what is wrong to `problems`. */
export const check = (layer: Layer, cwd: string, problems: UserError[]): void => {
  for (const [name, { value, where, source }] of layer) {
    const row = settingRow(name)
    const result = v.safeParse(row.schema, value, { abortEarly: true })
    if (!result.success) problems.push(wrongValue(name, where, value, result.issues[0]))
    else if (name !== 'chdir' || !filled(String(value)))
      layer.set(name, { value: result.output, where, source })
    else if (isDirectory(resolve(cwd, String(value))))
      layer.set(name, { value: resolve(cwd, String(value)), where, source })
    else problems.push(badSetting(where, value, row.wanted))
  }
}

const wrongValue = (
  name: SettingName,
  where: string,
  value: unknown,
  issue: v.BaseIssue<unknown>,
): UserError => {
  const { wanted, many, explain, secret } = settingRow(name)
  if (secret) return badSetting(where, '***', wanted)
  if (explain) {
    const inside = explain(issue)
    return badSetting(`${where}${inside.place}`, inside.value, inside.wanted)
  }
  const step = issue.path?.at(-1)
  if (many === 'map' && typeof value === 'object') return wrongVariable(where, value, step)
  return badSetting(where, step ? step.value : value, wanted)
}

/** Values of the environment can be secrets: only their keys are shown. */
const wrongVariable = (
  where: string,
  value: object | null,
  step: v.IssuePathItem | undefined,
): UserError => {
  if (!step || Array.isArray(value)) {
    return badSetting(where, value && '***', 'an object such as { "KEY": "value" }')
  }
  const key = String(step.key)
  return step.origin === 'key'
    ? badSetting(where, { [key]: '***' }, 'an object whose keys are names of variables')
    : badSetting(`the value of ${where}.${key}`, '***', 'a text, a number or a boolean')
}

interface Merged {
  readonly settings: Settings
  readonly sources: Readonly<Record<SettingName, string>>
}

/** Strongest layer first. */
export const merge = (layers: readonly Layer[]): Merged => {
  const values: Record<string, unknown> = {}
  const sources: Record<string, string> = {}
  for (const name of settingNames) {
    const row = settingRow(name)
    const given = layers.flatMap((layer) => layer.get(name) ?? [])
    const used = row.many === 'map' ? given.toReversed() : given.slice(0, 1)
    const value =
      used.length > 0
        ? used.map((one) => one.value).reduce((all, one) => joined(name, all, one))
        : row.default
    values[name] = name === 'bind' && isEmptyList(value) ? [DEFAULT_BIND] : value
    sources[name] = used.length > 0 ? used.map((one) => one.source).join(', ') : 'default'
    if (isObject(values[name])) Object.freeze(values[name])
  }
  return {
    settings: Object.freeze(values) as Settings,
    sources: Object.freeze(sources) as Merged['sources'],
  }
}

const DEFAULT_BIND = '127.0.0.1:8000'
const isEmptyList = (value: unknown): boolean => Array.isArray(value) && value.length === 0
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
const isDirectory = (path: string): boolean => statAt(path)?.isDirectory() ?? false
