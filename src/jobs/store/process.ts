// What every store's process does, whichever database it has: opens it, says so, outlives its clients. Runs in the store.
import { mkdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { UserError } from '../../errors.ts'
import { givenEnvironment, type JobsEnvironment } from '../environment.ts'
import { MasterChannel } from '../master-channel.ts'
import { checkPlace } from './file-system.ts'

/** How long its clients are waited for when the parent is gone, beyond the time that jobs have, s. */
const LINGER = 5
const LOOK_MS = 100

export interface OpenStore {
  clients(): number | Promise<number>
  close(): Promise<void>
}

/** `open` rejects with a UserError if it would fail in the same way again. */
export async function runStore(
  open: (environment: JobsEnvironment, channel: MasterChannel) => Promise<OpenStore>,
): Promise<void> {
  const environment = givenEnvironment()!
  let store: OpenStore | undefined
  const end = async (): Promise<void> => await store?.close()
  const channel = new MasterChannel({
    drain: end,
    orphaned: async () => {
      const last = performance.now() + (environment.grace + LINGER) * 1000
      while (performance.now() < last && ((await store?.clients()) ?? 0) > 0) await sleep(LOOK_MS)
      await end()
    },
    orphanSeconds: environment.grace + 2 * LINGER,
    onTerm: 'ignore',
  })
  process.title = 'supervisor: job store'
  try {
    mkdirSync(environment.dataDir, { recursive: true, mode: 0o700 })
    checkPlace(environment.dataDir)
    store = await open(environment, channel)
    channel.ready()
  } catch (error) {
    const isOurs = error instanceof UserError
    channel.fatal(isOurs ? error.message : String((error as Error).stack ?? error), {
      final: isOurs,
    })
  }
}
