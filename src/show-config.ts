// `supervisor config`: every setting, its value and where it came from, and the hooks that are set, as a table or as JSON.
// Runs in the CLI.
import { resolveWorkers, workerBounds } from './cgroup.ts'
import type { Config } from './config.ts'
import { type HookName, hookPlaces } from './hooks.ts'
import { type SettingName, settingNames, settingRow } from './settings.ts'
import { withoutSecrets } from './jobs-setting.ts'
import type { WorkerCount } from './worker-count.ts'

/** An aligned table; secrets (tokens, the values of `env`) are shown as ***. */
export const configTable = (config: Config): string => {
  const rows = [
    ...settingNames.map((name) => [name, valueText(name, config), config.sources[name]] as const),
    ...hooksOf(config).map(
      ([name, source]) => [name, `hook (${hookPlaces[name]})`, source] as const,
    ),
  ]
  const nameWidth = Math.max(...rows.map(([name]) => name.length))
  const valueWidth = Math.min(32, Math.max(...rows.map(([, value]) => value.length)))
  const lines = [['setting', 'value', 'source'] as const, ...rows].map(
    ([name, value, source]) => `${name.padEnd(nameWidth)}  ${value.padEnd(valueWidth)}  ${source}`,
  )
  return [...lines, ...config.notes.map((note) => `note: ${note}`), ''].join('\n')
}

/** `{ file, settings: { timeout: { value, source }, ... }, hooks: { onExit: { runsIn, source }, ... }, notes }`; durations in seconds, sizes in bytes, nothing as null. */
export const configJson = (config: Config): string => {
  const settings = Object.fromEntries(
    settingNames.map((name) => [
      name,
      { value: shown(name, config) ?? null, source: config.sources[name] },
    ]),
  )
  const hooks = Object.fromEntries(
    hooksOf(config).map(([name, source]) => [name, { runsIn: hookPlaces[name], source }]),
  )
  const all = { file: config.file ?? null, settings, hooks, notes: config.notes }
  return `${JSON.stringify(all, null, 2)}\n`
}

const hooksOf = ({ hookSources }: Config): [HookName, string][] =>
  Object.entries(hookSources) as [HookName, string][]

/** The value with its secrets masked, and a mask as people write it. */
const shown = (name: SettingName, { settings }: Config): unknown => {
  if (name === 'env')
    return Object.fromEntries(Object.keys(settings.env).map((key) => [key, '***']))
  if (settingRow(name).secret) return settings[name] && '***'
  if (name === 'jobs' && settings.jobs)
    return { ...settings.jobs, store: withoutSecrets(settings.jobs.store ?? 'embedded') }
  if (name === 'umask') return settings.umask?.toString(8).padStart(4, '0')
  return settings[name]
}

const workersText = (value: WorkerCount): string => {
  if (value === 'auto') return `auto (${resolveWorkers('auto')} here)`
  if (typeof value === 'number') return String(value)
  const here = value.max === 'auto' ? ` (${value.min}-${workerBounds(value).max} here)` : ''
  return `${value.min}-${value.max}${here}`
}

const valueText = (name: SettingName, config: Config): string => {
  const value = shown(name, config)
  if (name === 'preload' && value === true && config.preloadSource) return 'true, preload()'
  if (name === 'workers') return workersText(config.settings.workers)
  if (Array.isArray(value)) return value.join(' ') || 'unset'
  if (typeof value === 'object' && value !== null) {
    return (
      Object.entries(value)
        .map(
          ([key, part]) =>
            `${key}=${typeof part === 'object' ? JSON.stringify(part) : String(part)}`,
        )
        .join(' ') || 'unset'
    )
  }
  return value === undefined || value === '' ? 'unset' : String(value)
}
