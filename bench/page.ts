// The page of the admin address, left open: does its heap grow, does it find the server again? Under light load, with timeouts, reloads
// and one upgrade of the master. Needs Chromium. `npm run bench:page -- [--node /path/to/node] [--minutes 30] [--reloads 50]`.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Page } from 'playwright-core'
import { launch } from '../test/helpers/browser.ts'
import { startServer, type Server } from '../test/helpers/server.ts'
import { until } from '../test/helpers/until.ts'
import { machine, Report } from './report.ts'
import { apps } from './servers.ts'
import { run, type Site } from './site.ts'
import { cli } from './variants.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    minutes: { type: 'string', default: '30' },
    reloads: { type: 'string', default: '50' },
    json: { type: 'boolean', default: false },
  },
})
const REQUESTS_PER_ROUND = 20
/** As many as the page shows: before its list is full it grows, as it should. */
const MOST_EVENTS = 200

/** Bytes that are in use after a garbage collection. */
async function heapOf(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page)
  await session.send('HeapProfiler.collectGarbage')
  const { usedSize } = await session.send('Runtime.getHeapUsage')
  await session.detach()
  return usedSize
}

async function start(t: Site): Promise<{ server: Server; page: Page }> {
  const flags = ['--workers', '2', '--admin', '127.0.0.1:0']
  const server = await startServer(t, join(apps, 'hello.cjs'), ...flags, {
    command: [values.node, cli],
  })
  const { url: address } = (await server.log(/^Admin address: /)) as unknown as { url: string }
  const browser = await launch()
  t.onTestFinished(() => browser.close())
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
  await page.goto(address)
  await isLive(page)
  return { server, page }
}

const isLive = (page: Page): Promise<void> => page.getByText('Live', { exact: true }).waitFor()

async function round(server: Server, page: Page, n: number): Promise<void> {
  for (let k = 0; k < REQUESTS_PER_ROUND; k++) await server.get(`/?round=${n}&request=${k}`)
  server.signal('SIGHUP')
  await server.logTimes(/^Reload finished/, n)
  const pid = server.allPids().at(-1) // an old one's number may be somebody else's by now
  await until('the page shows the new workers', () =>
    page.locator('#workers').getByText(String(pid)).isVisible(),
  )
}

/** The page is never told: it has to notice, and to come back. */
async function upgrade(server: Server, page: Page): Promise<number> {
  server.signal('SIGUSR2')
  const { master } = (await server.log(/^Upgraded/)) as unknown as { master: number }
  const since = performance.now()
  await page.getByText(`master ${master}`).waitFor()
  await isLive(page)
  return performance.now() - since
}

await run(async (site) => {
  const report = new Report(values.json)
  report.begin('page')
  const { server, page } = await start(site)
  const rounds = Number(values.reloads)
  const pause = (Number(values.minutes) * 60_000) / rounds
  let warmUp = 0
  while ((await page.locator('#events > li').count()) < MOST_EVENTS)
    await round(server, page, ++warmUp)
  const heaps = [await heapOf(page)]
  for (let n = 1; n <= rounds; n++) {
    await round(server, page, warmUp + n)
    await sleep(pause)
    heaps.push(await heapOf(page))
  }
  const ratio = heaps.at(-1)! / heaps[0]!
  const mb = (bytes: number): string => (bytes / 2 ** 20).toFixed(2)
  report.add({
    part: 'page',
    what: `heap of the page after ${values.minutes} minutes and ${rounds} reloads, to that before them, its list of events being full`,
    bound: 'at most 1.1',
    seen: `${ratio.toFixed(3)}: ${mb(heaps[0]!)} MB before, ${mb(heaps[rounds >> 1]!)} MB in the middle, ${mb(heaps.at(-1)!)} MB at the end, ${mb(Math.max(...heaps))} MB at most`,
    isMet: ratio <= 1.1,
    data: heaps,
  })
  report.add({
    part: 'page',
    what: 'live again after an upgrade, untouched',
    bound: 'by itself',
    seen: `after ${((await upgrade(server, page)) / 1000).toFixed(1)} s`,
    isMet: true,
  })
  return report.end(machine(values.node)) > 0 ? 1 : 0
})
