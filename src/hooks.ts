// The hooks of a settings file: their names, where each runs, what each is given, and how they are found among the
// settings. A leaf: used by the settings, the master and the workers.
import { badSetting, UserError } from './errors.ts'
import type { RequestFacts } from './protocol.ts'

/** Which process calls each. Functions can't be sent to a worker: it runs the settings file itself. */
export const hookPlaces = {
  onStarting: 'master',
  onReload: 'master',
  whenReady: 'master',
  preFork: 'master',
  workerAbort: 'master',
  childExit: 'master',
  nworkersChanged: 'master',
  onAlert: 'master',
  onExit: 'master',
  postFork: 'worker',
  postWorkerInit: 'worker',
  preRequest: 'worker',
  postRequest: 'worker',
  timeoutAnswer: 'worker',
  workerInt: 'worker',
  workerExit: 'worker',
} as const satisfies Record<string, 'master' | 'worker'>

export type HookName = keyof typeof hookPlaces

/** Of the master. */
export interface HookServer {
  /** As in the process titles. */
  readonly name: string
  readonly pid: number
}

export interface HookWorker {
  readonly pid: number
  /** 0 to the number of workers - 1; a worker's successor has the same. More for a standby, until it is promoted. */
  readonly slot: number
}

export interface HookStart extends HookServer {
  readonly version: string
  /** How many workers there are to be. */
  readonly workers: number
}

export interface HookReload {
  /** 1 for the workers of the start, one more for each reload. */
  readonly generation: number
  /** How many workers there are to be. */
  readonly workers: number
}

export interface HookReady extends HookServer {
  /** Where it listens: `http://127.0.0.1:8000`, `unix:/run/app.sock`. */
  readonly urls: readonly string[]
  /** The pids of the workers. */
  readonly workers: readonly number[]
  /** Since the start. */
  readonly seconds: number
}

export interface HookFork {
  readonly slot: number
  readonly generation: number
}

export interface HookAbort extends HookWorker {
  /** A request was late, the loop stood still for `stallTimeout`, or nothing was heard from the whole process. */
  readonly reason: 'timeout' | 'stall' | 'silent'
  /** For how long the event loop had stood still, or nothing was heard. */
  readonly seconds: number
  /** The request that blocked; undefined if it was none, or nobody knows. */
  readonly culprit: RequestFacts | undefined
  /** False: the culprit is merely the request that was late. */
  readonly certain: boolean
  /** Of the blocked code; null if there is none to be had. */
  readonly stack: readonly string[] | null
  /** How many other requests were lost. */
  readonly neighbours: number
  /** Some of them, at most 20. */
  readonly listed: readonly RequestFacts[]
}

export interface HookChildExit extends HookWorker {
  readonly generation: number
  /** Seconds. */
  readonly uptime: number
  readonly code: number | null
  readonly signal: string | null
  /** Why it was told to go (`stop`, `reload`, `scale`, `max-requests` ...), else `timeout`, `boot-failed` or `crash`. */
  readonly reason: string
}

export interface HookScale {
  /** Undefined the first time. */
  readonly from: number | undefined
  readonly to: number
}

/** What `alertWebhook` is sent. */
export interface HookAlert {
  readonly event: 'alert'
  /** The name of the application. */
  readonly app: string
  readonly timeouts: number
  readonly seconds: number
  /** ISO 8601. */
  readonly time: string
}

export interface HookStop extends HookServer {
  /** The exit status to come. */
  readonly exit: number
  /** Workers that had to be killed. */
  readonly killed: number
  /** Why the start failed, if it did. */
  readonly error: string | undefined
  /** A new master serves on. */
  readonly upgraded: boolean
}

export interface HookRequest {
  readonly method: string
  /** Path and query, as the client sent them. */
  readonly url: string
  /** The client's X-Request-Id, or one made for it. */
  readonly id: string
  /** The pattern of `routes` that it matched. */
  readonly route: string | undefined
}

export interface HookResponse extends HookRequest {
  /** 499 if the client left before the response began. */
  readonly status: number
  readonly seconds: number
  /** `timeout`: the deadline passed; `aborted`: the client left. */
  readonly outcome: 'finished' | 'timeout' | 'aborted'
}

export interface HookLateRequest extends HookRequest {
  /** Seconds it was given. */
  readonly timeout: number
  /** The Accept header, or ''. */
  readonly accept: string
}

/** The body of a 504. */
export interface TimeoutAnswer {
  readonly body: string
  /** Default: `text/plain; charset=utf-8`. */
  readonly contentType?: string | undefined
  /** Not those that frame a message, such as content-length. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export interface HookLeave extends HookWorker {
  /** Seconds. */
  readonly uptime: number
  /** Its exit status if it ends by itself; undefined after a drain. */
  readonly code: number | undefined
}

/** Hooks that the master calls. None is waited for unless it says so, and what they throw is logged and nothing else. */
export interface MasterHookFunctions {
  /** Before the first worker is started, which waits for it, at most for `bootTimeout`. */
  readonly onStarting?: ((server: HookStart) => unknown) | undefined
  /** A reload begins; the new file's function is called. */
  readonly onReload?: ((reload: HookReload) => unknown) | undefined
  /** All workers are ready for the first time. */
  readonly whenReady?: ((server: HookReady) => unknown) | undefined
  /** A worker is about to be started. */
  readonly preFork?: ((worker: HookFork) => unknown) | undefined
  /** A worker was killed because its event loop stood still: it can run nothing itself any more. */
  readonly workerAbort?: ((worker: HookAbort) => unknown) | undefined
  /** A worker is gone, for whatever reason. */
  readonly childExit?: ((worker: HookChildExit) => unknown) | undefined
  /** There are to be more workers, or fewer; also once at the start. */
  readonly nworkersChanged?: ((change: HookScale) => unknown) | undefined
  /** There were many timeouts in a short time (`alertTimeouts`). */
  readonly onAlert?: ((alert: HookAlert) => unknown) | undefined
  /** All workers are gone; the end waits for it, at most 10 s. */
  readonly onExit?: ((server: HookStop) => unknown) | undefined
}

/** Hooks that the workers call, each on its own: they share no variables with the master or with each other. */
export interface WorkerHookFunctions {
  /** In a new process, before the application is loaded, which waits for it, at most 10 s. */
  readonly postFork?: ((worker: HookWorker) => unknown) | undefined
  /** The application is loaded and listens. */
  readonly postWorkerInit?: ((worker: HookWorker) => unknown) | undefined
  /** A request's headers are here. Not waited for. */
  readonly preRequest?: ((request: HookRequest) => unknown) | undefined
  /** Its response is over, or its client left. */
  readonly postRequest?: ((response: HookResponse) => unknown) | undefined
  /** The answer to a late request, instead of ours; undefined leaves it to us. It must answer at once, not by a promise. */
  readonly timeoutAnswer?: ((request: HookLateRequest) => TimeoutAnswer | undefined) | undefined
  /** It is told to leave at once: INT or QUIT, at the master or at the worker, or the master is dead. */
  readonly workerInt?: ((worker: HookWorker) => unknown) | undefined
  /** Its last request is answered; the end waits for it, at most 5 s. If it ends by itself, what is synchronous is done. */
  readonly workerExit?: ((worker: HookLeave) => unknown) | undefined
}

export interface Hooks extends MasterHookFunctions, WorkerHookFunctions {}

/** What the hook `Name` is given. */
export type HookFacts<Name extends HookName> = Parameters<NonNullable<Hooks[Name]>>[0]

export const hookNames = Object.keys(hookPlaces) as HookName[]

export const isHookName = (name: string): name is HookName => Object.hasOwn(hookPlaces, name)

export interface FoundHooks {
  readonly hooks: Hooks
  /** For each hook that is set: `supervisor.config.ts` or `options`. */
  readonly hookSources: Readonly<Partial<Record<HookName, string>>>
}

/** `places`: strongest first. What is wrong is added to `problems`. */
export const findHooks = (
  places: readonly {
    readonly values: Readonly<Record<string, unknown>>
    readonly source: string
  }[],
  problems: UserError[],
): FoundHooks => {
  const hooks: Partial<Record<HookName, unknown>> = {}
  const hookSources: Partial<Record<HookName, string>> = {}
  for (const { values, source } of places.toReversed())
    for (const name of hookNames) {
      const value = values[name]
      if (value === undefined) continue
      const problem = whyWrong(name, value, source)
      if (problem) problems.push(problem)
      hooks[name] = value
      hookSources[name] = source
    }
  return { hooks: Object.freeze(hooks) as Hooks, hookSources: Object.freeze(hookSources) }
}

/** Where options given in code come from. */
export const OPTIONS = 'options'

const whyWrong = (name: HookName, value: unknown, source: string): UserError | undefined => {
  const where = `${source}: ${name}`
  if (typeof value !== 'function') return badSetting(where, value, 'a function')
  if (source !== OPTIONS || hookPlaces[name] === 'master') return undefined
  return new UserError(
    'BAD_SETTING',
    `${where} runs in the workers, and a function can't be sent to them; put it into a settings file, such as supervisor.config.js`,
  )
}

/** Frozen to its depth: a hook is given facts, not a handle on ours. */
export const frozen = <T>(facts: T): T => {
  if (typeof facts === 'object' && facts !== null && !Object.isFrozen(facts)) {
    Object.freeze(facts)
    for (const value of Object.values(facts)) frozen(value)
  }
  return facts
}
