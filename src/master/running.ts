// A server that runs, as a program that started it sees it. Runs in the master.

import type { Deferred } from '../deferred.ts'
import { UserError } from '../errors.ts'
import type { Answers, Question } from '../inspection.ts'
import type { Log } from '../log.ts'
import type { Master } from './master.ts'
import type { Order } from './signals.ts'
import type { Succession } from './succession.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** A server that runs. */
export interface Running {
  /** Of the workers that serve, or will when they have booted. */
  pids(): number[]
  /** Where it listens: `http://127.0.0.1:8000`, `unix:/run/app.sock`. */
  urls(): string[]
  reload(): void
  /** The files of its logs were moved away: everybody opens their own anew, under the same names. */
  reopen(): void
  /**
   * Looks into the worker with this pid, also when its event loop is blocked: its `stack` (within a second), a CPU `profile`, or
   * its `heap`, for which it stands still. Rejects with a UserError: BAD_COMMAND, NO_INSPECTION.
   */
  inspect<Q extends Question>(pid: number, question: Q): Promise<Answers[Q['type']]>
  /** Graceful: requests in flight finish. Resolves like `finished`. */
  stop(): Promise<number>
  /** All workers are ready; rejects with a UserError when they can't be. */
  readonly ready: Promise<void>
  /** The exit status, when everything is gone: 0 clean, 1 something had to be killed, 3 or 4 the application's fault. */
  readonly finished: Promise<number>
}

/** Of the command, whose process can be replaced. */
export interface Ran extends Running {
  readonly succession: Succession
}

export function running({
  master,
  log,
  obey,
  ready,
  finished,
  succession,
}: {
  master: Pick<Master, 'state' | 'urls'>
  log: Log
  obey: (order: Order, by: string, name: string) => void
  ready: Deferred<void>
  finished: Deferred<number>
  succession: Succession
}): Ran {
  return {
    pids: () => master.state.crew.serving.map((w) => w.pid),
    urls: () => master.urls,
    reload: () => obey('reload', 'reload()', 'reload()'),
    reopen: () => obey('reopen', 'reopen()', 'reopen()'),
    inspect: inspectAmong(() => master.state.crew.all, log),
    stop: () => {
      obey('stop', 'stop()', 'stop()')
      return finished.promise
    },
    ready: ready.promise,
    finished: finished.promise,
    succession,
  }
}

/** Imported only when it is asked for. */
const inspectAmong =
  (workers: () => WorkerHandle[], log: Log): Running['inspect'] =>
  async (pid, question) => {
    const { Inspection } = await import('./inspection.ts')
    const worker = workers().find((one) => one.pid === pid)
    if (!worker) throw new UserError('BAD_COMMAND', `${pid} is not the pid of a worker`)
    return new Inspection(log).ask(worker, question)
  }
