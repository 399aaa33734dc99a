// What a worker is told at its birth, from the settings: data. Runs in the master.

import { basename, dirname, extname, join } from 'node:path'
import { meantFormat } from '../access-format.ts'
import { parseAddress, tryAddress } from '../address.ts'
import { fs } from '../builtin.ts'
import type { Config, StartRequest } from '../config.ts'
import { jobVariables } from '../jobs/groups.ts'
import type { CompleteJobs } from '../jobs-setting.ts'
import { isReadable } from '../log.ts'
import { hookPlaces, type HookName } from '../hooks.ts'
import type { SettingName } from '../settings.ts'
import { credentialsOf } from './credentials.ts'
import { preloadedOf, type Preloaded } from './preloaded.ts'
import type { TlsInit, WorkerHooksInit, WorkerInit, WorkerSettings } from '../protocol.ts'
import type { SpawnOptions } from './worker-handle.ts'

const WORKER_SETTINGS = [
  'timeout',
  'stallTimeout',
  'blocked',
  'timeoutCeiling',
  'requestContext',
  'abortFetch',
  'maxOrphans',
  'slowRatio',
  'timeoutHeader',
  'minUploadRate',
  'routes',
  'gracefulTimeout',
  'drainIdle',
  'drainUpgraded',
  'handover',
  'rebalance',
  'keepAlive',
  'headersTimeout',
  'backlog',
  'workerConnections',
  'maxRequests',
  'maxRequestsJitter',
  'crash',
  'readyCheck',
  'waitReady',
  'limitRequestFields',
  'limitRequestLine',
  'maxBody',
  'accessLog',
  'forwardedAllowIps',
  'proxyProtocol',
  'proxyAllowFrom',
  'user',
  'group',
] as const satisfies readonly (keyof WorkerSettings)[]

export interface Birth {
  readonly request: StartRequest
  readonly config: Config
  readonly name: string
  readonly sockets: 'owned' | 'cluster'
}

export const isExplicit = (config: Config, name: SettingName): boolean =>
  config.sources[name] !== 'default'

/** Not PORT and HOST, which are there for many programs. */
const saysBind = (config: Config): boolean =>
  isExplicit(config, 'bind') && !/^(PORT|HOST|LISTEN_FDS)/.test(config.sources.bind)

/** Everything WorkerHandle needs to start a worker in `slot`. */
export function birth(
  b: Birth,
  slot: number,
  mode: WorkerInit['mode'] = 'serve',
): Omit<SpawnOptions, 'generation' | 'quiet'> {
  const { settings } = b.config
  const hooks = workerHooks(b.config, mode)
  const { data, compileCache } = preloadedOf(b.config)
  const credentials = credentialsOf(b.config)
  const init: WorkerInit = {
    mode,
    slot,
    title: titleOf(b, slot, mode),
    file: b.request.file,
    ...(b.request.exportName === undefined ? {} : { exportName: b.request.exportName }),
    addresses: settings.bind.map((text) => parseAddress(text)),
    bindIsExplicit: saysBind(b.config),
    sockets: b.sockets,
    settings: Object.fromEntries(
      WORKER_SETTINGS.map((key) => [key, settings[key]]),
    ) as unknown as WorkerSettings,
    explicit: Object.keys(b.config.sources).filter((key) =>
      isExplicit(b.config, key as SettingName),
    ),
    accessLogFormat: meantFormat(settings.accessLogFormat, isReadable(settings)),
    ...(credentials && { tls: tlsInit(b.config) }),
    ...(hooks && { hooks }),
    ...(data && { preloaded: true }),
    ...cacheOf(b.config, mode, compileCache),
    reportsModules: settings.reload && mode !== 'check',
  }
  return {
    init,
    ...(data && { preloaded: data }),
    ...(credentials && { credentials }),
    cwd: settings.chdir || b.request.directory,
    appArgs: b.request.appArgs,
    nodeArgs: [`--max-http-header-size=${settings.maxHeaderSize}`, ...settings.nodeArgs],
    env: {
      ...forJobs(b),
      ...portFromBind(b.config, b.request.file),
      ...threadPool(settings.threads),
      ...settings.env,
    },
  }
}

/** An application enqueues where the job workers look. */
const forJobs = ({ config: { settings }, request }: Birth): Record<string, string> =>
  settings.jobs
    ? jobVariables(settings.jobs as CompleteJobs, settings.chdir || request.directory)
    : {}

const tlsInit = ({ settings }: Config): TlsInit => ({
  http2: settings.http2,
  certReqs: settings.certReqs,
  ciphers: settings.ciphers,
  minVersion: settings.tlsMinVersion,
})

/** The process title of a worker. */
export const titleOf = (
  { name }: Pick<Birth, 'name'>,
  slot: number,
  mode: WorkerInit['mode'],
): string => `supervisor: ${mode === 'standby' ? 'standby' : 'worker'} ${slot} [${name}]`

/** Undefined if there is none: then a worker never looks at the settings file. */
function workerHooks(config: Config, mode: WorkerInit['mode']): WorkerHooksInit | undefined {
  const { file, hookSources } = config
  const set = Object.entries(hookSources) as [HookName, string][]
  const found = set.filter(([name]) => hookPlaces[name] === 'worker')
  const preload = mode === 'check' && givesData(config)
  const source = found[0]?.[1] ?? (preload ? config.preloadSource : undefined)
  if (file === undefined || source === undefined) return undefined
  return { file, source, names: found.map(([name]) => name), ...(preload && { preload }) }
}

/** The settings file has a preload(), and nothing stronger says --no-preload. */
const givesData = ({ settings, preloadSource }: Config): boolean =>
  settings.preload && preloadSource !== undefined

/** `directory`: what the throw-away process found. */
function cacheOf(
  { settings }: Config,
  mode: WorkerInit['mode'],
  directory: Preloaded['compileCache'],
): Pick<WorkerInit, 'compileCache'> {
  if (mode === 'serve') return directory === undefined ? {} : { compileCache: { directory } }
  return settings.preload && settings.compileCache ? { compileCache: 'find' } : {}
}

const threadPool = (threads: number): Record<string, string> =>
  threads > 0 ? { UV_THREADPOOL_SIZE: String(threads) } : {}

/** An application that listens by itself reads PORT, and perhaps HOST: so `--bind 0.0.0.0:8080` means what it says for it too. */
function portFromBind(config: Config, file: string): Record<string, string> {
  const [only, ...others] = config.settings.bind.map((text) => tryAddress(text))
  if (!isExplicit(config, 'bind') || others.length > 0 || only?.type !== 'tcp') return {}
  const hostname = isNextServer(file) ? { HOSTNAME: only.host } : {}
  return { PORT: String(only.port), HOST: only.host, ...hostname }
}

/** The standalone server of Next.js reads HOSTNAME, which to all others is the machine's name. */
const isNextServer = (file: string): boolean =>
  basename(file) === 'server.js' && fs.existsSync(join(dirname(file), '.next', 'BUILD_ID'))

const GENERIC = new Set([
  'app',
  'index',
  'server',
  'main',
  'start',
  'src',
  'dist',
  'build',
  'bin',
  'lib',
])

/** What to call the application in titles and logs: `hello` for hello.js, and for hello/dist/app.js too. */
export function appName(file: string): string {
  let path = file.slice(0, file.length - extname(file).length)
  while (GENERIC.has(basename(path)) && dirname(path) !== path) path = dirname(path)
  return basename(path) || 'app'
}
