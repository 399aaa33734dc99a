// The library: the same master from code, and the types of the settings file. A door: it only puts parts together.

import { resolve } from 'node:path'
import { withActivated } from './activation.ts'
import { findApp } from './app-file.ts'
import { loadConfig, workingDirectory, type Config } from './config.ts'
import type { Running } from './master/running.ts'
import type { Hooks, MasterHookFunctions } from './hooks.ts'
import type { ConfigInput as SettingsInput } from './settings.ts'

export { loadConfig, type Config, type LoadConfigOptions } from './config.ts'
export { ConfigErrors, UserError, type ErrorCode } from './errors.ts'
export type { Answers, HeapAnswer, ProfileAnswer, Question, StackAnswer } from './inspection.ts'
export type { Running } from './master/running.ts'
export type {
  HookAbort,
  HookAlert,
  HookChildExit,
  HookFork,
  HookLateRequest,
  HookLeave,
  HookReady,
  HookReload,
  HookRequest,
  HookResponse,
  Hooks,
  HookScale,
  HookServer,
  HookStart,
  HookStop,
  HookWorker,
  TimeoutAnswer,
} from './hooks.ts'
export type { Settings } from './settings.ts'

/** The settings and hooks of a settings file. */
export interface ConfigInput extends Omit<SettingsInput, 'preload'>, Hooks {
  /**
   * Load the application once, in a process of its own, before any worker is touched. A function runs there before; what it
   * returns (plain data, as structuredClone() takes it) every worker has by `preloaded()` of `nodicorn/app`.
   */
  readonly preload?: boolean | (() => unknown) | undefined
}

/** What a settings file may export: the settings, or a function that makes them. */
export type ConfigExport = ConfigInput | (() => ConfigInput | Promise<ConfigInput>)

/** Gives a settings file its types: `export default defineConfig({ workers: 'auto' })`. Returns its argument. */
export const defineConfig = <T extends ConfigExport>(config: T): T => config

/** Hooks that run in the workers need a settings file: a function can't be sent to them. */
export interface SuperviseOptions extends SettingsInput, MasterHookFunctions {
  /** Arguments for the application: its `process.argv.slice(2)`. Default none. */
  readonly appArgs?: readonly string[]
  /** What relative paths and the settings file are relative to. Default: the working directory. */
  readonly cwd?: string
}

/**
 * Starts a server and resolves when all its workers are ready. `appFile` is FILE[:EXPORT], as on the command line; options win over
 * the environment and the settings file. This process becomes the master: it answers to signals as the command does, but it does
 * not exit when the server has stopped (`await running.finished`). One server per process.
 *
 * Rejects with a ConfigErrors (bad settings) or a UserError (APP_NOT_FOUND, APP_FAILED, ADDRESS_IN_USE, PIDFILE_IN_USE ...).
 */
export async function supervise(appFile: string, options: SuperviseOptions = {}): Promise<Running> {
  const { appArgs = [], cwd = workingDirectory(), ...settings } = options
  const load = async (): Promise<Config> =>
    withActivated(await loadConfig({ options: settings, cwd }), [])
  const config = await load()
  const app = await findApp(appFile, config.settings.chdir || cwd)
  const { startMaster } = await import('./master/start.ts')
  const running = await startMaster({
    ...app,
    directory: resolve(cwd),
    appArgs,
    config,
    loadAgain: load,
  })
  await running.ready
  return running
}
