// Calls functions of a settings file so that whatever they do, the caller goes on. A leaf: used by the master and the workers.
import { util } from './builtin.ts'
import { frozen, type HookFacts, type HookName, type Hooks } from './hooks.ts'

/** On the stack of what a hook throws: above it is the hook, below it who called it. */
export const RUNNER = /\bHookRunner\.result\b/

export class HookRunner {
  /** From now on these are called. */
  hooks: Hooks = {}
  readonly #onFailure: (hook: HookName, thrown: Thrown) => void

  /** `onFailure`: a hook threw, rejected, or took too long. */
  constructor(onFailure: (hook: HookName, thrown: Thrown) => void) {
    this.#onFailure = onFailure
  }

  /** Undefined if there is nothing to wait for. Never throws or rejects. */
  call<Name extends HookName>(name: Name, facts: HookFacts<Name>): Promise<unknown> | undefined {
    try {
      const result = this.result(name, facts)
      return isThenable(result) ? this.watch(name, result) : undefined
    } catch (error) {
      this.failed(name, error)
      return undefined
    }
  }

  /** Resolves when the hook is done, after `seconds` (0: without end), or when `signal` is aborted. Never rejects. */
  async settle(
    name: HookName,
    call: Promise<unknown> | undefined,
    seconds: number,
    signal?: AbortSignal,
  ): Promise<void> {
    if (!call) return
    await new Promise<void>((resolve) => {
      const late = (): void => {
        this.#onFailure(name, { error: `it has not ended within ${seconds} s`, stack: [] })
        resolve()
      }
      const timer = seconds > 0 ? setTimeout(late, seconds * 1000) : undefined
      const done = (): void => {
        clearTimeout(timer)
        resolve()
      }
      signal?.addEventListener('abort', done)
      void call.then(done)
    })
  }

  /** What the hook returns, or undefined without one. Throws what it throws. */
  result<Name extends HookName>(name: Name, facts: HookFacts<Name>): unknown {
    const hook = this.hooks[name] as ((facts: HookFacts<Name>) => unknown) | undefined
    return hook?.(frozen(facts))
  }

  /** Resolves when `result` is settled; a rejection is a failure of the hook. */
  watch(name: HookName, result: unknown): Promise<unknown> {
    return Promise.resolve(result).catch((error: unknown) => this.failed(name, error))
  }

  failed(name: HookName, error: unknown): void {
    this.#onFailure(name, thrownFacts(error))
  }
}

export const isThenable = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as { then?: unknown }).then === 'function'

/** What somebody else's code threw, as the log shows it. */
export interface Thrown {
  readonly error: string
  /** The lines of its stack, at most 20. */
  readonly stack: readonly string[]
}

const LINES = 20

/** Never throws, whatever was thrown. */
export function thrownFacts(thrown: unknown): Thrown {
  try {
    if (!(thrown instanceof Error)) return { error: util.inspect(thrown), stack: [] }
    return { error: `${thrown.name}: ${thrown.message}`, stack: linesOf(String(thrown.stack)) }
  } catch {
    // a getter or a proxy that throws, of an object somebody threw: nothing of it can be shown
    return { error: 'it threw something that cannot be shown', stack: [] }
  }
}

const linesOf = (stack: string): string[] =>
  stack
    .split('\n')
    .map((line) => readable(line.trim()))
    .filter((line) => line.startsWith('at '))
    .slice(0, LINES)

/** Without the queries by which a settings file is read afresh, and without the whole file, which Node 20 has in a data: URL. */
function readable(line: string): string {
  const start = line.indexOf('data:text/javascript,')
  const path = /\?filePath=([^:?)]+)/.exec(line)?.[1]
  if (start < 0 || path === undefined) return line.replace(/\?(?:read|namespace)=[^:)]*/, '')
  return `${line.slice(0, start)}${decodeURIComponent(path).replace(/\?.*/, '')})`
}
