// Inputs nobody thought of: whatever comes in from outside is answered, refused or understood, and nothing breaks of it. The inputs are the
// same in each run; `npm run fuzz` tries others, and what it finds becomes an example of its target.
import fc from 'fast-check'
import { describe, test } from 'vitest'
import { targets } from './fuzz/targets.ts'
import { watch } from './fuzz/target.ts'

const SEED = 20_261_123

describe.concurrent('whatever comes in', () => {
  for (const target of targets)
    test(target.name, async (t) => {
      const opened = await target.open(t)
      const look = watch(opened)
      await fc.assert(opened.property, { seed: SEED, numRuns: target.runs, endOnFailure: true })
      await look()
    })
})
