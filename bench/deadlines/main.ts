// The promises about deadlines, measured: every row with its bound, the figure, and whether it holds; and how others do.
// `npm run bench:deadlines -- [--node /path/to/node] [--only PART]... [--rounds 3] [--seconds 1] [--json]`. Needs wrk.

import { parseArgs } from 'node:util'
import { versionOf } from '../peers/peer.ts'
import { PM2_VERSION } from '../peers/pm2.ts'
import { machine, Report } from '../report.ts'
import { run } from '../site.ts'
import type { Bench } from './bench.ts'
import { comparison } from './comparison.ts'
import { heap, throughput, watchdog } from './cost.ts'
import { blocked, never } from './episodes.ts'
import { precision } from './precision.ts'
import { stacks } from './stacks.ts'

const PARTS: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  never,
  blocked,
  stack: stacks,
  precision,
  throughput,
  heap,
  watchdog,
  comparison,
}

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    only: { type: 'string', multiple: true, default: Object.keys(PARTS) },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
})

for (const name of values.only)
  if (!(name in PARTS))
    throw new Error(`--only ${name}: it must be one of ${Object.keys(PARTS).join(', ')}`)

/** Other programs of which there is talk. */
const others = (): Record<string, string> => ({
  pm2: PM2_VERSION,
  gunicorn: versionOf('gunicorn') ?? 'not there',
})

await run(async (site) => {
  const report = new Report(values.json)
  const header = { ...machine(values.node), ...others() }
  if (!values.json)
    console.log(
      Object.entries(header)
        .map(([name, text]) => `${name}: ${text}`)
        .join('\n'),
    )
  const numbers = { rounds: Number(values.rounds), seconds: Number(values.seconds) }
  for (const name of values.only) {
    report.begin(name)
    try {
      await site.part((inner) =>
        PARTS[name]!({ node: values.node, site: inner, report, ...numbers }),
      )
    } catch (error) {
      const seen = `failed: ${(error as Error).message.slice(0, 2_000)}`
      report.add({ part: name, what: 'the measurement itself', bound: 'works', seen, isMet: false })
    }
  }
  report.end(header)
  return 0
})
