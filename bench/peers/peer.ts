// What a benchmark has to know of a server to put it beside the others. Each file of this folder gives one or more of them:
// to add a server, add a file that exports `peers`.

import { execFile, execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { signalIfThere } from '../../test/helpers/process.ts'

export const apps = fileURLToPath(new URL('../apps', import.meta.url))

export interface LaunchOptions {
  /** Runs what needs Node. */
  readonly node: string
  readonly port: number
  /** Of its own, empty. */
  readonly dir: string
  /** A file in bench/apps, without its ending. */
  readonly app: string
  readonly workers: number
  /** Of this server alone. */
  readonly flags: readonly string[]
  /** How long a request may take, seconds, and that a stop takes 5 s: for those who have such settings. Undefined: their defaults. */
  readonly timeout?: number
  /** Replace a worker after so many requests, or a few more. Undefined: never. */
  readonly recycleAfter?: number
}

/** How it is started and what an operator does to it. The pids are that of its master, or of its only process. */
export interface Launch {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** If it is not the process that was started. */
  readonly master?: () => number
  /** Brings in new code. Resolves when the command has ended; rejects if that said it failed. */
  readonly reload?: (master: number) => Promise<void>
  /** Default: SIGTERM. */
  readonly terminate?: (master: number) => Promise<void>
  /** Ends what `terminate` leaves. */
  readonly end?: (master: number) => Promise<void>
  /** Files that it writes, beside its output. */
  readonly logs?: readonly string[]
}

/** What may be missing. */
export type Feature = 'workers' | 'recovery' | 'reload' | 'recycle' | 'stop'

export interface Peer {
  /** For `--only`. */
  readonly name: string
  /** In tables. */
  readonly title: string
  /** Its version; installs what can be installed. Throws LeftOut if it can't be had here. */
  prepare(node: string): string
  launch(options: LaunchOptions): Launch
  /** Takes part only if `--only` names it. */
  readonly onlyIfNamed?: boolean
  /** Why there is none. */
  readonly lacks?: Readonly<Partial<Record<Feature, string>>>
}

/** The message says why. */
export class LeftOut extends Error {}

/** Of a Launch: tells the master by a signal. */
export const bySignal =
  (signal: NodeJS.Signals) =>
  (master: number): Promise<void> =>
    Promise.resolve(signalIfThere(master, signal))

/** Of a Launch: runs a command, for at most 30 s. */
export const byCommand =
  (program: string, args: (master: number) => readonly string[], env?: NodeJS.ProcessEnv) =>
  async (master: number): Promise<void> => {
    await promisify(execFile)(program, [...args(master)], { env, timeout: 30_000 })
  }

/** What `PROGRAM --version` says, or undefined if it is not installed or can't start. */
export function versionOf(program: string): string | undefined {
  try {
    const text = execFileSync(program, ['--version'], { encoding: 'utf8', stdio: 'pipe' })
    return /\d[\d.]+\d/.exec(text)?.[0]
  } catch (error) {
    // ENOENT: it is not installed; a status: it can't start
    const { code, status } = error as { code?: unknown; status?: unknown }
    if (code === 'ENOENT' || status !== undefined) return undefined
    throw error
  }
}

export function versionOnPath(program: string): string {
  const version = versionOf(program)
  if (version === undefined) throw new LeftOut(`there is no \`${program}\` on the path`)
  return version
}
