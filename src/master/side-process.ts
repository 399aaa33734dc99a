// A process of a group beside the workers: how it is started, told to end, and killed. With worker-handle.ts the only one that
// starts the user's processes. Runs in the master.

import { spawn, type ChildProcess } from 'node:child_process'
import { environment } from '../config.ts'
import type { Drain, FromJobs, Look } from '../jobs/master-channel.ts'
import { besideEntry } from '../paths.ts'
import { SLOT_VARIABLE } from '../protocol.ts'
import { killGroup, sendSignal } from '../send-signal.ts'
import { guarded } from '../setpriv.ts'
import { afterExit, LastWords } from './last-words.ts'
import { step, type Action, type Event, type State } from './lifecycle.ts'
import { secretless, typescriptArgs } from './worker-handle.ts'

/** What a group's processes are. Pure data, from the settings. */
export interface GroupSpec {
  readonly name: string
  readonly count: number
  /** Of a program, it and its arguments; else the file that node runs. */
  readonly words: readonly string[]
  /** `jobs`: ours; it says when it is ready and that it lives, and is told to end by its channel. */
  readonly kind: 'node' | 'program' | 'jobs'
  /** `store`: before the others, and after all others and the workers are gone; a reload lets it run. */
  readonly order: 'store' | 'rest'
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Seconds to end in, when it is told to. */
  readonly grace: number
}

export interface SideEvents {
  ready(): void
  message(message: FromJobs): void
  exit(code: number | null, signal: NodeJS.Signals | null): void
}

export class SideProcess {
  readonly spec: GroupSpec
  readonly slot: number
  readonly generation: number
  readonly bornAt = performance.now()
  readonly lastWords = new LastWords(false)
  /** When it is killed if it is still there; ms of performance.now(). */
  deadline = Infinity
  /** When it was last heard of, if it says that it lives; ms of performance.now(). */
  heardAt = this.bornAt
  /** When its silence was first found to be too long; ms of performance.now(). */
  suspectedAt: number | undefined
  /** What it has said itself of its end. */
  why: string | undefined
  /** Why it was told to go, in the words of the log. */
  reason: string | undefined
  #state: State = 'booting'
  readonly #child: ChildProcess

  constructor(spec: GroupSpec, slot: number, generation: number, events: SideEvents) {
    this.spec = spec
    this.slot = slot
    this.generation = generation
    this.#child = start(spec, slot)
    this.#child.stderr?.on('data', (chunk: Buffer) => this.lastWords.hear(chunk))
    if (spec.kind === 'jobs') this.#child.on('message', (message) => this.#hear(message, events))
    else this.#child.once('spawn', () => events.ready())
    this.#child.on('error', (error) => this.pid === 0 && this.#neverLived(error, events))
    this.#child.once('exit', (code, signal) =>
      afterExit(this.#child, () => events.exit(code, signal)),
    )
  }

  /** 0 if it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0
  }

  get state(): State {
    return this.#state
  }

  /** Seconds. */
  get uptime(): number {
    return (performance.now() - this.bornAt) / 1000
  }

  /** For log events. */
  get facts(): { group: string; worker: number; slot: number } {
    return { group: this.spec.name, worker: this.pid, slot: this.slot }
  }

  /** As for workers: the caller does what the returned action says. */
  advance(event: Event): Action {
    const [state, action] = step(this.#state, event)
    this.#state = state
    return action
  }

  /** For itself alone: what it has started is its own affair until it is gone. `grace`: seconds that running jobs have. */
  drain(grace: number): void {
    if (this.spec.kind !== 'jobs') return sendSignal(this.pid, 'SIGTERM')
    this.ask({ type: 'drain', grace })
  }

  /** Of those that have a channel. */
  ask(message: Drain | Look): void {
    this.#child.send(message, () => undefined) // EPIPE, ERR_IPC_CHANNEL_CLOSED: it is about to end
  }

  /** SIGKILL for it and everything it started. */
  kill(): void {
    killGroup(this.pid)
  }

  #hear(raw: unknown, events: SideEvents): void {
    const message = raw as FromJobs
    this.heardAt = performance.now()
    if (message.type === 'ready') events.ready()
    else if (message.type !== 'beat') events.message(message)
  }

  /** ENOENT, EACCES, EAGAIN: there is no process, and there will be no exit event. */
  #neverLived(error: Error, events: SideEvents): void {
    this.lastWords.note(error.message)
    events.exit(null, null)
  }
}

function start({ name, kind, words, env, cwd }: GroupSpec, slot: number): ChildProcess {
  const own = { ...secretless, ...env, SUPERVISOR_GROUP: name, [SLOT_VARIABLE]: String(slot) }
  const options = { cwd, env: { ...environment(), ...own }, detached: true }
  if (kind === 'program') {
    const [program, ...args] = guarded(words)
    return spawn(program!, args, { ...options, stdio: ['ignore', 'inherit', 'pipe'] })
  }
  const before = kind === 'jobs' ? [] : [...typescriptArgs(words[0]!), '--import', besideEntry.href]
  return spawn(process.execPath, [...before, ...words], {
    ...options,
    serialization: kind === 'jobs' ? 'advanced' : 'json',
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
}
