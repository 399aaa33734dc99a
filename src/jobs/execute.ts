// Executes a job's code: loads the file that defines it, calls the handler, tells what it says. Runs in the thread or the child that
// jobs run in, and in the job process for those that run inline.
import type { MessagePort } from 'node:worker_threads'
import { pathToFileURL } from 'node:url'
import { definitions, type JobContext, type JobHandler, type Limits } from './define.ts'

/** As much of a MessagePort as a job needs. */
export interface Line {
  postMessage(message: FromThread): void
  on(event: 'message', hear: (message: ToThread) => void): unknown
  close(): void
}

/** What a job is, to those who run it. */
export interface Task<Port = MessagePort> {
  readonly name: string
  readonly data: unknown
  readonly id: string
  readonly attempt: number
  readonly port: Port
}

/** From whoever runs it, on the port of its job. */
export type FromThread =
  /** The file is loaded, the job's code runs. */
  | { readonly type: 'begun' }
  | { readonly type: 'progress'; readonly value: unknown }
  | { readonly type: 'log'; readonly text: string }
  /** The signal is aborted: the loop turns, the job can tidy up. */
  | { readonly type: 'heard' }
  /** All of its messages have been sent. */
  | { readonly type: 'end' }

export type ToThread =
  { readonly type: 'abort'; readonly reason: string } | { readonly type: 'ended' }

export type Outcome =
  | { readonly value: unknown }
  | { readonly error: { message: string; stack?: string; isFinal: boolean } }

export type JobTable = readonly (readonly [name: string, limits: Limits])[]

/** Something that runs jobs. */
export interface Runner {
  /** What the application's file defines. Rejects with what it throws. */
  describe(): Promise<JobTable>
  /**
   * Runs one job. `memory`: the limit of its heap, bytes; 0 is none. Rejects, with a sentence for people, if what runs the job ends, or is
   * ended by `signal`; the task's port is closed once it is gone.
   */
  run(task: Task, memory: number, signal: AbortSignal): Promise<Outcome>
}

let loading: Promise<unknown> | undefined
const load = (file: string): Promise<unknown> => (loading ??= importEntry(file))

async function importEntry(file: string): Promise<unknown> {
  const stripsTypes = Boolean((process.features as { typescript?: unknown }).typescript)
  if (/\.[mc]?ts$/.test(file) && !stripsTypes) {
    const [esm, cjs] = await Promise.all([import('tsx/esm/api'), import('tsx/cjs/api')])
    esm.register()
    cjs.register()
  }
  return await import(pathToFileURL(file).href)
}

/** What the file defines. */
export async function describe(file: string): Promise<JobTable> {
  await load(file)
  return [...definitions().values()].map(({ name, limits }) => [name, limits])
}

/** Runs one job. Rejects only if the file can't be loaded. */
export async function execute(file: string, task: Task<Line>): Promise<Outcome> {
  const { name, data, id, attempt, port } = task
  await load(file)
  const definition = definitions().get(name)
  if (!definition) return { error: { message: `no job "${name}" is defined`, isFinal: true } }
  const abort = new AbortController()
  const ended = new Promise<void>((resolve) => {
    port.on('message', (message: ToThread) => {
      if (message.type === 'ended') return resolve()
      tell(port, { type: 'heard' })
      abort.abort(new DOMException(message.reason, 'AbortError'))
    })
  })
  const context: JobContext = {
    id,
    attempt,
    signal: abort.signal,
    progress: (value) => tell(port, { type: 'progress', value }),
    log: (text) => tell(port, { type: 'log', text: String(text) }),
  }
  tell(port, { type: 'begun' })
  const outcome = await outcomeOf(definition.handler as JobHandler<unknown, unknown>, data, context)
  // the answer goes another way, and would overtake the last progress
  tell(port, { type: 'end' })
  await ended
  port.close()
  return outcome
}

const tell = (port: Line, message: FromThread): void => port.postMessage(message)

async function outcomeOf(
  handler: JobHandler<unknown, unknown>,
  data: unknown,
  context: JobContext,
): Promise<Outcome> {
  try {
    const value = await handler(data, context)
    // what JSON can't hold fails here, with the job's own name on it
    return { value: value === undefined ? null : (JSON.parse(JSON.stringify(value)) as unknown) }
  } catch (error) {
    const { message, stack, name } = error instanceof Error ? error : new Error(String(error))
    const isFinal = name === 'UnrecoverableError'
    return { error: { message, isFinal, ...(stack !== undefined && { stack }) } }
  }
}
