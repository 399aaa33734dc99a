// How late a 504 is, and whether one is early: 1,000 requests with five timeouts, on the client's clock and on the server's.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { tempDir } from '../../test/helpers/temp.ts'
import { quantile } from '../report.ts'
import { endOf, ours, type Bench } from './bench.ts'

const TIMEOUTS = [0.5, 0.8, 1.1, 1.4, 1.7]
const REQUESTS = 1_000
/** Between two requests: the client must not be what is measured, ms. */
const PAUSE_MS = 4

export async function precision({ node, site, report }: Bench): Promise<void> {
  await site.part(async (t) => {
    const routes = Object.fromEntries(TIMEOUTS.map((timeout, n) => [`/w/${n}`, { timeout }]))
    const log = join(tempDir(t), 'access.log')
    const flags = ['--access-log', log, '--max-orphans', '0']
    const server = await ours(t, node, 'late.mjs', flags, { config: { routes } })
    const ends = []
    for (let n = 0; n < REQUESTS; n++) {
      ends.push(endOf(server.url, `/w/${n % TIMEOUTS.length}?ms=60000`, 20_000))
      await sleep(PAUSE_MS)
    }
    const seen = await Promise.all(ends)
    server.signal('SIGTERM')
    await server.exit() // which writes the rest of the access log
    const timeoutMs = (n: number): number => TIMEOUTS[n % TIMEOUTS.length]! * 1000
    const clients = seen.map(({ ms }, n) => ms - timeoutMs(n))
    const others = seen.filter(({ end }) => end !== 504).length
    const servers = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { url: string; seconds: number })
      .map(({ url, seconds }) => seconds * 1000 - timeoutMs(Number(url[3])))
    for (const [clock, late] of Object.entries({ client: clients, server: servers }))
      report.add({
        part: 'precision',
        what: `${late.length} deadlines, lateness on the ${clock}'s clock`,
        bound: 'p99 below 100 ms, never early',
        seen:
          `p50 ${quantile(late, 0.5).toFixed(0)} ms, p99 ${quantile(late, 0.99).toFixed(0)} ms, ` +
          `max ${Math.max(...late).toFixed(0)} ms, earliest ${Math.min(...late).toFixed(1)} ms` +
          (others > 0 ? `; ${others} were no 504` : ''),
        isMet:
          late.length === REQUESTS &&
          others === 0 &&
          quantile(late, 0.99) < 100 &&
          Math.min(...late) >= 0,
        data: late,
      })
  })
}
