// What a job takes and gives, as TypeScript sees it: nothing of it runs, `npm run check` reads it. Each line that must be refused
// says so; if it were not, that would be the error.
import { defineJob, jobs, type EnqueuedJob, type JobStatus } from '../../src/jobs.ts'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** Compiles for `true` alone. */
const holds = <_T extends true>(): void => undefined

const parse = defineJob(
  'parse',
  { attempts: 3, backoff: '5s', timeout: '20m', memory: '512mb', isolation: 'process' },
  async ({ path, pages }: { path: string; pages?: number }, { id, attempt, signal, progress }) => {
    holds<Equal<typeof signal, AbortSignal>>()
    progress({ current_page: attempt, of: pages, id })
    return await Promise.resolve({ markdown: path })
  },
)
const ping = defineJob('ping', () => 'pong' as const)

export async function enqueuing(): Promise<void> {
  const job = await parse.enqueue({ path: '/a.pdf' }, { id: 'key', delay: 1, priority: 2 })
  holds<Equal<typeof job, EnqueuedJob<{ markdown: string }>>>()
  const result = await job.result()
  holds<Equal<typeof result, { markdown: string } | undefined>>()
  const status = await job.status()
  holds<Equal<typeof status, JobStatus | undefined>>()

  const same = await jobs.enqueue(parse, { path: '/a.pdf', pages: 3 })
  holds<Equal<typeof same, typeof job>>()
  const byName = await jobs.enqueue<typeof parse>('parse', { path: '/a.pdf' })
  holds<Equal<typeof byName, typeof job>>()
  const untyped = await jobs.enqueue('parse', { anything: true })
  holds<Equal<typeof untyped, EnqueuedJob>>()
  const pong = await (await ping.enqueue(undefined)).result()
  holds<Equal<typeof pong, 'pong' | undefined>>()

  // @ts-expect-error the path is a text
  await parse.enqueue({ path: 7 })
  // @ts-expect-error the path is missing
  await jobs.enqueue(parse, { pages: 3 })
  // @ts-expect-error another name than that of the definition
  await jobs.enqueue<typeof parse>('prase', { path: '/a.pdf' })
  // @ts-expect-error nothing of that name is among the options
  await parse.enqueue({ path: '/a.pdf' }, { delayed: 1 })
  // @ts-expect-error a job does not run in a "fiber"
  defineJob('wrong', { isolation: 'fiber' }, () => undefined)
  // @ts-expect-error a duration has a unit that is known
  defineJob('wrong', { timeout: '20 parsecs' }, () => undefined)
}
