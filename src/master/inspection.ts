// Looks into a worker that runs, stuck or not: its stack, a CPU profile, a heap snapshot, by way of its watchdog thread. Runs in
// the master, for whoever asks.

import { isAbsolute } from 'node:path'
import { fs } from '../builtin.ts'
import { UserError } from '../errors.ts'
import type { Answers, Question } from '../inspection.ts'
import type { Log } from '../log.ts'
import { Refused } from './watchdog-pipe.ts'
import type { WorkerHandle } from './worker-handle.ts'

const NAMES = { stack: 'stack', profile: 'CPU profile', heap: 'heap snapshot' } as const
const LEAST_SECONDS = 0.1
const MOST_SECONDS = 300

/** How long an answer is waited for, ms: a stack is there within one second, the others take as long as the heap is large. */
function patienceFor(question: Question): number {
  if (question.type === 'stack') return 5_000
  return question.type === 'profile' ? question.seconds * 1000 + 30_000 : 600_000
}

export class Inspection {
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  /**
   * Rejects with a UserError: BAD_COMMAND if there is something wrong with the question, NO_INSPECTION if there is no answer
   * within `timeoutMs`; then nothing is left of the file either. A worker answers one question at a time.
   */
  async ask<Q extends Question>(
    worker: WorkerHandle,
    question: Q,
    timeoutMs = patienceFor(question),
  ): Promise<Answers[Q['type']]> {
    checkQuestion(question)
    const what = NAMES[question.type]
    try {
      if (worker.state !== 'ready' && worker.state !== 'draining')
        throw new Error(`it is ${worker.state}: only a worker that has been ready has a watchdog`)
      const answer = await askInto(worker, question, timeoutMs)
      if ('file' in answer) {
        // others than who asked will wonder who was so slow
        const still = 'seconds' in answer && { still: answer.seconds }
        this.#log.event('inspected', { ...worker.facts, ...answer, what, ...still })
      }
      return answer as Answers[Q['type']]
    } catch (error) {
      const text = `no ${what} of worker ${worker.pid}: ${(error as Error).message}`
      throw new UserError('NO_INSPECTION', text, { cause: error })
    }
  }
}

/** A worker that ends meanwhile leaves half a file. */
async function askInto(
  { watchdog }: WorkerHandle,
  question: Question,
  timeoutMs: number,
): Promise<Answers[keyof Answers]> {
  if (question.type === 'stack') return watchdog.ask(question, timeoutMs)
  const { file } = question
  if (fs.existsSync(file)) throw new Error(`${file} exists already`)
  try {
    return await watchdog.ask(question, timeoutMs)
  } catch (error) {
    if (!(error instanceof Refused)) fs.rmSync(file, { force: true })
    throw error
  }
}

/** It may come from a program, or a socket. */
function checkQuestion(question: Question): void {
  const bad = (text: string): never => {
    throw new UserError('BAD_COMMAND', text)
  }
  if (!['stack', 'profile', 'heap'].includes(question.type))
    bad(
      `a worker can be asked for its stack, a profile or its heap, not "${String(question.type)}"`,
    )
  if (question.type === 'stack') return
  const { file } = question
  if (typeof file !== 'string' || !isAbsolute(file))
    bad(`"${String(file)}" is not the absolute path of a file`)
  if (question.type === 'heap') return
  const { seconds } = question
  if (!(seconds >= LEAST_SECONDS && seconds <= MOST_SECONDS))
    bad(`a profile takes ${LEAST_SECONDS} to ${MOST_SECONDS} seconds, not "${String(seconds)}"`)
}
