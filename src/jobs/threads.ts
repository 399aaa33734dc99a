// The threads of a job process: a pool for each memory limit that its jobs have. Runs in a job process.
import { fileURLToPath } from 'node:url'
import type { Piscina } from 'piscina'
import { jobsThread } from '../paths.ts'
import type { JobsEnvironment } from './environment.ts'
import { loadPiscina } from './packages.ts'
import type { JobTable, Outcome, Runner, Task } from './execute.ts'

const MEGABYTE = 1024 ** 2
/** A thread, or a child, that has had nothing to do for so long is ended, ms; with its memory goes what it has cached. */
export const IDLE_MS = 60_000

export const FULL_HEAP = 'it needed more memory than it may have'
export const heapMegabytes = (memory: number): number => Math.max(8, Math.round(memory / MEGABYTE))

export class Threads implements Runner {
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

  describe(): Promise<JobTable> {
    return this.#pool(0).run(undefined, { name: 'describe' }) as Promise<JobTable>
  }

  async run(task: Task, memory: number, signal: AbortSignal): Promise<Outcome> {
    try {
      return (await this.#pool(memory).run(task, { transferList: [task.port], signal })) as Outcome
    } catch (error) {
      throw new Error(whyEnded(error as Error), { cause: error })
    }
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
        resourceLimits: { maxOldGenerationSizeMb: heapMegabytes(memory) },
      }),
    })
    // of a thread that had no job, such as a timer that a job has left behind: a new thread takes its place
    pool.on('error', () => undefined)
    this.#pools.set(memory, pool)
    return pool
  }
}

/** In words that say what the job did. */
function whyEnded({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') return FULL_HEAP
  const exit = /exit(?:ed)?(?: with)? code:? (\d+)/i.exec(message)
  return exit ? `it ended its thread with exit code ${exit[1]}` : message
}
