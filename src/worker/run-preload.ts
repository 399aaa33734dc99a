// Runs preload() of the settings file and gives its result to the master. Runs in the throw-away process, before the
// application is loaded there. What it returned is never part of an error's text: it may be a secret.

import v8 from 'node:v8'
import { fs, util } from '../builtin.ts'
import { UserError } from '../errors.ts'
import { thrownFacts } from '../hook-runner.ts'
import { PRELOAD_PIPE, header } from '../preload-pipe.ts'
import { offerPreloaded } from './preloaded.ts'

/** Never fires: it is there to be waited for, ms. */
const LONG_MS = 2 ** 30

/**
 * `preload`: undefined if the file has it no longer.
 * @throws UserError APP_FAILED: it threw, or its result can't be sent
 */
export async function runPreload(preload: unknown, source: string): Promise<void> {
  const result =
    typeof preload === 'function' ? await resultOf(preload as () => unknown, source) : undefined
  const bytes = result === undefined ? Buffer.alloc(0) : serialize(result, source)
  write(header(bytes.length))
  write(bytes)
  fs.closeSync(PRELOAD_PIPE)
  if (bytes.length > 0) offerPreloaded(bytes)
}

async function resultOf(preload: () => unknown, source: string): Promise<unknown> {
  // an idle loop would end the process, and the application would be blamed; bootTimeout says who it was
  const hold = setInterval(() => undefined, LONG_MS)
  try {
    return await preload()
  } catch (error) {
    throw failed(source, error)
  } finally {
    clearInterval(hold)
  }
}

/** Only what an Error says of itself, and not its properties: those of an HTTP client's have the headers of the request. */
function failed(source: string, thrown: unknown): UserError {
  const { error, stack } =
    thrown instanceof Error
      ? thrownFacts(thrown)
      : { error: 'something that is not an Error', stack: [] }
  if (stack.length > 0) console.error([error, ...stack.map((line) => `    ${line}`)].join('\n'))
  return new UserError('APP_FAILED', `${source}: preload() threw ${error}`)
}

function serialize(result: unknown, source: string): Buffer {
  try {
    return v8.serialize(result)
  } catch {
    // DataCloneError, or what a getter of theirs threw: its message may quote the value
    throw new UserError(
      'APP_FAILED',
      `${source}: preload() returned ${culprit(result)}, which can't be sent to another process; return plain data`,
    )
  }
}

/** `write` of a pipe may take a part. */
function write(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += fs.writeSync(PRELOAD_PIPE, bytes, at)
}

/** What can't be sent, by its kind alone. */
function culprit(root: unknown): string {
  try {
    const seen = new Set<unknown>([root])
    // a Set may grow while it is walked
    for (const value of seen) {
      const kind = kindOf(value)
      if (kind) return seen.size === 1 ? kind : `an object with ${kind} in it`
      for (const part of partsOf(value)) seen.add(part)
    }
  } catch {
    // a getter or a proxy of theirs threw: nothing more can be said
    return 'something'
  }
  return 'something'
}

function kindOf(value: unknown): string | undefined {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  const { types } = util
  if (types.isPromise(value)) return 'a promise'
  if (types.isProxy(value)) return 'a proxy'
  if (types.isSharedArrayBuffer(value)) return 'shared memory'
  return types.isWeakMap(value) || types.isWeakSet(value) ? 'a weak collection' : undefined
}

function partsOf(value: unknown): Iterable<unknown> {
  if (value instanceof Map) return [...value.keys(), ...value.values()]
  if (value instanceof Set) return value
  if (ArrayBuffer.isView(value)) return []
  return typeof value === 'object' && value !== null ? Object.values(value) : []
}
