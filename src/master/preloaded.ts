// What the throw-away process of `preload` brought, for the workers of the same settings. Runs in the master, which has the data
// as bytes and never as values: they may be secrets, and are no property of anything that could be logged or shown.

import type { Duplex } from 'node:stream'
import type { Config } from '../config.ts'
import { content, header } from '../preload-pipe.ts'

export interface Preloaded {
  /** Of preload() in the settings file, by v8.serialize(). Undefined: there is none, or it returned nothing. */
  readonly data?: Uint8Array
  /** Directory of V8's compile cache. */
  readonly compileCache?: string
}

/** A reload that fails goes back to the settings before it, and so to their data. */
const results = new WeakMap<Config, Preloaded>()

export const keepPreloaded = (config: Config, preloaded: Preloaded): void =>
  void results.set(config, preloaded)

/** For every worker that is started with these settings. */
export const preloadedOf = (config: Config): Preloaded => results.get(config) ?? {}

/** Writes it to a new worker. */
export function give(pipe: Duplex, data: Uint8Array): void {
  // EPIPE, ECONNRESET: it died before it had read everything, and its exit event tells the rest
  pipe.on('error', () => undefined)
  pipe.write(header(data.length))
  pipe.end(data, () => pipe.destroy())
}

/** Reads it from the throw-away process. Undefined: that died before it had said everything. */
export function receive(pipe: Duplex): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  pipe.on('data', (chunk: Buffer) => chunks.push(chunk))
  // ECONNRESET: it died; 'close' follows
  pipe.on('error', () => undefined)
  return new Promise((resolve) => pipe.once('close', () => resolve(content(Buffer.concat(chunks)))))
}
