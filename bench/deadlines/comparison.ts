// The same three accidents on bare node:cluster, PM2 and Gunicorn: what the client saw, how long, what the log said.

import { Episode } from '../../test/helpers/episode.ts'
import {
  gunicornVersion,
  installPm2,
  PM2_VERSION,
  start,
  type Peer,
  type Started,
} from '../servers.ts'
import { endOf, inSeconds, type Bench } from './bench.ts'
import { CROWD, say, tally } from './episodes.ts'

const ACCIDENTS = [
  { what: 'a handler that never settles', path: '/never' },
  { what: 'a blocked loop, JavaScript or Python', path: '/while' },
  { what: 'a blocked loop, native code (pbkdf2)', path: '/pbkdf2' },
] as const

/** Who has said nothing by then is said not to answer, ms. */
const PATIENCE_MS = 12_000

const FLAGS: Readonly<Record<Peer, readonly string[]>> = {
  bare: [],
  pm2: [],
  ours: ['--timeout', '2', '--log-format', 'text'],
  'gunicorn sync': ['--timeout', '2'],
  'gunicorn gthread': ['--timeout', '2'],
}

export async function comparison(bench: Bench): Promise<void> {
  for (const who of contestants(bench))
    for (const { what, path } of ACCIDENTS) {
      const { seen, data } = await accident(bench, who, path)
      bench.report.add({ part: 'comparison', what: `${who}, ${what}`, seen, data })
    }
}

/** Who can be had here; the others are said to be left out. */
function contestants({ report }: Bench): Peer[] {
  const all: Peer[] = ['bare']
  const leftOut = (what: string, seen: string): void =>
    report.add({ part: 'comparison', what, seen: `left out: ${seen}` })
  try {
    installPm2()
    all.push('pm2')
  } catch (error) {
    leftOut(`PM2 ${PM2_VERSION}`, (error as Error).message.split('\n')[0]!)
  }
  if (gunicornVersion() === undefined) leftOut('Gunicorn', 'there is no `gunicorn` on the path')
  else all.push('gunicorn sync', 'gunicorn gthread')
  return [...all, 'ours']
}

function accident(
  { site, node }: Bench,
  who: Peer,
  path: string,
): Promise<{ seen: string; data: object }> {
  return site.part(async (t) => {
    const server = await start(t, who, node, { app: 'episodes', flags: FLAGS[who] })
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
