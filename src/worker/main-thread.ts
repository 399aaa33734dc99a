// The main thread as a debugger sees it: made to stand still, looked at, let go. Runs in the watchdog thread, only with
// `blocked: 'interrupt'`.

import type { Debugger } from 'node:inspector'
import { MainSession } from './main-session.ts'
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

/** Where our own code is. */
const HERE = new URL('.', import.meta.url).href

const isApplications = (url: string): boolean =>
  url !== '' && !url.startsWith('node:') && !url.startsWith(HERE)

export class MainThread {
  readonly #session = new MainSession()
  readonly #urls = new Map<string, string>()

  constructor() {
    this.#session.on<Debugger.ScriptParsedEventDataType>('Debugger.scriptParsed', (script) =>
      this.#urls.set(script.scriptId, script.url),
    )
  }

  /** While it runs. */
  async look(): Promise<Look> {
    const sight = (await this.#session.evaluate(SIGHT_EXPRESSION)) as Sight
    const inHook = (await this.stack()).some((line) => /^at \S*hook\S* \(node:/i.test(line))
    return { sight, inHook }
  }

  /** Undefined: it did not stand still within `ms`. */
  async halt(how: Halt, ms: number): Promise<Stand | undefined> {
    this.#session.post('Debugger.enable') // again and again does no harm
    const paused = new Promise<Debugger.CallFrame[]>((resolve) =>
      this.#session.once<Debugger.PausedEventDataType>('Debugger.paused', ({ callFrames }) =>
        resolve(callFrames),
      ),
    )
    this.#session.post(`Debugger.${how}`)
    const frames = await Promise.race([paused, sleep(ms, undefined)])
    return (
      frames && this.#describe(frames, (await this.#session.evaluate(SIGHT_EXPRESSION)) as Sight)
    )
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
    const text = (await this.#session.evaluate(STACK_EXPRESSION)) as string
    return withoutOwn(text.split('\n').slice(1))
  }

  /**
   * Lets it go, with an exception that nothing can catch and that ends the code where it stands, up to node itself. First comes
   * what node's own `finally` would have done: in a row of immediates, the rest would be lost; and the stack of async ids
   * would be found corrupt.
   */
  async end({ immediates }: Stand, beforehand: () => void): Promise<void> {
    if (immediates !== undefined)
      await this.#session.ask('Debugger.evaluateOnCallFrame', {
        callFrameId: immediates,
        expression: 'outstandingQueue.head = prevImmediate._idleNext',
      })
    await this.#session.evaluate(CLEAR_EXPRESSION)
    beforehand()
    await this.#session.ask('Debugger.resume', { terminateOnResume: true })
  }

  leave(): void {
    this.#session.leave()
  }
}
