// The main thread as a debugger sees it: made to stand still, looked at, let go. Runs in the watchdog thread, only with
// `blocked: 'interrupt'`. The inspector opens no port for that, and costs nothing before and after.

import type { Debugger } from 'node:inspector'
import { inspector } from '../builtin.ts'
import { CLEAR_EXPRESSION, SIGHT_EXPRESSION, STACK_EXPRESSION, withoutOwn } from './trap.ts'
import { sleep } from './sleep.ts'
import type { Sight } from './trap.ts'

export type Halt = 'pause' | 'stepInto' | 'stepOut'

/** What it is at. */
export interface Look {
  readonly sight: Sight
  /** In one of node's own hooks on promises, which an AsyncLocalStorage needs before Node 24. */
  readonly inHook: boolean
}

/** Where it stands still. */
export interface Stand extends Look {
  /** The application's code is on the stack. */
  readonly inApplication: boolean
  /** The frame that runs a row of immediates. */
  readonly immediates: string | undefined
}

export class InspectorError extends Error {}

interface Evaluated {
  readonly result?: { readonly value?: unknown }
  readonly exceptionDetails?: { readonly text: string }
}

/** Where our own code is. */
const HERE = new URL('.', import.meta.url).href

const isApplications = (url: string): boolean =>
  url !== '' && !url.startsWith('node:') && !url.startsWith(HERE)

export class MainThread {
  readonly #session = new (inspector().Session)()
  readonly #urls = new Map<string, string>()

  constructor() {
    this.#session.connectToMainThread()
    this.#session.on('Debugger.scriptParsed', ({ params }) =>
      this.#urls.set(params.scriptId, params.url),
    )
  }

  /** While it runs. */
  async look(): Promise<Look> {
    const sight = (await this.#evaluate(SIGHT_EXPRESSION)) as Sight
    const inHook = (await this.stack()).some((line) => /^at \S*hook\S* \(node:/i.test(line))
    return { sight, inHook }
  }

  /** Undefined: it did not stand still within `ms`. */
  async halt(how: Halt, ms: number): Promise<Stand | undefined> {
    this.#session.post('Debugger.enable') // again and again does no harm
    const paused = new Promise<Debugger.CallFrame[]>((resolve) =>
      this.#session.once('Debugger.paused', ({ params }) => resolve(params.callFrames)),
    )
    this.#session.post(`Debugger.${how}`)
    const frames = await Promise.race([paused, sleep(ms, undefined)])
    return frames && this.#describe(frames, (await this.#evaluate(SIGHT_EXPRESSION)) as Sight)
  }

  #describe(frames: Debugger.CallFrame[], sight: Sight): Stand {
    const urlOf = (frame: Debugger.CallFrame): string =>
      this.#urls.get(frame.location.scriptId) ?? ''
    const node = frames.filter((frame) => urlOf(frame).startsWith('node:'))
    return {
      sight,
      inApplication: frames.some((frame) => isApplications(urlOf(frame))),
      inHook: node.some(({ functionName }) => /hook/i.test(functionName)),
      immediates: node.find(({ functionName }) => functionName === 'processImmediate')?.callFrameId,
    }
  }

  /** The JavaScript stack, as its lines. */
  async stack(): Promise<string[]> {
    const text = (await this.#evaluate(STACK_EXPRESSION)) as string
    return withoutOwn(text.split('\n').slice(1))
  }

  /**
   * Lets it go, with an exception that nothing can catch and that ends the code where it stands, up to node itself. First comes
   * what node's own `finally` would have done: in a row of immediates, the rest would be lost; and the stack of async ids
   * would be found corrupt.
   */
  async end({ immediates }: Stand, beforehand: () => void): Promise<void> {
    if (immediates !== undefined)
      await this.#ask('Debugger.evaluateOnCallFrame', {
        callFrameId: immediates,
        expression: 'outstandingQueue.head = prevImmediate._idleNext',
      })
    await this.#evaluate(CLEAR_EXPRESSION)
    beforehand()
    await this.#ask('Debugger.resume', { terminateOnResume: true })
  }

  /** Lets go of it. A session left open would keep the process from ending. */
  leave(): void {
    this.#session.post('Debugger.disable')
    this.#session.disconnect()
  }

  async #evaluate(expression: string): Promise<unknown> {
    return (await this.#ask('Runtime.evaluate', { expression, returnByValue: true })).result?.value
  }

  /** Rejects with an InspectorError, also when the expression throws. */
  #ask(method: string, parameters: object): Promise<Evaluated> {
    return new Promise((resolve, reject) =>
      this.#session.post(method, parameters, (error: Error | null, answer: Evaluated = {}) => {
        const problem = error?.message ?? answer.exceptionDetails?.text
        if (problem === undefined) resolve(answer)
        else reject(new InspectorError(problem))
      }),
    )
  }
}

/** Also ERR_INSPECTOR_...: not connected, not available. */
export const isInspectors = (error: unknown): error is Error =>
  error instanceof InspectorError ||
  String((error as NodeJS.ErrnoException).code).startsWith('ERR_INSPECTOR_')
