// The job queue under `supervisor start`, on the embedded store. `npm run test:jobs` has what it promises, on every store.
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../src/config.ts'
import { JobProject, type Web } from './helpers/jobs.ts'
import { isAlive } from './helpers/process.ts'
import { until } from './helpers/until.ts'

const started = ({ server }: Web, group: string): number[] =>
  server.lines
    .filter((line) => line.event === 'processBooting' && line['group'] === group)
    .map((line) => line['worker'] as number)

describe.concurrent('jobs', () => {
  test('are worked on by processes of the server, which are replaced, reloaded and stopped with it', async (t) => {
    const web = await new JobProject(t).all()
    const { server } = web
    const id = await web.enqueue('add', { a: 1, b: 2 })
    await web.reaches(id, 'completed')
    expect((await server.get(`/v1/jobs/${id}/result`)).json()).toEqual({ sum: 3 })
    server.expectLog(/^Ended by itself: jobs /)
    process.kill(started(web, 'jobs')[0]!, 'SIGKILL')
    await server.logTimes(/^Job worker ready/, 3)
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    await server.logTimes(/^Job worker ready/, 5)
    expect(started(web, 'jobs-store'), 'a reload leaves it alone').toHaveLength(1)
    await web.reaches(await web.enqueue('add', { a: 1, b: 2 }), 'completed')
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    const ends = server.lines.filter((line) => line.event === 'processExited')
    expect(ends.at(-1), 'the store is the last').toMatchObject({ group: 'jobs-store' })
  })

  test('are there again after a master was killed with all that it had started', async (t) => {
    const project = new JobProject(t, { concurrency: 1, workers: 1 })
    const first = await project.all(1)
    const ids = [0, 1, 2].map((n) => first.enqueue('work', { ms: 400, n }))
    const waiting = await Promise.all(ids)
    const all = [...started(first, 'jobs'), ...started(first, 'jobs-store')]
    first.server.signal('SIGKILL')
    await until('all are gone', () => !all.some(isAlive))
    const second = await project.all(1)
    await Promise.all(waiting.map((id) => second.reaches(id, 'completed')))
  })

  test('are for others where NUM_WORKERS is 0', async (t) => {
    const web = await new JobProject(t).web()
    expect((await web.server.get('/')).text).toBe('home')
    expect([...started(web, 'jobs'), ...started(web, 'jobs-store')]).toEqual([])
  })
})

test.each([
  [{ jobs: {} }, 'jobs.entry is undefined; it must be the file that defines the jobs'],
  [{ jobs: { entry: 'x', store: 'mysql://a' } }, 'jobs.store is '],
  [{ jobs: { entry: 'x', dashboard: { path: '/api/jobs' } } }, 'it must be true, false, or { path'],
  [{ jobs: { entry: 'x', concurrency: 0 } }, 'jobs.concurrency is 0; it must be a whole number'],
])('%j is refused with what would be right', async (options, complaint) => {
  await expect(loadConfig({ options: options as never, env: {} })).rejects.toThrow(complaint)
})
