// Finds the app that the main module makes and serves it. Runs in every worker: called by the preload, before the
// main module. An app that listens by itself is left alone; one that exports is put behind the --bind addresses.

import type { ListenOptions } from 'node:net'
import { relative } from 'node:path'
import { formatUrl, type ServeAddress } from '../address.ts'
import { UserError } from '../errors.ts'
import { thrownFacts } from '../hook-runner.ts'
import {
  afterMainBegan,
  commonJsExports,
  defaultExport,
  esmExports,
  exportNames,
  mentionsListen,
  namedExport,
  type AppExports,
} from './app-exports.ts'
import {
  ACCEPTED_APPS,
  describe,
  kindOf,
  secondDoor,
  toServing,
  type Serving,
} from './app-kinds.ts'
import type { Tls } from './tls.ts'

export interface WatchOptions {
  /** Absolute path of the app: the main module of this process. */
  readonly file: string
  /** `app.js:name`: always served, even if the app listens elsewhere by itself. `default` forces the default export. */
  readonly exportName?: string
  /** Where to serve an export. */
  readonly addresses: readonly ServeAddress[]
  /** How an export is served over TLS, if so. */
  readonly tls: Tls | undefined
  /** Length of the accept queue, in connections. */
  readonly backlog: number
  /** True from the moment the app has called listen(), even while a host name is still being looked up. */
  readonly hasListened: () => boolean
  /** Called at most once: APP_NOT_FOUND, APP_FAILED, ADDRESS_IN_USE or CANNOT_LISTEN. */
  readonly onFailure: (error: UserError) => void
}

export interface AppWatch {
  /** How many addresses the exported app is being served on; 0 as long as the app listens by itself, or not at all. */
  readonly addressesServed: number
  /** To be awaited after the drain, before the worker ends: the app's own shutdown, such as Fastify's close hooks. */
  readonly onClose: (() => Promise<unknown>)[]
}

/** How long an export waits for an app whose text says that it will listen by itself, in milliseconds. */
const OWN_LISTEN_GRACE = 1_000

/**
 * Finds out, once the main module has run, whether the app listens by itself, exports something to serve, or neither.
 *
 * The app's own listen() wins over its exports, unless an export was named. The loop going idle without either ends
 * the wait, so the caller must not keep it alive: the IPC channel is unref'd until something listens.
 *
 * A worker started with any `--import` (tsx, node arguments, NODE_OPTIONS) needs `--import .../worker/imports-done.js`
 * as its last one: Node runs them one after another, and an app imported before their end would miss them.
 */
export function watchApp(options: WatchOptions): AppWatch {
  const loader = new AppLoader(options)
  loader.watch()
  return loader
}

type State =
  | { readonly name: 'loading' }
  /** Nothing to serve so far: the app may still listen. */
  | { readonly name: 'exported-nothing'; readonly exports: AppExports }
  /** There is an export, but the text says that the app will listen. */
  | { readonly name: 'in-grace'; readonly end: () => void }
  | { readonly name: 'preparing' }
  | { readonly name: 'settled' }

class AppLoader implements AppWatch {
  readonly onClose: AppWatch['onClose'] = []
  addressesServed = 0
  readonly #options: WatchOptions
  readonly #name: string
  #state: State = { name: 'loading' }

  constructor(options: WatchOptions) {
    this.#options = options
    const path = relative(process.cwd(), options.file)
    this.#name = path.startsWith('..') ? options.file : path
  }

  watch(): void {
    process.on('beforeExit', () => this.#onIdle())
    afterMainBegan(() => {
      this.#load().catch((error: unknown) => this.#fail(this.#asUserError(error)))
    })
  }

  async #load(): Promise<void> {
    const { file, exportName, hasListened } = this.#options
    if (exportName === undefined && hasListened()) return this.#settle()
    const exports = commonJsExports() ?? (await esmExports(file))
    if (!exports) return this.#settle()
    if (exportName !== undefined)
      return this.#serve(this.#named(exports, exportName), `export "${exportName}"`)
    if (hasListened()) return this.#settle()
    const app = defaultExport(exports)
    if (!kindOf(app)) {
      this.#state = { name: 'exported-nothing', exports }
      return
    }
    if (mentionsListen(file) && (await this.#listensByItself())) return this.#settle()
    await this.#serve(app, 'default export')
  }

  #named(exports: AppExports, name: string): unknown {
    const app = namedExport(exports, name)
    if (app !== undefined) return app
    const names = exportNames(exports)
    const has = names.length > 0 ? `it exports ${names.join(', ')}` : 'it exports nothing'
    throw new UserError('APP_NOT_FOUND', `${this.#name} has no export "${name}"; ${has}`)
  }

  async #listensByItself(): Promise<boolean> {
    await new Promise<void>((end) => {
      this.#state = { name: 'in-grace', end }
      setTimeout(end, OWN_LISTEN_GRACE).unref()
    })
    return this.#options.hasListened()
  }

  async #serve(exported: unknown, what: string): Promise<void> {
    this.#state = { name: 'preparing' }
    const kind = kindOf(exported)
    const deferred = kind === 'factory' || kind === 'promise'
    const app = deferred ? await this.#make(exported, what, kind) : exported
    const { exportName, hasListened, tls } = this.#options
    const serving = await toServing(app, tls)
    // A main() that was exported, called and listens by itself.
    if (hasListened() && (!serving || exportName === undefined)) return this.#settle()
    if (!serving) {
      const whose = kind === 'factory' ? `result of the ${what}, a factory,` : what
      throw this.#notServable(whose, app)
    }
    if (serving.close) this.onClose.push(serving.close)
    if (!serving.server.listening) await this.#listen(serving)
    this.#settle()
  }

  /** The app itself, from a factory or a promise. */
  async #make(exported: unknown, what: string, kind: 'factory' | 'promise'): Promise<unknown> {
    try {
      return await (kind === 'factory' ? (exported as () => unknown)() : exported)
    } catch (error) {
      console.error(error)
      const did =
        kind === 'factory' ? 'has no parameters, was called as a factory and threw' : 'rejected'
      const text = `${this.#name}: the ${what} ${did}: ${messageOf(error)}`
      throw new UserError('APP_FAILED', text, { cause: error })
    }
  }

  /** All at once: whoever hears that the first address is served may expect the others to be. */
  async #listen(first: Serving): Promise<void> {
    const { addresses, backlog } = this.#options
    this.addressesServed = addresses.length
    const others = await Promise.all(addresses.slice(1).map(() => secondDoor(first.server)))
    const doors = [first, ...others]
    const listening = addresses.map((address, index) =>
      doors[index]!.listen(listenOptions(address, backlog)).catch((error: unknown) => {
        throw cannotListen(address, error)
      }),
    )
    await Promise.all(listening)
  }

  /** The event loop has nothing left to do. */
  #onIdle(): void {
    const state = this.#state
    if (state.name === 'in-grace') state.end()
    else if (state.name !== 'settled' && !this.#options.hasListened())
      this.#fail(this.#whyIdle(state))
  }

  #whyIdle(state: State): UserError {
    const failed = (what: string): UserError => new UserError('APP_FAILED', `${this.#name} ${what}`)
    if (state.name === 'loading')
      return failed('ended at a top-level await that nothing can settle')
    if (state.name === 'preparing')
      return failed('ended before its app was made: a promise never settled')
    if (state.name !== 'exported-nothing') return failed(ENDED)
    const { exports } = state
    const apps = exportNames(exports).filter((name) => kindOf(namedExport(exports, name)))
    if (apps.length > 0) {
      const hint = `name the one to serve, as in ${this.#name}:${apps[0]}`
      const text = `ended without listening and has no default export; it exports ${apps.join(', ')}: ${hint}`
      return new UserError('APP_NOT_FOUND', `${this.#name} ${text}`)
    }
    const app = defaultExport(exports)
    return app === undefined ? failed(ENDED) : this.#notServable('default export', app)
  }

  #notServable(what: string, app: unknown): UserError {
    return new UserError(
      'APP_NOT_FOUND',
      `${this.#name}: the ${what} is ${describe(app)}; it must be ${ACCEPTED_APPS}`,
    )
  }

  #asUserError(error: unknown): UserError {
    if (error instanceof UserError) return error
    console.error(error)
    return new UserError('APP_FAILED', `${this.#name} could not be served: ${messageOf(error)}`, {
      cause: error,
    })
  }

  #settle(): void {
    this.#state = { name: 'settled' }
  }

  #fail(error: UserError): void {
    if (this.#state.name === 'settled') return
    this.#settle()
    this.#options.onFailure(error)
  }
}

const ENDED = 'ended without listening and without exporting an app'

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : thrownFacts(error).error

function listenOptions(address: ServeAddress, backlog: number): ListenOptions & { fd?: number } {
  switch (address.type) {
    case 'tcp':
      return { host: address.host, port: address.port, backlog }
    case 'unix':
      return { path: address.path, backlog }
    case 'fd':
      // The host is for Fastify, which looks one up unless it is given.
      return { fd: address.fd, host: '127.0.0.1', backlog }
  }
}

function cannotListen(address: ServeAddress, error: unknown): UserError {
  const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
  const where = `cannot listen on ${formatUrl(address)}`
  return inUse
    ? new UserError(
        'ADDRESS_IN_USE',
        `${where}: another process has it. Stop that process or pass --bind`,
        { cause: error },
      )
    : new UserError('CANNOT_LISTEN', `${where}: ${messageOf(error)}`, { cause: error })
}
