// How systemd is told something: by its own command, as its socket takes datagrams, which node cannot send. Runs in the master,
// loaded when it is needed.

import { spawn } from 'node:child_process'
import type { Log } from '../log.ts'

/** Longer than it ever takes, ms. */
const PATIENCE_MS = 5_000

/** Lines such as `READY=1`. Resolves with why it could not be told; at once where systemd does not listen. Never rejects. */
export function notify(
  lines: readonly string[],
  env: Readonly<NodeJS.ProcessEnv>,
): Promise<string | undefined> {
  if (!env['NOTIFY_SOCKET']) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const child = spawn('systemd-notify', [...lines], {
      env,
      stdio: 'ignore',
      timeout: PATIENCE_MS,
      killSignal: 'SIGKILL',
    })
    child.once('error', ({ message }) => resolve(message))
    child.once('exit', (code, signal) =>
      resolve(code === 0 ? undefined : `systemd-notify ended with ${signal ?? code}`),
    )
  })
}

/** Which process the service is after an upgrade. Resolves when it is told, or cannot be. Never rejects. */
export async function tellMainPid(
  pid: number,
  env: Readonly<NodeJS.ProcessEnv>,
  log: Log,
): Promise<void> {
  const why = await notify([`MAINPID=${pid}`], env)
  if (why !== undefined) log.event('systemdNotTold', { master: pid, why })
}

/** How often it wants to hear from the process with `pid`, ms; undefined if it does not, or wants another one. */
export function watchdogMs(env: Readonly<NodeJS.ProcessEnv>, pid: number): number | undefined {
  const { WATCHDOG_USEC: usec = '', WATCHDOG_PID: whose = '' } = env
  if (!/^[1-9]\d*$/.test(usec) || (whose !== '' && whose !== String(pid))) return undefined
  return Number(usec) / 1000
}

/** For a new master in place of this one, whose pid nobody knows yet: what systemd wants of us it wants of that. */
export function heirsEnvironment(env: Readonly<NodeJS.ProcessEnv>, pid: number): NodeJS.ProcessEnv {
  const { WATCHDOG_USEC: usec, WATCHDOG_PID: _, ...others } = env
  return watchdogMs(env, pid) === undefined ? others : { ...others, WATCHDOG_USEC: usec }
}
