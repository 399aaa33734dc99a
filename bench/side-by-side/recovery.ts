// From SIGKILL of a worker of two to the first answer of its successor.

import type { Dimension } from './dimension.ts'
import { waitFor, watchInstances } from './instances.ts'

const WAIT_MS = 20_000

export const recovery: Dimension = {
  name: 'recovery',
  rounds: { quick: 1, full: 5 },
  needs: 'recovery',
  rows: () => [
    {
      id: 'recovery',
      what: 'recovery: kill -9 to the successor’s first answer',
      unit: 'ms',
      better: 'less',
    },
  ],
  async measure(subject) {
    const { port, workers } = await subject.start({ app: 'peer' })
    const watch = watchInstances(port)
    try {
      await waitFor('two workers answer', WAIT_MS, () => watch.seen.size >= 2)
      const [known, victim] = [new Set(watch.seen.keys()), workers()[0]!]
      const fresh = (): string | undefined => [...watch.seen.keys()].find((id) => !known.has(id))
      const began = performance.now()
      process.kill(victim, 'SIGKILL')
      await waitFor('a successor answers', WAIT_MS, () => fresh() !== undefined)
      return { recovery: watch.seen.get(fresh()!)!.first - began }
    } finally {
      await watch.stop()
    }
  },
}
