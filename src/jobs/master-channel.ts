// A job process's line to its parent: ready, a beat each second, events for the log; and how the parent ends it. Runs in the
// processes of the job queue.
import type { EventName, Facts } from '../events.ts'
import type { JobDigest, QueueDigest } from '../job-digest.ts'

/** To the parent. */
export type FromJobs =
  | { readonly type: 'ready' }
  | { readonly type: 'beat' }
  | { readonly type: 'digest'; readonly digest: JobDigest }
  | { readonly type: 'queue'; readonly queue: QueueDigest }
  /** The dashboard is served at this socket. */
  | { readonly type: 'listening'; readonly path: string }
  /** It can't go on, and why: a sentence for people. `final`: it would be the same after a restart. */
  | { readonly type: 'fatal'; readonly message: string; readonly final: boolean }
  | { readonly type: 'event'; readonly name: EventName; readonly facts: object }

/** From the parent. `grace`: seconds that running jobs may take. */
export interface Drain {
  readonly type: 'drain'
  readonly grace: number
}

/** From the parent: how is the queue? */
export interface Look {
  readonly type: 'look'
}

const BEAT_MS = 1_000

export interface Ends {
  /** Told to end; exits with status 0 when it resolves. Called once. */
  readonly drain: (grace: number) => Promise<void>
  /** The parent is gone: nobody else will be told. Called instead of `drain`. */
  readonly orphaned: () => Promise<void>
  /** How long that may take at most: nobody else is left who would end this process. */
  readonly orphanSeconds: number
  /** Asked how the queue is. What it does not say for once, the store being away, is asked again. */
  readonly look?: () => Promise<QueueDigest | undefined>
  /** What SIGTERM does to it, when it is sent to all processes together. */
  readonly onTerm: 'ignore' | { readonly grace: number }
}

export class MasterChannel {
  readonly #ends: Ends
  #state: 'open' | 'ending' = 'open'

  constructor(ends: Ends) {
    this.#ends = ends
    process.on('message', (message: Drain | Look) => {
      if (message.type === 'drain') this.#end(() => ends.drain(message.grace))
      else void this.#look()
    })
    process.on('disconnect', () => this.#orphaned())
    // it died while our files were loaded, and 'disconnect' was heard by nobody
    if (process.connected === false) setImmediate(() => this.#orphaned())
    // Ctrl-C reaches all processes of a terminal, the parent says when it is this one's turn
    process.on('SIGINT', () => undefined)
    process.on('SIGTERM', () => this.#term())
    setInterval(() => this.#send({ type: 'beat' }), BEAT_MS).unref()
  }

  ready(): void {
    this.#send({ type: 'ready' })
  }

  event<E extends EventName>(name: E, facts: Facts<E>): void {
    this.#send({ type: 'event', name, facts })
  }

  listening(path: string): void {
    this.#send({ type: 'listening', path })
  }

  digest(digest: JobDigest): void {
    this.#send({ type: 'digest', digest })
  }

  async #look(): Promise<void> {
    const queue = await this.#ends.look?.()
    if (queue) this.#send({ type: 'queue', queue })
  }

  /** Ends the process with status 1; one that hangs is the parent's to kill. */
  fatal(message: string, { final = false } = {}): void {
    this.#send({ type: 'fatal', message, final }, () => process.exit(1))
  }

  /** By the only way that does not wait for its threads. */
  kill(message: string): void {
    this.#send({ type: 'fatal', message, final: false }, () => process.kill(process.pid, 'SIGKILL'))
  }

  #orphaned(): void {
    const { orphanSeconds, orphaned } = this.#ends
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), orphanSeconds * 1000).unref()
    this.#end(() => orphaned())
  }

  #term(): void {
    const { onTerm, drain } = this.#ends
    if (onTerm !== 'ignore') this.#end(() => drain(onTerm.grace))
  }

  #end(how: () => Promise<void>): void {
    if (this.#state === 'ending') return
    this.#state = 'ending'
    how().then(
      () => process.exit(0),
      (error: unknown) => this.fatal(String(error)),
    )
  }

  /** What can't be sent is for a parent that is gone, which `disconnect` tells. */
  #send(message: FromJobs, sent: () => void = () => undefined): void {
    if (process.connected && process.send) process.send(message, undefined, undefined, sent)
    else sent()
  }
}
