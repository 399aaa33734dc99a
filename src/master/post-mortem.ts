// Says why a worker ended, and never guesses: an OOM kill is told from others by the cgroup's own counter. Runs in the master.

import { oomKills } from '../cgroup.ts'
import { UserError } from '../errors.ts'
import type { Log } from '../log.ts'
import { EXIT_APP_NOT_FOUND, payload } from '../protocol.ts'
import type { Facts } from '../events.ts'
import type { Alerts } from './alerts.ts'
import { isBooting, type State } from './lifecycle.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** `left`: as it was told, or for what it did to a request; `boot-failed` is for the loop to tell. */
export type Fate = 'left' | 'crashed' | 'boot-failed'

export class PostMortem {
  #oomKills = oomKills() ?? 0
  readonly #log: Log
  readonly #alerts: Alerts

  constructor(log: Log, alerts: Alerts) {
    this.#log = log
    this.#alerts = alerts
  }

  /** Tells the log of a worker that is gone and was in `state`. `now`: ms of performance.now(). */
  tell(
    worker: WorkerHandle,
    state: State,
    { code, signal }: { code: number | null; signal: NodeJS.Signals | null },
    now: number,
  ): Fate {
    const { facts, uptime, watchdog } = worker
    const { postMortem } = watchdog
    if (postMortem) {
      this.#alerts.count(now)
      this.#log.event('workerTimeout', { ...facts, uptime, ...payload(postMortem) })
      if (state === 'ready') return 'left' // killed for what it did, not failing to start: its successor need not wait
      if (state === 'standby') return 'crashed' // no request did that, so the next one may do the same
    }
    if (isLeaving(state) || (state === 'killed' && worker.reason)) {
      const reason = worker.killedFor ? 'killed' : worker.reason!
      this.#log.event('workerExited', { ...facts, uptime, reason })
      return 'left'
    }
    if (isBooting(state) || state === 'killed') return 'boot-failed'
    this.#log.event('workerCrashed', this.#of(worker, code, signal))
    return 'crashed'
  }

  /** Of a worker that nobody told to end. */
  #of(
    worker: WorkerHandle,
    code: number | null,
    signal: NodeJS.Signals | null,
  ): Facts<'workerCrashed'> {
    const { facts, uptime, lastWords } = worker
    return { ...facts, code, signal, uptime, cause: this.#causeOf(signal), stderr: lastWords.lines }
  }

  /** As far as it is known; '' if it is not. */
  #causeOf(signal: NodeJS.Signals | null): string {
    if (signal !== 'SIGKILL') return ''
    const kills = oomKills()
    if (kills === undefined)
      return 'not by us; this system has no cgroup counter that would tell whether memory ran out'
    const outOfMemory = kills > this.#oomKills
    this.#oomKills = kills
    return outOfMemory
      ? "out of memory: the cgroup's oom_kill counter rose; give the container more memory or start fewer workers"
      : "not by us, and not for memory (the cgroup's oom_kill counter did not rise): somebody sent it"
  }
}

const isLeaving = (state: State): boolean => state === 'draining' || state === 'dropped'

/** The error that ends a start or a reload: the worker's own words if it had any, else how it ended. */
export function bootError(
  worker: WorkerHandle,
  code: number | null,
  signal: string | null,
): UserError {
  if (worker.bindError) return worker.bindError
  if (worker.failure) return new UserError(worker.failure.code, worker.failure.message)
  if (worker.killedFor)
    return new UserError('APP_FAILED', `the application did not boot: ${worker.killedFor}`)
  const own = ownError(worker.lastWords.lines)
  const how = ending(code, signal)
  return code === EXIT_APP_NOT_FOUND
    ? new UserError('APP_FAILED', `the application ${how} while it booted (its own exit code)`)
    : new UserError(
        'APP_FAILED',
        `the application failed to boot: it ${how} before it was ready${own}`,
      )
}

/** `exited with code 1: TypeError: x is not a function` */
export const howItEnded = (
  { lastWords }: WorkerHandle,
  code: number | null,
  signal: string | null,
): string => `${ending(code, signal)}${ownError(lastWords.lines)}`

const ending = (code: number | null, signal: string | null): string =>
  signal ? `was ended by ${signal}` : `exited with code ${code}`

/** `: TypeError: x is not a function`, as node prints it when it ends of that. */
function ownError(lines: readonly string[]): string {
  const line = lines.find((one) => /^\w*(Error|Exception)\b( \[\w+\])?:/.test(one))
  return line ? `: ${line}` : ''
}
