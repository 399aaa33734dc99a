// Answers what the master asks of a worker: its stack, a CPU profile, a heap snapshot, by way of the inspector, which reaches
// a main thread that is stuck in JavaScript too. Runs in the watchdog thread.

import type { Profiler } from 'node:inspector'
import { fs } from '../builtin.ts'
import type { Answer, HeapAnswer, ProfileAnswer, StackAnswer, ToWatchdog } from '../inspection.ts'
import type { RequestFacts } from '../protocol.ts'
import { MainSession } from './main-session.ts'
import type { MasterPipe } from './master-pipe.ts'
import { sleep } from './sleep.ts'
import { stepToApplication } from './stepping.ts'
import { GLANCE_EXPRESSION, namesApplication, withoutOwn, type Glance } from './trap.ts'

/**
 * A main thread that runs JavaScript, or waits, answers within 20 ms. Longer than an idle loop's beat, which tells one from the
 * other; counted, because a thread that gets no processor must not conclude anything. Looks, and ms between them.
 */
const REPLY = { looks: 60, every: 10 }
/** How often the stack is looked at until it has a line of the application, before we go and meet it. */
const GLANCES = 20
const AGAIN_MS = 3
/** Code that has run for so long without a turn of the loop may be made slow for a moment, ms. */
const STUCK_MS = 100
/** Between two samples, μs; longer if a profile would have more than so many. */
const INTERVAL_US = 1_000
const SAMPLES = 20_000

/** What is known of the worker without its main thread. */
export interface Watch {
  /** Another one whenever the event loop has turned. */
  beat(): number
  /** Ms since the event loop turned. */
  still(): number
  oldest(): RequestFacts[]
  /** The request with that number on the scoreboard. */
  request(number: number): RequestFacts | undefined
  /** The watchdog is at the main thread itself. */
  isBusy(): boolean
  /** The loop stands still by our doing: until resume(), nobody is ended for it. */
  suspend(): void
  resume(): void
}

const BUSY = 'its watchdog is at work on a blocked event loop'
const IN_NATIVE_CODE =
  'its main thread is in native code, or gets no processor, and does not answer'

export class Inspections {
  readonly #pipe: MasterPipe
  readonly #watch: Watch
  /** `recording`: a question is being answered, but nothing is asked of the main thread for now. */
  #state: 'free' | 'looking' | 'recording' = 'free'

  constructor(pipe: MasterPipe, watch: Watch) {
    this.#pipe = pipe
    this.#watch = watch
  }

  /** Whoever else wants to use the inspector must wait: a debugger's pause would come in our own expression. */
  get isAtMain(): boolean {
    return this.#state === 'looking'
  }

  /** One at a time. Never rejects: whatever goes wrong is the answer. */
  async hear(question: ToWatchdog): Promise<void> {
    const { seq, before } = question
    if (Date.now() > before) return
    const refuse = (why: string): Promise<boolean> => this.#pipe.tell({ type: 'refusal', seq, why })
    if (this.#state !== 'free') return void refuse('it is being looked into already')
    if (this.#watch.isBusy()) return void refuse(BUSY)
    this.#state = 'looking'
    try {
      const answer = await this.#answer(question)
      await this.#pipe.tell({ type: 'answer', seq, answer })
    } catch (error) {
      await refuse((error as Error).message)
    } finally {
      this.#state = 'free'
    }
  }

  async #answer(question: ToWatchdog): Promise<Answer> {
    const main = new MainSession()
    try {
      if (question.type === 'stack') return await this.#stack(main)
      if ((await this.#glance(main)) === undefined) throw new Error(IN_NATIVE_CODE)
      return question.type === 'profile'
        ? await this.#profile(main, question)
        : await this.#heap(main, question)
    } finally {
      main.leave()
    }
  }

  async #stack(main: MainSession): Promise<StackAnswer> {
    const oldest = this.#watch.oldest()
    let before: Glance | undefined
    for (let glances = 1; ; glances++) {
      const glance = await this.#glance(main)
      if (!glance) return { state: 'native', still: this.#still(), stack: [], oldest }
      const stack = linesOf(glance)
      // between two microtasks, the stack may be empty too, but then the loop does not turn
      const turns = before !== undefined && before.loop !== glance.loop
      if (stack.length === 0 && turns) return { state: 'idle', still: 0, stack, oldest }
      if (namesApplication(stack) || glances > GLANCES)
        return { state: 'running', still: this.#still(), ...this.#scene(glance), oldest }
      if (glances === GLANCES && !turns) await stepToApplication(main)
      before = glance
      await sleep(AGAIN_MS)
    }
  }

  /** Seconds. */
  #still(): number {
    return this.#watch.still() / 1000
  }

  #scene(glance: Glance): Pick<StackAnswer, 'stack' | 'request'> {
    const known = this.#watch.request(glance.request)
    return { stack: linesOf(glance), ...(known && { request: { ...known, id: glance.id } }) }
  }

  /** Undefined: the main thread is in native code. Rejects if the inspector can't be used. */
  async #glance(main: MainSession): Promise<Glance | undefined> {
    const beat = this.#watch.beat()
    let reply: { glance: unknown } | { error: unknown } | undefined
    main.evaluate(GLANCE_EXPRESSION).then(
      (glance) => (reply = { glance }),
      (error: unknown) => (reply = { error }),
    )
    for (let looks = 0; !reply && looks < REPLY.looks; looks++) await sleep(REPLY.every)
    if (!reply && this.#watch.beat() !== beat)
      throw new Error('its event loop turns, but the inspector does not answer')
    if (reply && 'error' in reply) throw reply.error
    return reply?.glance as Glance | undefined
  }

  async #profile(
    main: MainSession,
    { seconds, file, before }: ToWatchdog & { type: 'profile' },
  ): Promise<ProfileAnswer> {
    const interval = Math.max(INTERVAL_US, Math.round((seconds * 1_000_000) / SAMPLES))
    return intoNew(file, async () => {
      await within(before, this.#startProfile(main, interval))
      await this.#record(seconds)
      const { profile } = await within(before, main.ask<Profiler.StopReturnType>('Profiler.stop'))
      fs.writeFileSync(file, JSON.stringify(profile))
      const { size } = fs.statSync(file)
      return { file, bytes: size, samples: profile.samples?.length ?? 0 }
    })
  }

  async #record(seconds: number): Promise<void> {
    this.#state = 'recording'
    await sleep(seconds * 1000)
    while (this.#watch.isBusy()) await sleep(REPLY.every)
    this.#state = 'looking'
  }

  async #startProfile(main: MainSession, interval: number): Promise<void> {
    await main.ask('Profiler.enable')
    await main.ask('Profiler.setSamplingInterval', { interval })
    await main.ask('Profiler.start')
    const { loop } = (await main.evaluate(GLANCE_EXPRESSION)) as Glance
    await sleep(STUCK_MS)
    if (((await main.evaluate(GLANCE_EXPRESSION)) as Glance).loop === loop) await deoptimize(main)
  }

  /**
   * By the main thread itself: the inspector's own command would send it to this thread, where what is not written yet
   * would be in memory (Node 24: until this thread has none left).
   */
  async #heap(
    main: MainSession,
    { file, before }: ToWatchdog & { type: 'heap' },
  ): Promise<HeapAnswer> {
    const began = performance.now()
    return intoNew(file, async () => {
      if (this.#watch.isBusy()) throw new Error(BUSY)
      this.#watch.suspend()
      try {
        const path = JSON.stringify(file)
        const writes = `process.getBuiltinModule('node:v8').writeHeapSnapshot(${path})`
        await within(before, main.evaluate(writes))
      } finally {
        this.#watch.resume()
      }
      const { size } = fs.statSync(file)
      return { file, bytes: size, seconds: (performance.now() - began) / 1000 }
    })
  }
}

const linesOf = ({ stack }: Glance): string[] => withoutOwn(stack.split('\n').slice(1))

/**
 * A loop that was optimized before the profile began has code that V8's profiler does not know: it would be counted for its
 * caller. To begin counting calls throws all optimized code away (10 ms), and what is optimized anew is known.
 */
async function deoptimize(main: MainSession): Promise<void> {
  await main.ask('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  await main.ask('Profiler.stopPreciseCoverage')
}

/** Makes the file, which nobody else may read and which must not be there yet; without an answer it is removed. */
async function intoNew<T>(file: string, write: () => Promise<T>): Promise<T> {
  fs.closeSync(fs.openSync(file, 'wx', 0o600))
  try {
    return await write()
  } catch (error) {
    fs.rmSync(file, { force: true })
    throw error
  }
}

/** `before`: ms since 1970. */
async function within<T>(before: number, promise: Promise<T>): Promise<T> {
  const late = sleep(Math.max(0, before - Date.now())).then(() => {
    throw new Error(IN_NATIVE_CODE)
  })
  return Promise.race([promise, late])
}
