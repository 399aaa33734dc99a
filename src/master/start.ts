// Puts a master together and runs it: working directory, pidfile, log, sockets, signals. Runs in the master.

import { formatUrl } from '../address.ts'
import { fs } from '../builtin.ts'
import { workerBounds, type Bounds } from '../cgroup.ts'
import type { Config, StartRequest } from '../config.ts'
import { deferred } from '../deferred.ts'
import { UserError } from '../errors.ts'
import type { HookServer } from '../hooks.ts'
import { Log, isReadable } from '../log.ts'
import { packageJson } from '../paths.ts'
import { prepareAccessLog } from './access-log-file.ts'
import { specsOf } from './group-specs.ts'
import { Groups } from './groups.ts'
import { CertificateWatch, loadCredentials } from './credentials.ts'
import type { Heir } from './heir.ts'
import { checkIdentity } from './identity.ts'
import type { MasterOptions, ReadyFacts } from './inputs.ts'
import { MasterHooks } from './master-hooks.ts'
import { Master } from './master.ts'
import { Operations, operationsParts, type OperationsParts } from './operations.ts'
import { statusCommand } from './node-choice.ts'
import { Pidfile } from './pidfile.ts'
import { Passage } from './passage.ts'
import { keepPreloaded } from './preloaded.ts'
import { running, type Ran } from './running.ts'
import { listenToSignals, type Order } from './signals.ts'
import { openSockets } from './admin-socket.ts'
import { rightsOf } from './socket-rights.ts'
import { canOwnSockets, type Sockets } from './sockets.ts'
import { mendRoundRobin } from './stock-cluster.ts'
import { Succession } from './succession.ts'
import { appName, type Birth } from './worker-init.ts'

/** The end of the server waits for its last hook so long. */
const ON_EXIT_SECONDS = 10

/**
 * For the CLI: runs until stopped and answers the exit status. Errors are in the log. `heir`: what an old master left, which
 * this one is to replace. `isSucceeded`: a new one has replaced this one.
 */
export async function runMaster(
  request: StartRequest,
  heir?: Heir,
): Promise<{ exit: number; isSucceeded: boolean }> {
  const running = await startMaster(request, 'ours', heir)
  return { exit: await running.finished, isSucceeded: running.succession.isSucceeded }
}

/**
 * Starts the server. Rejects with a UserError if it can't even try: pidfile in use, no right to the user, log not writable.
 * `owner`: whose process it is, the command's or that of a program that uses the library.
 */
export async function startMaster(
  request: StartRequest,
  owner: 'ours' | 'callers' = 'callers',
  heir?: Heir,
): Promise<Ran> {
  const { config } = request
  const name = config.settings.name || appName(request.file)
  const log = new Log()
  const operations = new Operations(log)
  log.event('starting', { version: version(), node: process.version })
  process.title = `supervisor: master [${name}]`
  enterDirectory(config)
  checkIdentity(config.settings.user, config.settings.group)
  const rights = rightsOf(config.settings)
  log.check(config.settings)
  prepareAccessLog(config.settings, request.directory)
  if (config.settings.certfile) await loadCredentials(config, request.directory)
  if (preloads(config)) await preload(request, config)
  const pidfile = config.settings.pidfile ? new Pidfile(config.settings.pidfile) : undefined
  if (heir) pidfile?.check(heir.bequest.pid)
  else pidfile?.write()
  surviveClosedStderr()
  for (const text of config.notes) log.event('note', { text })
  if (!config.settings.requestContext) log.event('noRequestContext', {})
  const sockets = chooseSockets(config, log)
  if (sockets === 'cluster' && config.settings.standby > 0) log.event('noStandby', {})
  if (sockets === 'cluster' && hasSocketRights(config)) log.event('noSocketRights', {})
  const birth = { request, name, sockets } satisfies Omit<Birth, 'config'>
  const own = openSockets(request, heir, pidfile)
  const groups = new Groups(config, log, (now) => specsOf(now, request.directory))
  own.rights = rights
  return run(request, birth, {
    server: { name, pid: process.pid },
    log,
    operations,
    hooks: new MasterHooks(log, owner),
    pidfile,
    sockets: own,
    groups,
    passage: new Passage(),
    takes: sockets === 'owned' && config.settings.handover,
    heir,
    makeMaster: await masterFor(config, config.settings.chdir || request.directory),
  })
}

async function masterFor({ settings }: Config, directory: string): Promise<Parts['makeMaster']> {
  if (!settings.reload) return (options) => new Master(options)
  const { PatientMaster } = await import('./patient-master.ts')
  return (options) => new PatientMaster(options, directory)
}

/** Who changes code needs to see it fail, and to go on from there: with `reload`, that is told by a worker. Data it needs all the same. */
const preloads = ({ settings, preloadSource }: Config): boolean =>
  settings.preload && (!settings.reload || preloadSource !== undefined)

/** An application that does not load never gets near a worker. */
async function preload(
  request: StartRequest,
  config: Config,
  stopped?: AbortSignal,
): Promise<void> {
  const { tryApp } = await import('./check.ts')
  keepPreloaded(config, await tryApp({ ...request, config }, stopped))
}

interface Parts {
  readonly server: HookServer
  readonly log: Log
  readonly operations: Operations
  readonly hooks: MasterHooks
  readonly pidfile: Pidfile | undefined
  readonly sockets: Sockets
  readonly groups: Groups
  readonly passage: Passage
  /** Its workers can take idle connections. */
  readonly takes: boolean
  readonly heir: Heir | undefined
  readonly makeMaster: (options: MasterOptions) => Pick<Master, 'start' | 'post' | 'urls' | 'state'>
}

function run(request: StartRequest, birth: Omit<Birth, 'config'>, parts: Parts): Ran {
  const { log, heir } = parts
  const ready = deferred<void>()
  ready.promise.catch(() => undefined) // nobody need wait for it: the log and `finished` tell as well
  const finished = deferred<number>()
  const stopped = new AbortController()
  const master = parts.makeMaster({
    ...basics(request, birth, { ...parts, stopped: stopped.signal }),
    onReady: (facts) =>
      void takeCharge(request, parts, facts, forOperations).then(
        (isOurs) => isOurs && ready.resolve(),
      ),
    onEnd: (failure, killed) =>
      void succession.settled().then(async () => {
        ignoreSignals()
        ready.reject(failure ?? new UserError('APP_FAILED', 'stopped before it was ready'))
        const end = { failure, killed, upgraded: succession.isSucceeded }
        finished.resolve(await lastWords(request, parts, end))
      }),
  })
  const socketOwner = birth.sockets
  const succession = new Succession({ ...parts, request, socketOwner, master: () => master })
  /** `name`: of a signal; a command has been logged already. */
  const obey = (given: Order, by: string, name: string | undefined): void => {
    const order = succession.forLoop(given, by)
    if (order === undefined) return
    const post = (): void => master.post({ type: 'order', order, name })
    if (order !== 'stop' && order !== 'quick-stop') return void Promise.resolve(begun).then(post)
    post()
    heir?.stops()
    stopped.abort()
  }
  const forOperations = operationsParts(request, {
    ...parts,
    name: birth.name,
    version: version(),
    master,
    succession,
    obey,
  })
  new CertificateWatch(log, request.directory, () => master.state)
  const ignoreSignals = listenToSignals((order, name) => obey(order, name, name))
  heir?.onStop((mode) =>
    obey(mode === 'quick' ? 'quick-stop' : 'stop', 'the old master', 'the old master'),
  )
  log.openSoon(request.config.settings)
  heir?.alive()
  if (!heir) parts.operations.openSoon(forOperations)
  const begun = begin(master, request.config, { ...parts, stopped: stopped.signal })
  return running({ master, log, obey, ready, finished, succession })
}

/** All workers are ready. False: after all, an old master goes on in our place. */
async function takeCharge(
  request: StartRequest,
  { server, log, operations, hooks, pidfile, sockets, groups, passage, takes, heir }: Parts,
  facts: ReadyFacts,
  forOperations: OperationsParts,
): Promise<boolean> {
  log.open(request.config.settings)
  const crown = { pidfile, sockets, log, version: version(), passage: takes ? passage : undefined }
  if (heir && !(await heir.takeCharge(crown))) return false
  sayReady(log, request, facts)
  for (const { fd, name, address } of sockets.unused)
    log.event('socketUnused', { name, url: formatUrl(address ?? { type: 'fd', fd }) })
  hooks.run('whenReady', { ...server, ...facts })
  void groups.start(heir?.processes)
  void operations.open(forOperations, heir?.bequest.pid)
  return true
}

/** Everything is gone; answers the exit status. */
async function lastWords(
  { config }: StartRequest,
  { server, log, operations, hooks, pidfile, sockets, heir }: Parts,
  end: { failure: UserError | undefined; killed: number; upgraded: boolean },
): Promise<number> {
  const { failure, killed, upgraded } = end
  log.open(config.settings)
  pidfile?.remove()
  const exit = failure?.exit ?? (killed > 0 ? 1 : 0)
  if (failure && heir?.isWaiting) await heir.failed(failure)
  else if (failure) log.event('startFailed', { error: failure.message, exit })
  const facts = { ...server, exit, killed, error: failure?.message, upgraded }
  await hooks.settle('onExit', facts, ON_EXIT_SECONDS)
  await operations.close()
  sockets.closeOwn()
  await log.close()
  return exit
}

/** Starts the workers, after onStarting if there is that: then it answers when. `stopped` ends the wait for it. */
function begin(
  master: ReturnType<Parts['makeMaster']>,
  config: Config,
  { hooks, heir, server, groups, stopped }: Parts & { stopped: AbortSignal },
): Promise<void> | undefined {
  const workers = heir?.bequest.workers ?? boundsOf(config).min
  groups.onChange(() => master.post({ type: 'tick' }))
  const start = (): void => {
    heir?.alive()
    hooks.run('nworkersChanged', { from: undefined, to: workers })
    master.start()
  }
  hooks.use(config.hooks)
  if (!hooks.has('onStarting')) {
    start()
    return undefined
  }
  const facts = { ...server, version: version(), workers }
  return hooks.settle('onStarting', facts, config.settings.bootTimeout, stopped).then(start)
}

const boundsOf = ({ settings }: Config): Bounds => workerBounds(settings.workers)

function basics(
  request: StartRequest,
  birth: Omit<Birth, 'config'>,
  { log, hooks, sockets, groups, passage, heir, stopped }: Parts & { stopped: AbortSignal },
): Omit<MasterOptions, 'onReady' | 'onEnd'> {
  let { requestContext, standby } = request.config.settings
  return {
    birth,
    config: request.config,
    log,
    hooks,
    sockets,
    groups,
    passage,
    bounds: boundsOf,
    workers: heir?.bequest.workers,
    standby: (config) => (birth.sockets === 'owned' ? config.settings.standby : 0),
    loadAgain: async () => {
      const next = await request.loadAgain()
      log.check(next.settings)
      prepareAccessLog(next.settings, request.directory)
      rightsOf(next.settings)
      await loadCredentials(next, request.directory)
      if (preloads(next)) await preload(request, next, stopped)
      return next
    },
    onConfig: (config) => {
      const { settings, notes } = config
      if (requestContext && !settings.requestContext) log.event('noRequestContext', {})
      requestContext = settings.requestContext
      if (standby === 0 && settings.standby > 0 && birth.sockets === 'cluster')
        log.event('noStandby', {})
      standby = settings.standby
      hooks.use(config.hooks)
      sockets.rights = rightsOf(settings)
      if (settings.umask !== undefined) process.umask(settings.umask)
      log.change(settings)
      for (const text of notes) log.event('note', { text })
    },
  }
}

function sayReady(log: Log, { config, command, directory }: StartRequest, facts: ReadyFacts): void {
  log.event('serverReady', facts)
  const [url] = facts.urls
  if (!url || !isReadable(config.settings)) return
  const status = config.settings.controlSocket !== 'off' && statusCommand(command, directory)
  log.event('tryThis', { url: reachable(url), ...(status && { status }) })
}

/** Nobody can open an address that means all of them. */
const reachable = (url: string): string =>
  url.replace(/^(https?:\/\/)(\[::\]|0\.0\.0\.0)(?=:)/, '$1localhost')

const hasSocketRights = ({ settings }: Config): boolean =>
  settings.socketMode !== undefined || settings.socketGroup !== ''

/** EPIPE, EIO: whoever read our stderr left, or the terminal is gone; serving goes on. */
const surviveClosedStderr = (): void => void process.stderr.on('error', () => undefined)

function enterDirectory({ settings }: Config): void {
  if (settings.umask !== undefined) process.umask(settings.umask)
  if (!settings.chdir) return
  try {
    process.chdir(settings.chdir)
  } catch (error) {
    throw new UserError(
      'NO_PERMISSION',
      `cannot enter ${settings.chdir} (--chdir): ${(error as Error).message}`,
    )
  }
}

function chooseSockets({ settings }: Config, log: Log): 'owned' | 'cluster' {
  if (settings.sockets !== 'cluster' && canOwnSockets()) return 'owned'
  if (settings.sockets !== 'cluster')
    log.event('warning', {
      text: `Node ${process.version} does not let the master own the listening sockets; node:cluster's round robin takes over, and the port is closed while no worker lives`,
    })
  mendRoundRobin()
  return 'cluster'
}

export const version = (): string =>
  (
    JSON.parse(fs.readFileSync(packageJson, 'utf8')) as {
      version: string
    }
  ).version
