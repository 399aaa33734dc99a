// Background jobs: from nothing to ready in a fresh directory, no-op jobs a second, what requests feel while two jobs spin, and that
// without jobs nothing of them is loaded. `npm run bench:jobs -- [--stores embedded,redis-local] [--jobs 1000] [--json]`
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { JobProject, type Web } from '../test/helpers/jobs.ts'
import { tempDir } from '../test/helpers/temp.ts'
import { until } from '../test/helpers/until.ts'
import { machine, quantile, Report } from './report.ts'
import { run, type Site } from './site.ts'

const { values } = parseArgs({
  options: {
    stores: { type: 'string', default: 'embedded,redis-local' },
    jobs: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
})
const count = Number(values.jobs)
const REQUESTS = 2_000
/** Of a fresh directory, s; of the p99 of requests while jobs spin, times that of a machine at rest. */
const READY_S = 5
const P99_RATIO = 3
const PACKAGES = /node_modules\/(bullmq|@electric-sql|piscina|ioredis|pg)\//

/** Milliseconds until so many jobs, enqueued ten at a time, are in the store, and until all are done. */
async function throughput(web: Web): Promise<{ add: number; done: number }> {
  const began = performance.now()
  let left = count
  const client = async (): Promise<void> => {
    while (left-- > 0) await web.enqueue('add', { a: 1, b: 2 })
  }
  await Promise.all(Array.from({ length: 10 }, client))
  const add = performance.now() - began
  const listing = async (): Promise<boolean> => {
    const queued = await web.server.get('/v1/jobs?status=queued&limit=1')
    const active = await web.server.get('/v1/jobs?status=processing&limit=1')
    return [queued, active].every((list) => list.json<{ jobs: unknown[] }>().jobs.length === 0)
  }
  await until('all jobs are done', listing, 300_000)
  return { add, done: performance.now() - began }
}

async function p99(web: Web): Promise<number> {
  const all: number[] = []
  for (let n = 0; n < REQUESTS; n++) {
    const began = performance.now()
    await web.server.get('/')
    all.push(performance.now() - began)
  }
  return quantile(all, 0.99)
}

async function measure(site: Site, report: Report, store: string): Promise<void> {
  report.begin(store)
  const part = store
  const began = performance.now()
  const web = await new JobProject(site, { store, workers: 1, concurrency: 10 }).all(1)
  const ready = (performance.now() - began) / 1000
  const bound = `at most ${READY_S} s`
  const seen = `${ready.toFixed(1)} s`
  report.add({ part, what: 'fresh directory to ready', bound, seen, isMet: ready <= READY_S })
  const { add, done } = await throughput(web)
  const rate = (ms: number): string => `${Math.round((count * 1000) / ms)} a second`
  report.add({ part, what: `${count} no-op jobs accepted over HTTP`, seen: rate(add) })
  report.add({ part, what: `${count} no-op jobs accepted and done`, seen: rate(done) })
  const idle = await p99(web)
  const spinning = [await web.enqueue('spin-for-ever'), await web.enqueue('spin-for-ever')]
  for (const id of spinning) await web.reaches(id, 'processing')
  const busy = await p99(web)
  for (const id of spinning) await web.server.get(`/v1/jobs/${id}`, { method: 'DELETE' })
  report.add({
    part,
    what: 'p99 of requests while two jobs spin',
    bound: `at most ${P99_RATIO} times that at rest`,
    seen: `${busy.toFixed(1)} ms, at rest ${idle.toFixed(1)} ms`,
    isMet: busy <= P99_RATIO * idle,
  })
}

/** Files of the packages that a server loads, as node's own coverage tells. */
async function loaded(site: Site, store: string | undefined): Promise<number> {
  const coverage = tempDir(site)
  const project = new JobProject(site, { store: 'redis-local' }, { NODE_V8_COVERAGE: coverage })
  if (store === undefined) {
    rmSync(project.file('supervisor.config.json'))
    writeFileSync(project.file('app.js'), "export default (_, res) => res.end('home')\n")
  }
  const web = await (store === undefined ? project.web({}) : project.all())
  await web.server.get('/')
  web.server.signal('SIGTERM')
  await web.server.exit()
  const texts = readdirSync(coverage).map((file) => readFileSync(join(coverage, file), 'utf8'))
  const urls = texts.flatMap((text) =>
    [...text.matchAll(/"url":"([^"]+)"/g)].map(([, url]) => url!),
  )
  return new Set(urls.filter((url) => PACKAGES.test(url))).size
}

await run(async (site) => {
  const report = new Report(values.json)
  report.begin('what is loaded')
  const [without, control] = [await loaded(site, undefined), await loaded(site, 'redis-local')]
  report.add({
    part: 'loaded',
    what: 'files of bullmq, pglite, piscina, ioredis and pg in a server without jobs',
    bound: '0, and some with jobs',
    seen: `${without}, with jobs ${control}`,
    isMet: without === 0 && control > 0,
  })
  for (const store of values.stores.split(','))
    await site.part((inner) => measure(inner, report, store))
  return report.end(machine(process.execPath)) === 0 ? 0 : 1
})
