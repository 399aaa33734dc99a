// `npm run soak -- [--minutes 2] [--seed N] [--clients 12] [--events FILE] [--report FILE]`: faults of every kind in an order that
// follows from the seed, and what must hold all the while. Exits with 1 at the first promise that is broken.

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { machine } from '../report.ts'
import { run } from '../site.ts'
import { Soak } from './soak.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    clients: { type: 'string', default: '12' },
    events: { type: 'string' },
    report: { type: 'string' },
  },
})

await run(async (site) => {
  const [minutes, seed, clients] = [values.minutes, values.seed, values.clients].map(Number) as [
    number,
    number,
    number,
  ]
  const about = { ...machine(process.execPath), seed, minutes, clients }
  console.log(JSON.stringify(about, null, 2))
  const soak = await Soak.start(site, { minutes, seed, clients, events: values.events })
  const broken = await soak.run()
  const facts = soak.facts()
  console.log(JSON.stringify(facts, null, 2))
  const verdict = broken ?? `${soak.steps.length} steps, every promise was kept.`
  console.log(verdict)
  if (values.report !== undefined) {
    const report = { ...about, verdict, ...facts, steps: soak.steps }
    writeFileSync(values.report, `${JSON.stringify(report, null, 2)}\n`)
  }
  return broken === undefined ? 0 : 1
})
