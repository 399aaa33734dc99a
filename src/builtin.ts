// Node's own fs, util and http as plain objects, for what is on the way to the first answer. A leaf.
// An ESM import of a built-in reads every export it has: node:http's loads undici, TLS and the web streams (30 ms and 8 MB
// in each worker, Node 24), node:fs's and node:util's load readline and a diff (4 ms each).

export const fs = process.getBuiltinModule('node:fs')
export const util = process.getBuiltinModule('node:util')
/** A function, because loading it at all costs 4 ms: an application that never serves HTTP need not pay. */
export const http = (): typeof import('node:http') => process.getBuiltinModule('node:http')
/** A function, because watchdogs need it only when a worker is blocked, and it is memory in each of them. */
export const inspector = (): typeof import('node:inspector') =>
  process.getBuiltinModule('node:inspector')
/** A function, because only the main thread and, once it has begun to look, the watchdog need it. */
export const net = (): typeof import('node:net') => process.getBuiltinModule('node:net')
