// How the result of preload() travels, from the throw-away process to the master and on to each worker: by a pipe of its own,
// because it may be a secret and may be large. A leaf.

/** Its file descriptor in the process that runs preload(), and in the workers. Closed before the application is loaded. */
export const PRELOAD_PIPE = 5

const HEADER_BYTES = 8

/** Goes first: the number of bytes that follow. Without it, a sender that died would look like one that has finished. */
export function header(length: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  bytes.writeBigUInt64BE(BigInt(length))
  return bytes
}

/** What followed the header; undefined if the sender died before its end. */
export function content(all: Buffer): Buffer | undefined {
  if (all.length < HEADER_BYTES) return undefined
  const bytes = all.subarray(HEADER_BYTES)
  return BigInt(bytes.length) === all.readBigUInt64BE() ? bytes : undefined
}
