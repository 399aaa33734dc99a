// The contestants of a benchmark: the same application on bare node:cluster, PM2, Gunicorn and on ours, started and ended.

import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import http from 'node:http'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { isAlive, signalIfThere } from '../test/helpers/process.ts'
import { tempDir, type Teardown } from '../test/helpers/temp.ts'
import { descendantsOf } from './proc.ts'
import { cli } from './variants.ts'

export const apps = fileURLToPath(new URL('./apps', import.meta.url))
export const PM2_VERSION = '7.0.4'

export type Contestant = 'bare' | 'ours'
export type Peer = Contestant | 'pm2' | 'gunicorn sync' | 'gunicorn gthread'

export interface StartOptions {
  /** A file in bench/apps without its ending; default `hello`. */
  readonly app?: string
  /** For contestants that have them: ours and Gunicorn. */
  readonly flags?: readonly string[]
}

export interface Started {
  /** The process that was spawned; PM2's daemon is not its child. */
  readonly child: ChildProcess
  readonly port: number
  /** From the spawn to the first 200, ms. */
  readonly bootMs: number
  /** What the server and its app have written so far. */
  log(): string
  stop(): Promise<void>
}

interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Two workers each. Gunicorn's threads are there for those that wait, as our event loop is. */
function commandOf(who: Peer, node: string, at: number, options: StartOptions): Command {
  const { app = 'hello', flags = [] } = options
  const file = join(apps, `${app}.cjs`)
  const gunicorn = ['--workers', '2', '--bind', `127.0.0.1:${at}`, '--chdir', apps, ...flags]
  switch (who) {
    case 'bare':
      return { program: node, args: [join(apps, 'bare.cjs')], env: { APP: file } }
    case 'ours':
      return { program: node, args: [cli, 'start', file, '--workers', '2', ...flags] }
    case 'pm2':
      return { program: node, args: [pm2, 'start', file, '-i', '2', '--name', 'bench'] }
    case 'gunicorn sync':
      return { program: 'gunicorn', args: [...gunicorn, `${app}:app`] }
    case 'gunicorn gthread':
      return {
        program: 'gunicorn',
        args: [...gunicorn, '-k', 'gthread', '--threads', '16', `${app}:app`],
      }
  }
}

/** Nobody takes longer, ms. */
const BOOT_MS = 30_000

let port = 20_000 + (process.pid % 10_000)

/** Serving: its first 200 was there. It ends with `t` at the latest. */
export async function start(
  t: Teardown,
  who: Peer,
  node: string,
  options: StartOptions = {},
): Promise<Started> {
  const at = ++port
  const dir = tempDir(t)
  const file = join(dir, 'log')
  const { program, args, env } = commandOf(who, node, at, options)
  const full = {
    ...process.env,
    PORT: String(at),
    PM2_HOME: dir,
    PYTHONDONTWRITEBYTECODE: '1',
    ...env,
  }
  const out = openSync(file, 'a')
  const began = performance.now()
  const child = spawn(program, args, { env: full, stdio: ['ignore', out, out], detached: true })
  const stop = once(() => (who === 'pm2' ? killPm2(node, dir, full) : endTree(child)))
  t.onTestFinished(stop)
  while (!(await answers(at)))
    if (performance.now() - began > BOOT_MS) throw new Error(`${who} does not answer`)
    else await sleep(1)
  const logs = who === 'pm2' ? [join(dir, 'pm2.log')] : [file]
  const bootMs = performance.now() - began
  return { child, port: at, bootMs, stop, log: () => logs.map(readIfThere).join('') }
}

const once = (work: () => Promise<void>): (() => Promise<void>) => {
  let done: Promise<void> | undefined
  return () => (done ??= work())
}

const readIfThere = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '')

/** SIGTERM, five seconds, SIGKILL; and what a blocked worker would not hear, by its pid. */
async function endTree(child: ChildProcess): Promise<void> {
  const pid = child.pid!
  const all = [pid, ...descendantsOf(pid)]
  signalIfThere(pid, 'SIGTERM')
  const end = performance.now() + 5_000
  while (isAlive(pid) && performance.now() < end) await sleep(5)
  for (const one of all) if (isAlive(one)) signalIfThere(one, 'SIGKILL')
}

// --- PM2: in a cache directory of its own, never a dependency ---

const pm2Dir = join(homedir(), '.cache', 'nodicorn-bench', `pm2-${PM2_VERSION}`)
const pm2 = join(pm2Dir, 'node_modules', 'pm2', 'bin', 'pm2')

/** Throws when the registry cannot be reached. */
export function installPm2(): void {
  if (existsSync(pm2)) return
  mkdirSync(pm2Dir, { recursive: true })
  const args = ['i', '--prefix', pm2Dir, '--no-audit', '--no-fund', `pm2@${PM2_VERSION}`]
  execFileSync('npm', args, { cwd: dirname(pm2Dir), stdio: 'ignore' })
}

/** Its daemon's own `kill` ends the daemon and the workers; what is left is ended by its pid. */
async function killPm2(node: string, home: string, env: NodeJS.ProcessEnv): Promise<void> {
  const daemon = Number(readIfThere(join(home, 'pm2.pid')))
  const all = daemon > 0 ? [daemon, ...descendantsOf(daemon)] : []
  const options = { env, timeout: 20_000 }
  await promisify(execFile)(node, [pm2, 'kill'], options).catch(() => undefined) // its exit status tells nothing; the pids do
  for (const pid of all) if (isAlive(pid)) signalIfThere(pid, 'SIGKILL')
}

/** Gunicorn's version, or undefined where there is none. */
export function gunicornVersion(): string | undefined {
  try {
    const text = execFileSync('gunicorn', ['--version'], { encoding: 'utf8', stdio: 'pipe' })
    return /[\d.]+/.exec(text)?.[0]
  } catch (error) {
    // ENOENT: it is not installed; a status: it can't start
    const { code, status } = error as { code?: unknown; status?: unknown }
    if (code === 'ENOENT' || status !== undefined) return undefined
    throw error
  }
}

const answers = (at: number): Promise<boolean> =>
  new Promise((resolve) => {
    const request = http.get({ port: at, host: '127.0.0.1', agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200))
    })
    request.on('error', () => resolve(false)) // ECONNREFUSED: not yet
  })
