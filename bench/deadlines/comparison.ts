// The same three accidents on bare node:cluster, PM2 and Gunicorn: what the client saw, how long, what the log said.

import { Episode } from '../../test/helpers/episode.ts'
import { choose, peerOf } from '../peers/index.ts'
import type { Peer } from '../peers/peer.ts'
import { start, type Started } from '../servers.ts'
import { endOf, inSeconds, type Bench } from './bench.ts'
import { CROWD, say, tally } from './episodes.ts'

const ACCIDENTS = [
  { what: 'a handler that never settles', path: '/never' },
  { what: 'a blocked loop, JavaScript or Python', path: '/while' },
  { what: 'a blocked loop, native code (pbkdf2)', path: '/pbkdf2' },
] as const

/** Who has said nothing by then is said not to answer, ms. */
const PATIENCE_MS = 12_000

const PEERS = ['bare', 'pm2', 'gunicorn-sync', 'gunicorn', 'ours']

export async function comparison(bench: Bench): Promise<void> {
  for (const who of contestants(bench))
    for (const { what, path } of ACCIDENTS) {
      const { seen, data } = await accident(bench, who, path)
      bench.report.add({ part: 'comparison', what: `${who.title}, ${what}`, seen, data })
    }
}

/** Who can be had here; the others are said to be left out. */
function contestants({ report, node }: Bench): Peer[] {
  const { present, leftOut } = choose(PEERS.map(peerOf), node)
  for (const { title, why } of leftOut)
    report.add({ part: 'comparison', what: title, seen: `left out: ${why}` })
  return present.map(({ peer }) => peer)
}

function accident(
  { site, node }: Bench,
  { name }: Peer,
  path: string,
): Promise<{ seen: string; data: object }> {
  return site.part(async (t) => {
    const flags = name === 'ours' ? ['--log-format', 'text'] : []
    const server = await start(t, name, node, { app: 'episodes', timeout: 2, flags })
    const url = `http://127.0.0.1:${server.port}`
    const crowd = new Episode(t, url, CROWD)
    await crowd.goesOn(2)
    const saidBefore = server.log().length
    const culprit = await endOf(url, path, PATIENCE_MS)
    await crowd.goesOn(2)
    await crowd.stop()
    const ends = tally(crowd)
    const log = newLines(server, saidBefore)
    const seen =
      `${culprit.end} after ${inSeconds(culprit.ms, 1)}; neighbours ${say(ends)}; ` +
      `log ${log.length === 0 ? 'nothing' : log.slice(0, 2).join(' | ')}`
    return { seen, data: { culprit, ends, log } }
  })
}

/** What the server said, without the app's own words and what is no news. */
const newLines = (server: Started, from: number): string[] =>
  server
    .log()
    .slice(from)
    .split('\n')
    .filter((line) => line !== '' && !/^(request started|blocking)$|Slow request/.test(line))
    .map((line) => line.slice(0, 220))
