// From the command that reloads two workers to the last answer of the old ones.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Dimension } from './dimension.ts'
import { waitFor, watchInstances } from './instances.ts'

const WAIT_MS = 30_000
/** The old ones have not been heard for so long. */
const QUIET_MS = 1_000

export const reload: Dimension = {
  name: 'reload',
  rounds: { quick: 1, full: 3 },
  needs: 'reload',
  rows: () => [
    {
      id: 'reload',
      what: 'reload: command to the last answer of the old workers',
      unit: 'ms',
      better: 'less',
    },
  ],
  async measure(subject) {
    const server = await subject.start({ app: 'peer' })
    const watch = watchInstances(server.port)
    try {
      await waitFor('two workers answer', WAIT_MS, () => watch.seen.size >= 2)
      const old = [...watch.seen.keys()]
      await sleep(500) // PM2 and others are still busy with the boot
      const began = performance.now()
      await server.reload!()
      const lastOfOld = (): number => Math.max(...old.map((id) => watch.seen.get(id)!.last))
      await waitFor(
        'all answers come from new workers',
        WAIT_MS,
        () => watch.seen.size >= 4 && performance.now() - lastOfOld() > QUIET_MS,
      )
      return { reload: lastOfOld() - began }
    } finally {
      await watch.stop()
    }
  },
}
