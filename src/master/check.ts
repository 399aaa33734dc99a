// Loads the application once in a process of its own that listens nowhere: `supervisor check`, and `preload` before any
// worker is touched. Runs in the master.

import type { StartRequest } from '../config.ts'
import type { UserError } from '../errors.ts'
import { bootError } from './post-mortem.ts'
import { WorkerHandle } from './worker-handle.ts'
import { appName, birth } from './worker-init.ts'

/** When nothing limits a boot: what a timer can hold. */
const LONGEST_SECONDS = 24 * 86_400

/** Undefined if the application loads and has something to serve; else why not. What it writes to stderr passes through. */
export function tryApp(request: StartRequest): Promise<UserError | undefined> {
  const { bootTimeout } = request.config.settings
  const options = birth(
    {
      request,
      config: request.config,
      name: appName(request.file),
      sockets: 'owned',
    },
    0,
    'check',
  )
  return new Promise((resolve) => {
    let loaded = false
    const worker = new WorkerHandle(
      { ...options, generation: 0, quiet: false },
      {
        message: (from, message) => {
          if (message.type === 'loaded') loaded = true
          if (message.type === 'failed') from.failure = message
        },
        exit: (from, code, signal) => {
          clearTimeout(timer)
          resolve(loaded ? undefined : bootError(from, code, signal))
        },
        handover: () => undefined,
        digest: () => undefined,
      },
    )
    const limit = bootTimeout || LONGEST_SECONDS
    const timer = setTimeout(() => {
      worker.killedFor = `it neither listened nor exported an application within ${bootTimeout} s (--boot-timeout)`
      worker.kill()
    }, limit * 1000)
  })
}

/** For the CLI: exit status 0 if the application loads, 1 if it doesn't. */
export async function checkApp(request: StartRequest): Promise<number> {
  const error = await tryApp(request)
  if (error) process.stderr.write(`supervisor: ${error.message}\n`)
  else process.stdout.write(`supervisor: ${request.file} loads\n`)
  return error ? 1 : 0
}
