// What preload() of the settings file returned, as this process has it. Runs in every worker, and in the throw-away process.
// Shared with `nodicorn/app` through a global symbol, because an application may have a copy of the package of its own.

import { fs } from '../builtin.ts'
import { PRELOAD_PIPE, content } from '../preload-pipe.ts'

const PRELOADED = Symbol.for('nodicorn.preloaded')
const shared = globalThis as { [PRELOADED]?: () => unknown }

/** Reads it from the master, to the end; false if the master died meanwhile. */
export function readPreloaded(): boolean {
  const bytes = content(fs.readFileSync(PRELOAD_PIPE))
  fs.closeSync(PRELOAD_PIPE)
  // On Node 20 realpathSync gives up on links, such as packages of a workspace, after a stat that saw a pipe: the next must see another.
  fs.statSync('/')
  if (bytes) offerPreloaded(bytes)
  return bytes !== undefined
}

/** `bytes` of v8.serialize(). They become a value when somebody asks for it, once. */
export function offerPreloaded(bytes: Buffer): void {
  let state: { bytes: Buffer } | { value: unknown } = { bytes }
  const value = (): unknown => {
    if ('bytes' in state)
      state = { value: process.getBuiltinModule('node:v8').deserialize(state.bytes) }
    return state.value
  }
  Object.defineProperty(globalThis, PRELOADED, { value, configurable: true })
}

/** Undefined if there is none. */
export const preloadedValue = (): unknown => shared[PRELOADED]?.()
