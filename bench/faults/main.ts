// What clients see of this server and of others when something goes wrong. `npm run bench:faults -- --help` says how.

import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { tempDir } from '../../test/helpers/temp.ts'
import { allAnswer } from '../side-by-side/instances.ts'
import { optionsOf, wantedOf } from '../options.ts'
import { choose } from '../peers/index.ts'
import type { Peer } from '../peers/peer.ts'
import { conclude, headerOf, headerText, writeResults } from '../results.ts'
import { start } from '../servers.ts'
import { run, type Site } from '../site.ts'
import { Clients, type Tally } from './clients.ts'
import { brokenIn, faults, type Fault } from './faults.ts'
import { add, htmlOf, lineOf, markdownOf, notAhead, type Results, type Row } from './table.ts'

/** What a request may take, where that can be set, seconds. */
const TIMEOUT = 2
const CROWD = 8
const WARM_MS = 700

const options = optionsOf(
  'bench:faults',
  faults.map(({ name }) => name),
)
const { quick } = options
const rounds = options.rounds ?? (quick ? 1 : 3)
const afterMs = quick ? 2_000 : 4_000

function scene(site: Site, fault: Fault, peer: Peer): Promise<Tally> {
  return site.part(async (part) => {
    const broken = brokenIn(tempDir(part))
    const env = { BENCH_BROKEN: broken }
    const asked = { app: 'peer', timeout: TIMEOUT, ...fault.options, env }
    const server = await start(part, peer.name, options.node, asked)
    await allAnswer(server.port, 2) // a worker that still boots would be another fault
    const clients = new Clients(server.port, part)
    clients.start(fault.crowd ?? CROWD)
    await sleep(WARM_MS)
    await fault.happen({ server, clients, site: part, broken, afterMs })
    if (fault.crowd !== 0) await sleep(afterMs)
    return clients.stop()
  })
}

/** All rounds of it together. Throws what the last one threw, if none could be had. */
async function seenOf(site: Site, fault: Fault, peer: Peer): Promise<Tally> {
  const tallies: Tally[] = []
  let trouble: unknown
  for (let n = 0; n < rounds; n++)
    try {
      tallies.push(await scene(site, fault, peer))
    } catch (error) {
      trouble = error
      console.error(`${fault.name}, ${peer.title}: ${(error as Error).message}`)
    }
  if (tallies.length === 0) throw trouble
  return tallies.reduce(add)
}

async function rowOf(site: Site, fault: Fault, peers: readonly Peer[]): Promise<Row> {
  const seen: Record<string, Tally | string> = {}
  for (const peer of peers)
    seen[peer.name] =
      (fault.needs && peer.lacks?.[fault.needs]) ??
      (await seenOf(site, fault, peer).catch(() => 'it failed to start'))
  return { name: fault.name, what: fault.what, seen }
}

async function measure(site: Site): Promise<Results> {
  // One process alone has no worker to lose.
  const wanted = wantedOf(options).filter(({ lacks }) => lacks?.workers === undefined)
  const choice = choose(wanted, options.node)
  const clients = `${CROWD} of each kind, kept and new connections, 500 ms requests and 10 kB POSTs`
  const header = headerOf(options.node, choice, {
    clients,
    timeouts: `${TIMEOUT} s`,
    rounds: `${rounds}`,
  })
  console.log(headerText(header))
  const rows: Row[] = []
  for (const fault of faults.filter(({ name }) => options.rows.includes(name))) {
    const row = await rowOf(
      site,
      fault,
      choice.present.map(({ peer }) => peer),
    )
    console.log(`\n${lineOf(row, header)}`)
    rows.push(row)
    if (options.json) writeResults(options.json, { header, rows }) // what is there if the rest is not waited for
  }
  const results = { header, rows }
  for (const line of notAhead(results)) console.log(`\n${line}`)
  return results
}

await run(async (site) => {
  const results = await conclude<Results>(options, () => measure(site), markdownOf)
  if (options.html) writeFileSync(options.html, htmlOf(results))
  return 0
})
