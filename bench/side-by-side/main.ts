// The same app on this server and on what people would take instead, side by side. `npm run bench -- --help` says how.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { choose } from '../peers/index.ts'
import { optionsOf, wantedOf } from '../options.ts'
import { checkout, conclude, headerOf, headerText } from '../results.ts'
import { run, type Site } from '../site.ts'
import { boot } from './boot.ts'
import { Field } from './compare.ts'
import { connections } from './connections.ts'
import { cost } from './cost.ts'
import type { Dimension, Scale } from './dimension.ts'
import { idle } from './idle.ts'
import { generator } from './load.ts'
import { pictureOf } from './picture.ts'
import { recovery } from './recovery.ts'
import { reload } from './reload.ts'
import { markdownOf, textOf, type Measured, type Results } from './table.ts'
import { throughput } from './throughput.ts'
import { workers } from './workers.ts'

/** The one that sleeps comes first: nothing was asked of the servers yet. */
const DIMENSIONS: readonly Dimension[] = [
  idle,
  throughput,
  cost,
  connections,
  workers,
  boot,
  recovery,
  reload,
]
const PICTURE = 'docs/images/bench.svg'

const options = optionsOf(
  'bench',
  DIMENSIONS.map(({ name }) => name),
)

async function measure(site: Site): Promise<Results> {
  const { node, quick, rounds } = options
  const scale: Scale = {
    size: quick ? 'quick' : 'full',
    seconds: options.seconds ?? (quick ? 1 : 2),
  }
  const choice = choose(wantedOf(options), node)
  const load = `${generator}, ${scale.seconds} s a time, ${scale.size}`
  const header = headerOf(node, choice, { clients: load })
  console.log(headerText(header))
  const notes: string[] = []
  const note = (text: string): void => void (notes.includes(text) || notes.push(text))
  const { present } = choice
  const field = new Field({ site, node, scale, present, note, ...(rounds && { rounds }) })
  const rows: Measured[] = []
  for (const dimension of DIMENSIONS.filter(({ name }) => options.rows.includes(name))) {
    console.log(`\n--- ${dimension.name} ---`)
    const measured = await field.measure(dimension)
    for (const row of measured) console.log(textOf(row, header))
    rows.push(...measured)
  }
  for (const one of notes) console.log(one)
  return { header, rows, notes }
}

await run(async (site) => {
  const results = await conclude<Results>(options, () => measure(site), markdownOf)
  if (options.svg) writeFileSync(options.svg, pictureOf(results))
  if (options.write) writeFileSync(join(checkout, PICTURE), pictureOf(results))
  return 0
})
