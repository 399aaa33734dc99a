// `npm run fuzz -- [--minutes 10] [--seed N] [--only WORD]`: every target in turn with other inputs each time, until the time is over. Prints
// the seed before each turn; an input that breaks a promise is printed, and makes the exit status 1.
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { run } from '../../bench/site.ts'
import { targets } from './targets.ts'
import { watch } from './target.ts'

/** How many times the runs of the suite a turn has. */
const TURN = 4

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    only: { type: 'string', default: '' },
  },
})

await run(async (site) => {
  const end = performance.now() + Number(values.minutes) * 60_000
  const chosen = targets.filter(({ name }) => name.includes(values.only))
  const opened = await Promise.all(chosen.map((target) => target.open(site)))
  const turns = await Promise.all(
    opened.map(async (one, n) => ({
      ...one,
      ...chosen[n]!,
      look: await watch(site, one),
      done: 0,
    })),
  )
  let failures = 0
  for (let seed = Number(values.seed); performance.now() < end; seed++)
    for (const turn of turns) {
      if (performance.now() > end) break
      console.log(`seed ${seed}: ${turn.name}`)
      const numRuns = turn.runs * TURN
      const interruptAfterTimeLimit = Math.max(1, end - performance.now())
      const limits = { seed, numRuns, interruptAfterTimeLimit, endOnFailure: true }
      try {
        const told = await fc.check(turn.property, limits)
        turn.done += told.numRuns
        if (told.failed)
          throw new Error(fc.defaultReportMessage(told), { cause: told.errorInstance })
        await turn.look()
      } catch (error) {
        failures++
        console.log(error)
      }
    }
  for (const { name, done } of turns) console.log(`${String(done).padStart(8)} inputs: ${name}`)
  return failures > 0 ? 1 : 0
})
