// The threads of a job process: a pool for each memory limit that its jobs have. Runs in a job process.
import type { MessagePort } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'
import type { Piscina } from 'piscina'
import { jobsThread } from '../paths.ts'
import type { JobsEnvironment } from './environment.ts'
import { loadPiscina } from './packages.ts'
import type { JobTable, Outcome, Task } from './thread.ts'

const MEGABYTE = 1024 ** 2
/** A thread that has had nothing to do for so long is ended, ms; with its memory goes what it has cached. */
const IDLE_MS = 60_000

export class Threads {
  readonly #Piscina: typeof Piscina
  readonly #environment: JobsEnvironment
  /** By their memory limit, bytes; 0 is none. */
  readonly #pools = new Map<number, Piscina>()

  static async create(environment: JobsEnvironment): Promise<Threads> {
    return new Threads(await loadPiscina(environment.store), environment)
  }

  constructor(piscina: typeof Piscina, environment: JobsEnvironment) {
    this.#Piscina = piscina
    this.#environment = environment
  }

  /** What the application's file defines. Rejects with what it throws. */
  describe(): Promise<JobTable> {
    return this.#pool(0).run(undefined, { name: 'describe' }) as Promise<JobTable>
  }

  run(task: Task, memory: number, transfer: MessagePort[], signal: AbortSignal): Promise<Outcome> {
    const options = { transferList: transfer, signal }
    return this.#pool(memory).run(task, options) as Promise<Outcome>
  }

  #pool(memory: number): Piscina {
    const known = this.#pools.get(memory)
    if (known) return known
    const pool = new this.#Piscina({
      filename: fileURLToPath(jobsThread),
      workerData: { file: this.#environment.entry },
      minThreads: 0,
      maxThreads: this.#environment.concurrency,
      idleTimeout: IDLE_MS,
      concurrentTasksPerWorker: 1,
      // a thread at rest must still turn its loop, for connections that the application keeps
      atomics: 'disabled',
      ...(memory > 0 && {
        resourceLimits: { maxOldGenerationSizeMb: Math.max(8, Math.round(memory / MEGABYTE)) },
      }),
    })
    // of a thread that had no job, such as a timer that a job has left behind: a new thread takes its place
    pool.on('error', () => undefined)
    this.#pools.set(memory, pool)
    return pool
  }
}
