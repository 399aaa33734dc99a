// Which instances of the app answer: the pids, or threads, behind `/id`. It asks over new connections, several at a time.

import { setTimeout as sleep } from 'node:timers/promises'
import { request } from '../../test/helpers/client.ts'

const ASKERS = 4
const PATIENCE_MS = 2_000

export interface Watch {
  /** When each was heard for the first and the last time, performance.now(). */
  readonly seen: ReadonlyMap<string, { readonly first: number; readonly last: number }>
  stop(): Promise<void>
}

/** Asks until it is stopped; errors are nobody's answer. */
export function watchInstances(port: number): Watch {
  const seen = new Map<string, { first: number; last: number }>()
  let state: 'on' | 'off' = 'on'
  const ask = async (): Promise<void> => {
    while (state === 'on') {
      const id = await instance(port)
      const now = performance.now()
      if (id !== undefined) seen.set(id, { first: seen.get(id)?.first ?? now, last: now })
      await sleep(2)
    }
  }
  const asking = Promise.all(Array.from({ length: ASKERS }, ask))
  const stop = async (): Promise<void> => {
    state = 'off'
    await asking
  }
  return { seen, stop }
}

async function instance(port: number): Promise<string | undefined> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const answer = await request(`http://127.0.0.1:${port}`, '/id', { signal }).catch(() => undefined) // ECONNREFUSED, ECONNRESET: nobody
  return answer?.status === 200 ? answer.text : undefined
}

/** Throws if it is not so within `ms`. */
export async function waitFor(what: string, ms: number, holds: () => boolean): Promise<void> {
  for (const end = performance.now() + ms; !holds(); await sleep(5))
    if (performance.now() > end) throw new Error(`not within ${ms / 1000} s: ${what}`)
}

/** The first answer is the first worker's. Gives up after 5 s: the kernel may prefer some, and a thread is no process. */
export async function allAnswer(port: number, count: number): Promise<void> {
  const watch = watchInstances(port)
  await waitFor('all answer', 5_000, () => watch.seen.size >= count).catch(() => undefined) // those that boot will be there by now
  await watch.stop()
}
