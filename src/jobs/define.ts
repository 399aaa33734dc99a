// What a job is: its name, its limits and its code. Runs in the thread that executes jobs, and in applications that enqueue them by
// their definitions.
import * as v from 'valibot'
import { bytes, type DurationText, type Kind, seconds, type SizeText } from '../kinds.ts'
import { badSetting } from '../errors.ts'
import { type Isolation, ISOLATION_WANTED, ISOLATIONS } from '../jobs-setting.ts'

/** Durations are seconds, or texts with a unit; sizes are bytes, or texts with a unit. */
export interface JobOptions {
  /** How often it may be begun before it has failed; default 1. A job whose process was killed is begun again in any case. */
  readonly attempts?: number
  /** How long to wait before the second attempt, twice as long before each one after it; default none. */
  readonly backoff?: number | DurationText
  /** How long one attempt may take; default unlimited. */
  readonly timeout?: number | DurationText
  /** How long a job may still tidy up once its signal is aborted; default 5 s. One that does not listen is ended at once. */
  readonly killAfter?: number | DurationText
  /** The largest heap of the thread or process that it runs in; default node's own. */
  readonly memory?: number | SizeText
  /** Where it runs: in a thread, a process of its own, or inline, in the job process; default: what the settings say. */
  readonly isolation?: Isolation
}

/** What a job is given beside its data. */
export interface JobContext<Progress = unknown> {
  readonly id: string
  /** From 1. */
  readonly attempt: number
  /** Aborted at the timeout, when the job is cancelled, and when its process must end. */
  readonly signal: AbortSignal
  /** What clients see as `progress`: any JSON. The last one is never lost, of many quick ones some are left out. */
  progress(progress: Progress): void
  /** A line for `supervisor jobs show`. */
  log(text: string): void
}

export type JobHandler<Data, Result> = (data: Data, context: JobContext) => Result | Promise<Result>

/** Thrown by a job that need not be tried again. */
export class UnrecoverableError extends Error {
  constructor(message?: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'UnrecoverableError'
  }
}

/** The limits with everything filled in. Seconds and bytes; 0 is none. */
export interface Limits {
  readonly attempts: number
  readonly backoff: number
  readonly timeout: number
  readonly killAfter: number
  readonly memory: number
  /** Undefined: what the settings say. */
  readonly isolation: Isolation | undefined
}

export interface Definition<Name extends string = string, Data = never, Result = unknown> {
  readonly name: Name
  readonly limits: Limits
  readonly handler: JobHandler<Data, Result>
}

/** Where all definitions of a thread are, whichever copy of this package has made them. */
const REGISTRY = Symbol.for('nodicorn.jobs')
type Registry = Map<string, Definition>

export const definitions = (): Registry => {
  const holder = globalThis as { [REGISTRY]?: Registry }
  return (holder[REGISTRY] ??= new Map())
}

/**
 * Throws a TypeError for a name without a text, and for a name that is taken; a UserError for options that can't be right.
 */
export function define<Name extends string, Data, Result>(
  name: Name,
  options: JobOptions,
  handler: JobHandler<Data, Result>,
): Definition<Name, Data, Result> {
  if (typeof name !== 'string' || name === '') throw new TypeError('a job needs a name')
  if (typeof handler !== 'function') throw new TypeError(`job "${name}" needs a function`)
  const definition = { name, limits: limitsOf(name, options), handler }
  definitions().set(name, definition as unknown as Definition)
  return definition
}

function limitsOf(name: string, options: JobOptions): Limits {
  const where = (key: string): string => `${key} of job "${name}"`
  const read = <I, T>(key: keyof JobOptions, kind: Kind<I, T>, otherwise: T): T => {
    const value = options[key]
    if (value === undefined) return otherwise
    const result = v.safeParse(kind.schema, value)
    if (result.success) return result.output
    throw badSetting(where(key), value, kind.wanted)
  }
  const { attempts = 1, isolation } = options
  if (!(Number.isInteger(attempts) && attempts >= 1))
    throw badSetting(where('attempts'), attempts, 'a whole number, 1 or more')
  if (isolation !== undefined && !ISOLATIONS.includes(isolation))
    throw badSetting(where('isolation'), isolation, ISOLATION_WANTED)
  return {
    attempts,
    isolation,
    backoff: read('backoff', seconds(), 0),
    timeout: read('timeout', seconds(), 0),
    killAfter: read('killAfter', seconds(), 5),
    memory: read('memory', bytes(), 0),
  }
}
