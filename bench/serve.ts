// What serving costs, as ratios to bare node:cluster in the same run: boot, throughput, short connections, memory.
// Needs wrk. `npm run bench:serve -- [--node /path/to/node] [--rounds 5] [--seconds 3]`

import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { pss } from './proc.ts'
import { start, type Contestant, type Started } from './servers.ts'
import { run, type Site } from './site.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
  },
})
const rounds = Number(values.rounds)
const contestants: Contestant[] = ['bare', 'ours']

const median = (list: number[]): number =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!

type Samples = Record<Contestant, number[]>
const empty = (): Samples => ({ bare: [], ours: [] })

/** Alternating, so that a slow minute of the machine hits both. */
async function alternate(
  times: number,
  measure: (who: Contestant) => number | Promise<number>,
): Promise<Samples> {
  const samples = empty()
  for (let n = 0; n < times; n++)
    for (const who of n % 2 ? [...contestants].reverse() : contestants)
      samples[who].push(await measure(who))
  return samples
}

function requestsPerSecond(port: number, headers: string[]): number {
  const args = [
    '-t1',
    '-c64',
    `-d${values.seconds}s`,
    ...headers.flatMap((h) => ['-H', h]),
    `http://127.0.0.1:${port}/`,
  ]
  return Number(
    /Requests\/sec:\s+([\d.]+)/.exec(execFileSync('wrk', args, { encoding: 'utf8' }))?.[1],
  )
}

function row(what: string, samples: Samples, unit: string, bound: string): void {
  const [b, o] = [median(samples.bare), median(samples.ours)]
  const pairs = median(samples.ours.map((ours, n) => ours / samples.bare[n]!))
  const list = (l: number[]): string => l.map((x) => x.toFixed(x < 100 ? 1 : 0)).join(' ')
  console.log(
    `\n${what}: ratio of medians ${(o / b).toFixed(3)}, median of the pairs' ratios ${pairs.toFixed(3)} (${bound})`,
  )
  console.log(
    `  bare ${b.toFixed(1)} ${unit} [${list(samples.bare)}]\n  ours ${o.toFixed(1)} ${unit} [${list(samples.ours)}]`,
  )
}

async function boots(site: Site): Promise<void> {
  const samples = await alternate(rounds * 3, (who) =>
    site.part(async (t) => (await start(t, who, values.node)).bootMs),
  )
  row('start to first 200', samples, 'ms', 'at most 1.5')
}

async function running(site: Site): Promise<void> {
  const servers = {} as Record<Contestant, Started>
  for (const who of contestants) servers[who] = await start(site, who, values.node)
  await new Promise((resolve) => setTimeout(resolve, 1500)) // idle: memory before any load
  const idle = Object.fromEntries(
    contestants.map((who) => [who, [pss(servers[who].child.pid!)]]),
  ) as Samples
  console.log(
    `\nmaster's memory, idle: bare ${idle.bare[0]!.toFixed(1)} MB, ours ${idle.ours[0]!.toFixed(1)} MB, ` +
      `+${(idle.ours[0]! - idle.bare[0]!).toFixed(1)} MB (at most +12)`,
  )
  const keepAlive = await alternate(rounds, (who) => requestsPerSecond(servers[who].port, []))
  row('keep-alive requests', keepAlive, '/s', 'at least 0.97 on Node 24, 0.95 on Node 20')
  const short = await alternate(rounds, (who) =>
    requestsPerSecond(servers[who].port, ['Connection: close']),
  )
  row('short connections', short, '/s', 'at least 1.4')
}

const version = execFileSync(values.node, ['--version'], { encoding: 'utf8' }).trim()
console.log(
  `Node ${version}, 2 workers, wrk -t1 -c64 -d${values.seconds}s, ${rounds} alternating rounds`,
)
await run(async (site) => {
  await boots(site)
  await site.part(running)
  return 0
})
