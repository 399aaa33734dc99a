// A process of a group beside the workers: how it is started, told to end, and killed. With worker-handle.ts the only one that
// starts the user's processes. Runs in the master.

import { spawn, type ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fs } from '../builtin.ts'
import { environment } from '../config.ts'
import { besideEntry } from '../paths.ts'
import { SLOT_VARIABLE } from '../protocol.ts'
import { LastWords } from './last-words.ts'
import { step, type Action, type Event, type State } from './lifecycle.ts'
import { secretless, sendSignal, typescriptArgs } from './worker-handle.ts'

/** What a group's processes are. Pure data, from the settings. */
export interface GroupSpec {
  readonly name: string
  readonly count: number
  /** Of `kind` 'node': the file; else the program and its arguments. */
  readonly words: readonly string[]
  readonly kind: 'node' | 'program'
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Seconds to end in, when it is told to. */
  readonly grace: number
}

export interface SideEvents {
  ready(): void
  exit(code: number | null, signal: NodeJS.Signals | null): void
}

/** Its pipes may be open a moment longer than the process lives, ms. */
const LAST_WORDS_MS = 100
/** Ends a program with its parent, where nothing in it would notice: util-linux. */
const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv']

/** Undefined where there is none: macOS, Alpine. */
export const setpriv = (): string | undefined => SETPRIV.find((path) => fs.existsSync(path))

export class SideProcess {
  readonly spec: GroupSpec
  readonly slot: number
  readonly generation: number
  readonly bornAt = performance.now()
  readonly lastWords = new LastWords(false)
  /** When it is killed if it is still there; ms of performance.now(). */
  deadline = Infinity
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
    this.#child.once('spawn', () => events.ready())
    this.#child.on('error', (error) => this.pid === 0 && this.#neverLived(error, events))
    this.#child.once('exit', (code, signal) => this.#afterExit(() => events.exit(code, signal)))
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

  /** SIGTERM for itself alone: what it has started is its own affair until it is gone. */
  drain(): void {
    sendSignal(this.pid, 'SIGTERM')
  }

  /** SIGKILL for it and everything it started. */
  kill(): void {
    sendSignal(-this.pid, 'SIGKILL')
    sendSignal(this.pid, 'SIGKILL')
  }

  /** ENOENT, EACCES, EAGAIN: there is no process, and there will be no exit event. */
  #neverLived(error: Error, events: SideEvents): void {
    this.lastWords.note(error.message)
    events.exit(null, null)
  }

  #afterExit(report: () => void): void {
    sendSignal(-this.pid, 'SIGKILL')
    const closed = new Promise((resolve) => this.#child.once('close', resolve))
    void Promise.race([closed, sleep(LAST_WORDS_MS)]).then(report)
  }
}

function start({ name, kind, words, env, cwd }: GroupSpec, slot: number): ChildProcess {
  const own = { ...secretless, ...env, SUPERVISOR_GROUP: name, [SLOT_VARIABLE]: String(slot) }
  const options = { cwd, env: { ...environment(), ...own }, detached: true }
  if (kind === 'node') {
    const [file] = words as [string]
    const args = [...typescriptArgs(file), '--import', besideEntry.href, ...words]
    return spawn(process.execPath, args, {
      ...options,
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
  }
  const guard = setpriv()
  const [program, ...args] = guard ? [guard, '--pdeathsig', 'KILL', '--', ...words] : words
  return spawn(program!, args, { ...options, stdio: ['ignore', 'inherit', 'pipe'] })
}
