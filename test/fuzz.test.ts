// Inputs nobody thought of: whatever comes in from outside is answered, refused or understood, and nothing breaks of it. The inputs are the
// same in each run; `npm run fuzz` tries others, and what it finds becomes an example of its target.
import fc from 'fast-check'
import { describe, test } from 'vitest'
import { targets } from './fuzz/targets.ts'
import { watch, type Target } from './fuzz/target.ts'
import type { Teardown } from './helpers/temp.ts'

const SEED = 20_261_123
/** Before servers are weighed: what they load and take for their first inputs is no leak. */
const WARM_UP_RUNS = 10

async function hold(t: Teardown, target: Target): Promise<void> {
  const opened = await target.open(t)
  const { property, examples = [] } = opened
  const hear = (seed: number, numRuns: number): void | Promise<void> =>
    fc.assert(property, { seed, numRuns, examples, endOnFailure: true })
  if (opened.servers.length > 0) await hear(SEED + 1, WARM_UP_RUNS)
  const look = await watch(t, opened)
  await hear(SEED, target.runs)
  await look()
}

const some = (kind: Target['kind']): Target[] => targets.filter((one) => one.kind === kind)

describe('whatever this process is given:', () => {
  for (const target of some('in-process')) test(target.name, (t) => hold(t, target))
})

describe.concurrent('whatever a server is sent:', () => {
  for (const target of some('servers')) test(target.name, (t) => hold(t, target))
})
