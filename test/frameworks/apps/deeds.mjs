// What every app of the matrix does at /hello, /slow, /never and /block; each in its framework's own words.
import { setTimeout as sleep } from 'node:timers/promises'

export const hello = () => 'hello'

export async function slow(ms = 1000) {
  console.log('slow began')
  await sleep(ms)
  return 'done'
}

export const never = () => new Promise(() => {})

export function block() {
  // an empty loop would be taken away by a bundler
  for (;;) globalThis.blockedAt = Date.now()
}

export const deeds = { hello, slow, never, block }

/** Where a self-listening app listens. */
export const at = { port: Number(process.env.PORT), host: process.env.HOST }
