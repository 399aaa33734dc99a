// The contestants of a benchmark: the same application on bare node:cluster, PM2, Gunicorn and on ours, started and ended.

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, openSync, readFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { childrenOf, isAlive, signalIfThere } from '../test/helpers/process.ts'
import { tempDir, type Teardown } from '../test/helpers/temp.ts'
import { peerOf } from './peers/index.ts'
import { bySignal, type Launch, type LaunchOptions } from './peers/peer.ts'
import { descendantsOf } from './proc.ts'

export { apps } from './peers/peer.ts'

export type Contestant = 'bare' | 'ours'

export interface StartOptions extends Partial<Omit<LaunchOptions, 'node' | 'port' | 'dir'>> {
  /** Beside what the peer sets. */
  readonly env?: Readonly<Record<string, string>>
}

export interface Started {
  /** The process that was spawned; PM2's daemon is not its child. */
  readonly child: ChildProcess
  readonly port: number
  /** From the spawn to the first 200, ms. */
  readonly bootMs: number
  /** The master, or the only process. */
  readonly master: number
  /** The master's children; without any, the only process. */
  workers(): number[]
  /** The master and all below it. */
  all(): number[]
  /** Brings in new code; rejects where that is said to have failed. Undefined: it can't. */
  readonly reload: (() => Promise<void>) | undefined
  /** Asks it to stop, and does not wait until it has. */
  terminate(): Promise<void>
  /** What the server and its app have written so far. */
  log(): string
  stop(): Promise<void>
}

/** Nobody takes longer, ms. */
const BOOT_MS = 30_000

let port = 20_000 + (process.pid % 10_000)

/** Serving: its first 200 was there. It ends with `t` at the latest. `who` is the name of a peer. */
export async function start(
  t: Teardown,
  who: string,
  node: string,
  options: StartOptions = {},
): Promise<Started> {
  const at = ++port
  const dir = tempDir(t)
  const { env: more, ...rest } = options
  const asked = { app: 'hello', workers: 2, flags: [], ...rest, node, port: at, dir }
  const launch = peerOf(who).launch(asked)
  const file = join(dir, 'log')
  const out = openSync(file, 'a')
  const env = { ...process.env, PORT: String(at), ...launch.env, ...more }
  const began = performance.now()
  const child = spawn(launch.program, launch.args, {
    env,
    stdio: ['ignore', out, out],
    detached: true,
  })
  const master = launch.master ?? ((): number => child.pid!)
  const stop = once(() => endTree(launch, master(), child.pid!))
  t.onTestFinished(stop)
  const logs = [file, ...(launch.logs ?? [])]
  const log = (): string => logs.map(readIfThere).join('')
  while (!(await answers(at))) {
    // PM2's command ends when it has started a daemon.
    const isOver = performance.now() - began > BOOT_MS || (child.exitCode ?? 0) > 0
    if (isOver) throw new Error(`${who} does not answer; it says: ${log().slice(-1_000)}`)
    await sleep(1)
  }
  const bootMs = performance.now() - began
  return { child, port: at, bootMs, stop, log, ...handlesOf(launch, master()) }
}

type Handles = Pick<Started, 'master' | 'workers' | 'all' | 'reload' | 'terminate'>

const handlesOf = (launch: Launch, master: number): Handles => ({
  master,
  workers: () => {
    const children = childrenOf(master)
    return children.length > 0 ? children : [master]
  },
  all: () => [master, ...descendantsOf(master)],
  reload: launch.reload && (() => launch.reload!(master)),
  terminate: () => terminate(launch, master),
})

const terminate = (launch: Launch, master: number): Promise<void> =>
  (launch.terminate ?? bySignal('SIGTERM'))(master)

const once = (work: () => Promise<void>): (() => Promise<void>) => {
  let done: Promise<void> | undefined
  return () => (done ??= work())
}

const readIfThere = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '')

/** Asked to stop, five seconds, SIGKILL; and what a blocked worker would not hear, by its pid. */
async function endTree(launch: Launch, master: number, child: number): Promise<void> {
  const all = [child, ...(master > 0 ? [master, ...descendantsOf(master)] : [])]
  const end = launch.end ? launch.end(master) : terminate(launch, master)
  await end.catch(() => undefined) // a command's status tells nothing; the pids do
  const late = performance.now() + 5_000
  while (all.some(isAlive) && performance.now() < late) await sleep(5)
  for (const one of all) if (isAlive(one)) signalIfThere(one, 'SIGKILL')
}

const answers = (at: number): Promise<boolean> =>
  new Promise((resolve) => {
    const request = http.get({ port: at, host: '127.0.0.1', agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200))
    })
    request.on('error', () => resolve(false)) // ECONNREFUSED: not yet
  })
