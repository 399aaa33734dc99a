// What runs jobs, by their isolation: threads, children, or the job process itself. Made when the first job needs it. Runs in a job
// process.
import type { Isolation } from '../jobs-setting.ts'
import type { JobsEnvironment } from './environment.ts'
import {
  describe,
  execute,
  type JobTable,
  type Outcome,
  type Runner,
  type Task,
} from './execute.ts'

/** A job that does not end by itself goes on: the process must follow. */
class Inline implements Runner {
  readonly #entry: string

  constructor(entry: string) {
    this.#entry = entry
  }

  describe(): Promise<JobTable> {
    return describe(this.#entry)
  }

  run(task: Task, _memory: number, signal: AbortSignal): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('it did not end at its signal')))
      execute(this.#entry, task).then(resolve, reject)
    })
  }
}

export class Runners {
  readonly #environment: JobsEnvironment
  readonly #made = new Map<Isolation, Promise<Runner>>()

  constructor(environment: JobsEnvironment) {
    this.#environment = environment
  }

  /**
   * `own`: what a job's definition says, if it does.
   * @throws UserError NO_JOBS if a package is missing.
   */
  of(own?: Isolation): Promise<Runner> {
    const isolation = own ?? this.#environment.isolation
    const runner = this.#made.get(isolation) ?? make(isolation, this.#environment)
    this.#made.set(isolation, runner)
    return runner
  }
}

async function make(isolation: Isolation, environment: JobsEnvironment): Promise<Runner> {
  switch (isolation) {
    case 'thread':
      return await (await import('./threads.ts')).Threads.create(environment)
    case 'process':
      return new (await import('./children.ts')).Children(environment.entry)
    case 'inline':
      return new Inline(environment.entry)
  }
}
