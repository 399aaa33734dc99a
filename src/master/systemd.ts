// Tells systemd which process the service is after an upgrade: by its own command, as its socket takes datagrams, which node
// cannot send. Runs in the master, loaded when it is needed.

import { spawn } from 'node:child_process'
import type { Log } from '../log.ts'

/** Longer than it ever takes, ms. */
const PATIENCE_MS = 5_000

/** Resolves when it is told, or cannot be; at once where systemd does not wait for it. Never rejects. */
export function tellSystemd(pid: number, env: NodeJS.ProcessEnv, log: Log): Promise<void> {
  if (!env['NOTIFY_SOCKET']) return Promise.resolve()
  return new Promise((resolve) => {
    const failed = (why: string): void => {
      log.event('systemdNotTold', { master: pid, why })
      resolve()
    }
    const child = spawn('systemd-notify', [`MAINPID=${pid}`], {
      env,
      stdio: 'ignore',
      timeout: PATIENCE_MS,
    })
    child.once('error', (error) => failed(error.message))
    child.once('exit', (code, signal) =>
      code === 0 ? resolve() : failed(`systemd-notify ended with ${signal ?? code}`),
    )
  })
}
