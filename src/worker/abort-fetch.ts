// The global fetch of an unmodified application follows its request: when the deadline comes or the client leaves, an upstream call
// that nobody gave a timeout stops instead of hanging for ever. Runs in every worker with `abortFetch` on.

import { storage } from './context.ts'

/** Replaces globalThis.fetch, which node makes on first use: until somebody calls it nothing is loaded. */
export function followRequests(): void {
  const described = Object.getOwnPropertyDescriptor(globalThis, 'fetch')
  if (!described) return
  const native = globalThis.fetch
  const fetch: typeof native = (input, init) => {
    const entry = storage.getStore()
    if (!entry) return native(input, init)
    const own = init?.signal ?? (input instanceof Request ? input.signal : undefined)
    const signal = own ? AbortSignal.any([own, entry.signal]) : entry.signal
    return native(input, { ...init, signal })
  }
  Object.defineProperty(globalThis, 'fetch', { ...described, value: fetch })
}
