// A worker as the master sees it: facts, state, the last words on its stderr. The only file that starts or
// kills workers.
// Runs in the master.

import cluster, { type Worker } from 'node:cluster'
import { ChildProcess } from 'node:child_process'
import { createRequire } from 'node:module'
import { PassThrough, type Duplex } from 'node:stream'
import { pathToFileURL } from 'node:url'
import type { ErrorCode, UserError } from '../errors.ts'
import { importsDone, loadHooks, workerEntry } from '../paths.ts'
import type { Facts } from '../events.ts'
import { PRELOAD_PIPE } from '../preload-pipe.ts'
import { settingNames, settingRow, variablesOf } from '../settings.ts'
import {
  INIT_VARIABLE,
  SLOT_VARIABLE,
  WATCHDOG_PIPE,
  isFromHandover,
  open,
  seal,
  type Credentials,
  type Digest,
  type LastCount,
  type FromHandover,
  type FromMetrics,
  type FromModules,
  type LoadedFile,
  type ToMaster,
  type ToWorker,
  type WorkerInit,
} from '../protocol.ts'
import { killGroup } from '../send-signal.ts'
import { step, type Action, type Event, type State } from './lifecycle.ts'
import { afterExit, LastWords } from './last-words.ts'
import { give } from './preloaded.ts'
import { WatchdogPipe } from './watchdog-pipe.ts'

/** Why a worker was told to leave, in the words of the log. */
export type LeaveReason =
  | 'stop'
  | 'upgrade'
  | 'reload'
  | 'scale'
  | 'silent'
  | 'signal'
  | 'uncaught'
  | 'interrupted'
  | 'boot-failed'
  | RecycleReason
/** Nothing is wrong with it yet, so its requests get all the time that their own deadlines give them. */
export type RecycleReason = Facts<'recycling'>['reason']

export interface SpawnOptions {
  readonly init: WorkerInit
  /** Read anew for every worker, so that a symbolic link may point elsewhere after a deploy. */
  readonly cwd: string
  readonly appArgs: readonly string[]
  /** Flags for the worker's node, ours excluded. */
  readonly nodeArgs: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly generation: number
  /** What preload() returned, which the worker reads at its birth. */
  readonly preloaded?: Uint8Array
  readonly credentials?: Credentials
  /** Its stderr waits until it is ready or failed, so that N workers failing alike don't speak at once. */
  readonly quiet: boolean
}

export interface WorkerEvents {
  message(worker: WorkerHandle, message: ToMaster): void
  handover(worker: WorkerHandle, message: FromHandover, handle: unknown): void
  exit(worker: WorkerHandle, code: number | null, signal: NodeJS.Signals | null): void
  digest(worker: WorkerHandle, said: Digest | LastCount | FromMetrics): void
  modules?(files: readonly LoadedFile[]): void
}

const STILL_BOOTING_MS = 5_000

export class WorkerHandle {
  readonly id: number
  readonly pid: number
  /** Another one from its promotion on. */
  slot: number
  readonly generation: number
  /** The patterns of `routes` that it knows. */
  readonly routes: readonly string[]
  readonly bornAt = performance.now()
  /** When it was promoted, or started if it never was a standby; ms of performance.now(). */
  joinedAt = this.bornAt
  readonly lastWords: LastWords
  readonly watchdog: WatchdogPipe
  /** If it is to read, or to write, what preload() returned. */
  readonly preloadPipe: Duplex | undefined
  /** When it is killed if it is still there; ms of performance.now(). */
  deadline = Infinity
  /** While it drains: when gracefulTimeout ends. Its `deadline` is later if its requests may take longer. */
  gracefulUntil = Infinity
  /** It asked to be replaced, or was told to go. */
  reason: LeaveReason | undefined
  /** What it said of its own failure to boot. */
  failure: { code: ErrorCode; message: string } | undefined
  /** Why an address it asked for could not be bound, if so. */
  bindError: UserError | undefined
  /** When a boot this silent is worth a line; ms of performance.now(). */
  warnAt = this.bornAt + STILL_BOOTING_MS
  /** When its watchdog was first found silent for too long; ms of performance.now(). */
  silentSince: number | undefined
  /** As it said last, and what it was given since. */
  connections = 0
  /** Why it is not ready although it listens, as it says. */
  waitsFor: string | undefined
  /** Why we killed it, if we did. */
  killedFor: string | undefined
  #state: State
  readonly #worker: Worker

  constructor(options: SpawnOptions, events: WorkerEvents) {
    this.slot = options.init.slot
    this.#state = options.init.mode === 'standby' ? 'warming' : 'booting'
    this.generation = options.generation
    this.routes = Object.keys(options.init.settings.routes)
    this.#worker = fork(options)
    const child = this.#worker.process
    this.id = this.#worker.id
    this.pid = child.pid ?? 0
    this.lastWords = new LastWords(options.quiet)
    // EMFILE, ENFILE: then there are no pipes either, whatever the types say
    const pipes = ((child.stdio as unknown) ?? []) as (Duplex | undefined)[]
    this.watchdog = new WatchdogPipe(pipes[WATCHDOG_PIPE] ?? new PassThrough().destroy(), (said) =>
      said.type === 'interrupted' ? events.message(this, said) : events.digest(this, said),
    )
    this.preloadPipe = pipes[PRELOAD_PIPE]
    if (this.preloadPipe && options.preloaded) give(this.preloadPipe, options.preloaded)
    if (options.credentials) this.tell({ type: 'credentials', ...options.credentials })
    child.stderr?.on('data', (chunk: Buffer) => this.lastWords.hear(chunk))
    child.on('internalMessage', (raw: unknown, handle: unknown) => {
      const message = open<ToMaster | FromHandover | FromModules | FromMetrics>(raw)
      if (!message) return
      if (message.type === 'modules') return events.modules?.(message.files)
      if (message.type === 'metrics') return events.digest(this, message)
      if (isFromHandover(message)) events.handover(this, message, handle)
      else events.message(this, message)
    })
    // EPIPE, ERR_IPC_CHANNEL_CLOSED: it died while we wrote, and its exit event tells the rest
    child.on('error', (error) => this.pid === 0 && this.#neverLived(error, events))
    this.#worker.on('error', () => undefined)
    child.once('exit', (code, signal) => afterExit(child, () => events.exit(this, code, signal)))
  }

  get view(): { id: number; slot: number; generation: number; state: State } {
    return { id: this.id, slot: this.slot, generation: this.generation, state: this.#state }
  }

  /** For log events: its pid and slot. */
  get facts(): { worker: number; slot: number } {
    return { worker: this.pid, slot: this.slot }
  }

  get state(): State {
    return this.#state
  }

  /** Seconds, from its promotion on if it was a standby. */
  get uptime(): number {
    return (performance.now() - this.joinedAt) / 1000
  }

  /** What it says of its boot. */
  note(said: Extract<ToMaster, { type: 'failed' | 'waiting' }>): void {
    if (said.type === 'failed') this.failure = said
    else this.waitsFor = said.text
  }

  /** Applies the event to the table; the caller does what the returned action says. */
  advance(event: Event): Action {
    const [state, action] = step(this.#state, event)
    this.#state = state
    return action
  }

  tell(message: ToWorker, handle?: unknown): void {
    if (!this.#worker.isConnected()) return
    // an error is EPIPE or ERR_IPC_CHANNEL_CLOSED: it died meanwhile, which its exit event tells
    this.#worker.process.send!(seal(message), handle as never, { keepOpen: true }, () => undefined)
  }

  /** SIGKILL for the worker and everything it started. */
  kill(): void {
    killGroup(this.pid)
  }

  /** EAGAIN, EMFILE, ENOMEM: the system gave us no process, and there will be no exit event. */
  #neverLived(error: Error, events: WorkerEvents): void {
    this.failure ??= {
      code: 'NO_PERMISSION',
      message: `cannot start a worker process: ${error.message}`,
    }
    events.exit(this, null, null)
  }
}

function fork({ init, preloaded, cwd, appArgs, nodeArgs, env }: SpawnOptions): Worker {
  cluster.setupPrimary({
    exec: init.file,
    cwd,
    args: [...appArgs],
    execArgv: [
      ...preloads([...nodeArgs, ...typescriptArgs(init.file), ...hookArgs(init)]),
      '--require',
      workerEntry,
    ],
    stdio: [
      ...(['ignore', 'inherit', 'pipe', 'ipc', 'pipe'] as const),
      ...(preloaded || init.hooks?.preload ? (['pipe'] as const) : []),
    ],
    silent: false,
  })
  return inOwnGroup(() =>
    cluster.fork({
      ...secretless,
      ...env,
      [SLOT_VARIABLE]: String(init.slot),
      [INIT_VARIABLE]: JSON.stringify(init),
    }),
  )
}

/** What systemd tells the process it started: a worker that took it for its own would speak for the service. */
const SYSTEMDS = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID', 'LISTEN_PID', 'LISTEN_FDS']
/** What is undefined here is not inherited: the application, and whoever gets it to show its environment, has no use for it. */
export const secretless = Object.fromEntries(
  [
    ...settingNames.filter((name) => settingRow(name).secret).flatMap(variablesOf),
    ...SYSTEMDS,
    'LISTEN_FDNAMES',
  ].map((variable) => [variable, undefined]),
)

/**
 * cluster.fork() has no `detached`, so it is added on the way: a worker leads a process group of its own. Then a terminal's
 * Ctrl-C reaches the master alone, and what a worker started can be killed with it. Should node stop calling
 * ChildProcess.prototype.spawn, workers stay in our group and kill() reaches the worker only.
 * ENOMEM and others, for which node throws, become the 'error' event that it has for EAGAIN: a slot that waits, not the master's end.
 */
function inOwnGroup<T>(forkIt: () => T): T {
  const proto = ChildProcess.prototype as unknown as {
    spawn: (options: SpawnRequest) => unknown
  }
  const spawn = proto.spawn
  proto.spawn = function (this: ChildProcess, options) {
    const request: SpawnRequest = { ...options, detached: true }
    try {
      const status = spawn.call(this, request)
      if (!this.stdio) closePipes(request)
      return status
    } catch (error) {
      const { errno } = error as NodeJS.ErrnoException
      if (errno === undefined) throw error
      process.nextTick(() => this.emit('error', error))
      return errno
    }
  }
  try {
    return forkIt()
  } finally {
    proto.spawn = spawn
  }
}

/** Node writes the pipes that it has made into `stdio`. */
interface SpawnRequest {
  detached?: boolean
  stdio?: readonly unknown[]
}

/** After EMFILE and ENFILE node leaves its ends of them open, so that each new try would cost three descriptors more. */
function closePipes({ stdio = [] }: SpawnRequest): void {
  for (const one of stdio as { type?: string; handle?: { close?: () => void } }[])
    if (one.type === 'pipe') one.handle?.close?.()
}

/** Node runs the main module only after its last --import: imports-done.js is that last one and tells the app loader. */
function preloads(args: string[]): string[] {
  const hasImports = `${args.join(' ')} ${process.env['NODE_OPTIONS'] ?? ''}`.includes('--import')
  return hasImports ? [...args, '--import', importsDone.href] : args
}

/** Before the application and after its instrumentation; only if there is something to load. */
const hookArgs = ({ hooks }: WorkerInit): string[] => (hooks ? ['--import', loadHooks.href] : [])

/** tsx, for a TypeScript file on a Node that does not strip types itself. */
export function typescriptArgs(file: string): string[] {
  const stripsTypes = Boolean((process.features as { typescript?: unknown }).typescript)
  return /\.[mc]?ts$/.test(file) && !stripsTypes
    ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href]
    : []
}
