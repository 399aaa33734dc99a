// Ten minutes of everything that goes wrong, under load, on one server: blocks, hangs, clients that leave, slow bodies. Every request
// must end as promised, and in the end nothing may be left: no slot, no descriptor, no memory. What each client does follows from the seed.
// `npm run soak:deadlines -- [--minutes 10] [--seed N] [--clients 48] [--node /path/to/node]`. Exits with 1 if a promise was broken.

import { parseArgs } from 'node:util'
import { machine } from '../report.ts'
import { run } from '../site.ts'
import { Soak } from './soak.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    clients: { type: 'string', default: '48' },
    node: { type: 'string', default: process.execPath },
  },
})

await run(async (site) => {
  const [seed, minutes, clients] = [values.seed, values.minutes, values.clients].map(Number)
  const facts = { ...machine(values.node), seed, minutes, clients }
  console.log(
    Object.entries(facts)
      .map(([name, text]) => `${name}: ${text}`)
      .join('\n'),
  )
  const soak = await Soak.start(site, values.node, seed!, clients!)
  await soak.goOn(minutes! * 60_000)
  const broken = await soak.end()
  console.log(soak.summary())
  if (broken.length === 0) console.log('\nEvery promise was kept.')
  else console.log(`\n${broken.length} broken:\n- ${broken.slice(0, 100).join('\n- ')}`)
  return broken.length === 0 ? 0 : 1
})
