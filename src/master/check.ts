// Loads the application once in a process of its own that listens nowhere: `supervisor check`, and `preload` before any
// worker is touched. preload() of the settings file runs there too. Runs in the master.

import type { StartRequest } from '../config.ts'
import { UserError } from '../errors.ts'
import { loadCredentials } from './credentials.ts'
import { bootError, howItEnded } from './post-mortem.ts'
import { receive, type Preloaded } from './preloaded.ts'
import { WorkerHandle } from './worker-handle.ts'
import { appName, birth } from './worker-init.ts'

/** When nothing limits a boot: what a timer can hold. */
const LONGEST_SECONDS = 24 * 86_400

/**
 * Resolves as soon as the application has loaded and has something to serve; rejects with a UserError that says why not.
 * What it writes to stderr passes through. When `signal` is aborted the process is killed, and the promise never settles.
 */
export function tryApp(request: StartRequest, signal?: AbortSignal): Promise<Preloaded> {
  return new Promise((resolve, reject) => {
    const trial = new Trial(request, (result) => {
      if (signal?.aborted) return
      if (result instanceof UserError) reject(result)
      else resolve(result)
    })
    const abort = (): void => trial.end('the server is stopping')
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    trial.onExit = () => signal?.removeEventListener('abort', abort)
  })
}

class Trial {
  onExit: () => void = () => undefined
  readonly #worker: WorkerHandle
  /** As people know the file whose preload() it runs. */
  readonly #source: string | undefined
  readonly #data: Promise<Buffer | undefined>
  #step: 'preload' | 'load' | 'loaded'

  constructor(request: StartRequest, done: (result: Preloaded | UserError) => void) {
    const name = appName(request.file)
    const options = birth({ request, config: request.config, name, sockets: 'owned' }, 0, 'check')
    const { bootTimeout } = request.config.settings
    const limit = (bootTimeout || LONGEST_SECONDS) * 1000
    const timer = setTimeout(() => this.end(this.#late(bootTimeout)), limit)
    this.#source = request.config.preloadSource
    this.#step = options.init.hooks?.preload ? 'preload' : 'load'
    this.#worker = new WorkerHandle(
      { ...options, generation: 0, quiet: false },
      {
        message: (from, message) => {
          if (message.type === 'failed') from.failure = message
          if (message.type !== 'loaded') return
          const { compileCache } = message
          this.#step = 'loaded'
          void this.#data.then((data) =>
            done({ ...(data?.length && { data }), ...(compileCache && { compileCache }) }),
          )
        },
        exit: (_, code, signal) => {
          clearTimeout(timer)
          this.onExit()
          if (this.#step === 'loaded') return
          this.#worker.preloadPipe?.destroy()
          void this.#data.then(() => done(this.#whyNot(code, signal)))
        },
        handover: () => undefined,
        digest: () => undefined,
      },
    )
    this.#data = this.#receive()
  }

  /** Kills it, if it still lives. */
  end(why: string): void {
    this.#worker.killedFor = why
    this.#worker.kill()
  }

  async #receive(): Promise<Buffer | undefined> {
    const { preloadPipe } = this.#worker
    const data = preloadPipe && (await receive(preloadPipe))
    if (data && this.#step === 'preload') this.#step = 'load'
    return data
  }

  #late(bootTimeout: number): string {
    return this.#step === 'preload'
      ? `preload() of ${this.#source} has not ended within ${bootTimeout} s (--boot-timeout)`
      : `it neither listened nor exported an application within ${bootTimeout} s (--boot-timeout)`
  }

  #whyNot(code: number | null, signal: string | null): UserError {
    const { failure, killedFor } = this.#worker
    if (this.#step !== 'preload' || failure || killedFor)
      return bootError(this.#worker, code, signal)
    const how = howItEnded(this.#worker, code, signal)
    return new UserError(
      'APP_FAILED',
      `${this.#source}: preload() had not ended when its process ${how}`,
    )
  }
}

/** For the CLI: exit status 0 if the application loads, 1 if it doesn't. Throws BAD_SETTING for certificates that cannot be used. */
export async function checkApp(request: StartRequest): Promise<number> {
  await loadCredentials(request.config, request.directory)
  try {
    await tryApp(request)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    process.stderr.write(`supervisor: ${error.message}\n`)
    return 1
  }
  process.stdout.write(`supervisor: ${request.file} loads\n`)
  return 0
}
