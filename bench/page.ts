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

/** What a page holds after a garbage collection, bytes: all of it, its DOM too; of that, code V8 has compiled; and V8's own heap. */
interface Held {
  readonly all: number
  readonly code: number
  readonly heap: number
}

interface Snapshot {
  readonly snapshot: {
    readonly meta: { readonly node_fields: readonly string[]; readonly node_types: [string[]] }
  }
  readonly nodes: readonly number[]
}

async function heldBy(page: Page): Promise<Held> {
  const session = await page.context().newCDPSession(page)
  const chunks: string[] = []
  session.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => chunks.push(chunk))
  await session.send('HeapProfiler.collectGarbage')
  const { usedSize: heap } = await session.send('Runtime.getHeapUsage')
  await session.send('HeapProfiler.takeHeapSnapshot', {})
  await session.detach()
  const { snapshot, nodes } = JSON.parse(chunks.join('')) as Snapshot
  const { node_fields: fields, node_types: types } = snapshot.meta
  const [type, size] = [fields.indexOf('type'), fields.indexOf('self_size')]
  let [all, code] = [0, 0]
  for (let at = 0; at < nodes.length; at += fields.length) {
    all += nodes[at + size]!
    if (types[0][nodes[at + type]!] === 'code') code += nodes[at + size]!
  }
  return { all, code, heap }
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
  const before = await heldBy(page)
  let middle = before
  for (let n = 1; n <= rounds; n++) {
    await round(server, page, warmUp + n)
    await sleep(pause)
    if (n === rounds >> 1) middle = await heldBy(page)
  }
  const after = await heldBy(page)
  const ratio = after.all / before.all
  const mb = (what: keyof Held): string =>
    [before, middle, after].map((held) => (held[what] / 2 ** 20).toFixed(2)).join(', ')
  report.add({
    part: 'page',
    what: `what the page holds after ${values.minutes} minutes and ${rounds} reloads, to that before them, its list of events being full`,
    bound: 'at most 1.1',
    seen: `${ratio.toFixed(3)}; before, in the middle, at the end: ${mb('all')} MB, of it compiled code ${mb('code')} MB; V8's heap alone ${mb('heap')} MB, ${(after.heap / before.heap).toFixed(3)}`,
    isMet: ratio <= 1.1,
    data: [before, middle, after],
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
