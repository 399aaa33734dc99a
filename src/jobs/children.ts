// The children of a job process, for jobs with `isolation: 'process'`: one at a job, used again for the next that has its memory
// limit. Runs in a job process.
import { spawn, type ChildProcess } from 'node:child_process'
import { afterExit, LastWords } from '../master/last-words.ts'
import { jobsChild } from '../paths.ts'
import { killGroup } from '../send-signal.ts'
import { guarded } from '../setpriv.ts'
import type { FromChild, ToChild } from './child.ts'
import type { JobTable, Outcome, Runner, Task, ToThread } from './execute.ts'
import { FULL_HEAP, heapMegabytes, IDLE_MS } from './threads.ts'

class Child {
  readonly #process: ChildProcess
  readonly #lastWords = new LastWords(false)
  /** Resolves when it has ended, to why, in words that say what the job did. */
  readonly gone: Promise<string>
  /** Runs out while it has nothing to do. */
  rest: NodeJS.Timeout | undefined

  constructor(entry: string, memory: number) {
    const limit = memory > 0 ? [`--max-old-space-size=${heapMegabytes(memory)}`] : []
    const [program, ...words] = guarded([process.execPath, ...limit, jobsChild, entry])
    this.#process = spawn(program!, words, {
      // what it has started ends with it
      detached: true,
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    this.#process.stderr?.on('data', (chunk: Buffer) => this.#lastWords.hear(chunk))
    this.gone = new Promise((resolve) => {
      // EAGAIN: it could not be started
      this.#process.once('error', (error) => resolve(error.message))
      this.#process.once('exit', (code, signal) =>
        afterExit(this.#process, () => resolve(this.#whyEnded(code, signal))),
      )
    })
  }

  /** Its only listener. */
  set onMessage(hear: (message: FromChild) => void) {
    this.#process.removeAllListeners('message').on('message', hear)
  }

  tell(message: ToChild): void {
    this.#process.send(message, () => undefined) // EPIPE, ERR_IPC_CHANNEL_CLOSED: it has ended, as `gone` tells
  }

  kill(): void {
    killGroup(this.#process.pid ?? 0)
  }

  #whyEnded(code: number | null, signal: string | null): string {
    if (/heap limit|heap out of memory/i.test(this.#lastWords.lines.join(' '))) return FULL_HEAP
    return signal === null
      ? `it ended its process with exit code ${code}`
      : `its process was ended by ${signal}`
  }
}

export class Children implements Runner {
  readonly #entry: string
  readonly #all = new Set<Child>()
  /** Those at rest, by their memory limit. */
  readonly #resting = new Map<number, Child[]>()

  constructor(entry: string) {
    this.#entry = entry
    process.on('exit', () => this.#all.forEach((child) => child.kill()))
  }

  async describe(): Promise<JobTable> {
    const child = this.#take(0)
    child.tell({ type: 'describe' })
    return await this.#answer(child, 0, (message) =>
      message.type === 'table' ? message.table : undefined,
    )
  }

  async run({ port, ...task }: Task, memory: number, signal: AbortSignal): Promise<Outcome> {
    const child = this.#take(memory)
    const kill = (): void => child.kill()
    signal.addEventListener('abort', kill)
    port.on('message', (message: ToThread) => child.tell(message))
    child.tell({ type: 'run', task })
    try {
      return await this.#answer(child, memory, (message) => {
        if (message.type === 'outcome') return message.outcome
        port.postMessage(message)
        return undefined
      })
    } finally {
      signal.removeEventListener('abort', kill)
      port.close()
    }
  }

  /** Waits for what `find` finds. Rejects if the child ends before. */
  async #answer<T>(
    child: Child,
    memory: number,
    find: (message: FromChild) => T | undefined,
  ): Promise<T> {
    try {
      const answer = await new Promise<T>((resolve, reject) => {
        child.onMessage = (message) => {
          if (message.type === 'broken') return reject(new Error(message.message))
          const found = find(message)
          if (found !== undefined) resolve(found)
        }
        void child.gone.then((why) => reject(new Error(why)))
      })
      this.#rest(child, memory)
      return answer
    } catch (error) {
      child.kill()
      throw error
    }
  }

  #take(memory: number): Child {
    const known = this.#resting.get(memory)?.pop()
    if (known) {
      clearTimeout(known.rest)
      return known
    }
    const child = new Child(this.#entry, memory)
    this.#all.add(child)
    void child.gone.then(() => {
      this.#all.delete(child)
      this.#leave(child, memory)
    })
    return child
  }

  #rest(child: Child, memory: number): void {
    // what a job has left behind there may fail at any time
    child.onMessage = (message) => message.type === 'broken' && child.kill()
    child.rest = setTimeout(() => {
      this.#leave(child, memory)
      child.kill()
    }, IDLE_MS).unref()
    this.#resting.set(memory, [...(this.#resting.get(memory) ?? []), child])
  }

  #leave(child: Child, memory: number): void {
    clearTimeout(child.rest)
    const others = this.#resting.get(memory)?.filter((one) => one !== child) ?? []
    this.#resting.set(memory, others)
  }
}
