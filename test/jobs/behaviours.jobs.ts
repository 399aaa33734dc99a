// What the job queue promises, on each of its stores: nothing but the store differs. Run by `npm run test:jobs`, with
// `JOB_STORES=embedded,redis` on these alone.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { request } from '../helpers/client.ts'
import { parseExposition, valueIn } from '../helpers/exposition.ts'
import { JobProject, jobStores, wantedStores } from '../helpers/jobs.ts'
import { isAlive } from '../helpers/process.ts'
import type { Teardown } from '../helpers/temp.ts'
import { until } from '../helpers/until.ts'

const linesOf = (file: string): string[] =>
  existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []

const DIED = /^Ended by itself: jobs/

describe.each(wantedStores)('%s', (name) => {
  const begin = async (t: Teardown, settings: object = {}) => {
    const store = await jobStores[name]!(t)
    const url = store.url === undefined ? {} : { store: store.url }
    return { store, project: new JobProject(t, { ...url, ...settings }) }
  }

  test('a job is accepted, worked on and fetched, in the words of the page', async (t) => {
    const { project } = await begin(t)
    const [web] = await Promise.all([project.web(), project.run()])
    const body = JSON.stringify({ data: { a: 1, b: 2 }, options: { meta: { filename: 'a.pdf' } } })
    const answer = await web.server.get('/enqueue/add', { method: 'POST', body })
    const { job_id: id, ...rest } = answer.json<{ job_id: string }>()
    expect(answer.status).toBe(202)
    expect(answer.headers.location).toBe(`/v1/jobs/${id}/status`)
    expect(rest).toEqual({
      status: 'queued',
      message: 'Job submitted successfully',
      status_url: `/v1/jobs/${id}/status`,
      result_url: `/v1/jobs/${id}/result`,
    })
    const done = await web.reaches(id, 'completed')
    expect(done).toMatchObject({ name: 'add', filename: 'a.pdf', attempts: 1, progress: null })
    const result = await web.server.get(`/v1/jobs/${id}/result`)
    expect([result.status, result.json()]).toEqual([200, { sum: 3 }])
    expect((await web.server.get('/v1/jobs/nobody/status')).status).toBe(404)
    expect((await web.server.get('/v1/jobs/nobody/result')).status).toBe(404)
    expect((await web.server.get('/v1/jobs?limit=0')).status).toBe(400)
  })

  test('progress is seen while a job runs, its last word is kept, and the newest come first', async (t) => {
    const { project } = await begin(t)
    const [web] = await Promise.all([project.web(), project.run()])
    const go = project.file('go')
    const id = await web.enqueue('pages', { pages: 7, until: go })
    await until('page 3', async () => {
      const { progress } = await web.status(id)
      return (progress as { current_page?: number } | null)?.current_page === 3
    })
    const early = await web.server.get(`/v1/jobs/${id}/result`)
    expect([early.status, early.json()]).toMatchObject([409, { status: 'processing' }])
    const events = web.server.get(`/v1/jobs/${id}/events`)
    writeFileSync(go, '')
    const { progress } = await web.reaches(id, 'completed')
    expect(progress).toEqual({ current_page: 7, total_pages: 7 })
    const { text, headers } = await events
    expect(headers['content-type']).toBe('text/event-stream')
    expect(text).toMatch(/^event: status\n/)
    expect(text).toMatch(/\nevent: completed\ndata: .*"markdown":"# pages"/)
    const more = []
    for (let n = 0; n < 4; n++) more.push(await web.enqueue('add', { a: n, b: n }))
    await Promise.all(more.map((one) => web.reaches(one, 'completed')))
    const list = await web.server.get('/v1/jobs?limit=3')
    const { jobs } = list.json<{ jobs: { job_id: string }[] }>()
    expect(jobs.map(({ job_id }) => job_id)).toEqual(more.toReversed().slice(0, 3))
    const { log } = project.ask<{ log: string[] }>('show', id)
    expect(log).toEqual([expect.stringContaining('half way')])
    expect(project.ask('stats')).toMatchObject({ completed: 5, failed: 0 })
  })

  test('a job is bounded by time, memory and attempts, and harms nobody', async (t) => {
    const { project } = await begin(t, { workers: 1, concurrency: 4 })
    const [web, server] = await Promise.all([project.web(), project.run()])
    const began = performance.now()
    const spin = await web.enqueue('spin')
    const errors = {
      exit: 'exit code 7',
      oom: 'more memory',
      'throws-late': 'thrown late',
      fails: 'broken 3',
      'gives-up': 'no use',
    }
    const bad = Object.entries(errors).map(async ([job, error]) => {
      const failed = await web.reaches(await web.enqueue(job), 'failed')
      expect(failed.error).toContain(error)
      expect(failed.attempts).toBe(job === 'fails' ? 3 : 1)
    })
    await Promise.all(bad)
    const spun = await web.reaches(spin, 'failed')
    expect(spun).toMatchObject({ attempts: 2, error: 'it took longer than 1 s' })
    expect(performance.now() - began).toBeGreaterThan(2_000)
    await web.enqueue('tidies-up', { file: project.file('tidy') })
    await until('it has tidied up', () => linesOf(project.file('tidy'))[0] === 'tidied up')
    expect(server.processes('jobs'), 'the same process').toHaveLength(1)
  })

  test('a job in native code fails in time, and its process is replaced', async (t) => {
    const { project } = await begin(t, { workers: 1 })
    const [web, server] = await Promise.all([project.web(), project.run()])
    server.expectLog(DIED)
    const id = await web.enqueue('native')
    await web.reaches(id, 'failed', 10_000)
    await server.log(/^Ended by itself: jobs .*goes on although it was ended: it is in native code/)
    const next = await web.enqueue('add', { a: 1, b: 1 })
    await web.reaches(next, 'completed')
    expect(server.processes('jobs')).toHaveLength(2)
  })

  test('a job is cancelled, queued or running; one id is one job; old jobs are removed', async (t) => {
    const { project } = await begin(t, { workers: 1, concurrency: 1, keep: '4s' })
    const [web] = await Promise.all([project.web(), project.run()])
    const running = await web.enqueue('spin-for-ever')
    await web.reaches(running, 'processing')
    const [first, second] = await Promise.all([
      web.enqueue('add', { a: 1, b: 1 }, { id: 'a key / of a client' }),
      web.enqueue('add', { a: 1, b: 1 }, { id: 'a key / of a client' }),
    ])
    expect(second).toBe(first)
    const drop = (id: string) => web.server.get(`/v1/jobs/${id}`, { method: 'DELETE' })
    expect((await drop(first)).json()).toEqual({ job_id: first, removed: true })
    expect((await web.server.get(`/v1/jobs/${first}/status`)).status).toBe(404)
    expect((await drop(running)).json()).toEqual({ job_id: running, cancelled: true })
    expect(await web.status(running)).toMatchObject({ error: 'cancelled', attempts: 1 })
    expect((await drop(running)).status).toBe(409)
    const id = await web.enqueue('add', { a: 1, b: 1 })
    await web.reaches(id, 'completed')
    await until('it is removed', async () => {
      return (await web.server.get(`/v1/jobs/${id}/status`)).status === 404
    })
  })

  test('a job whose process is killed is finished by another', async (t) => {
    const { project } = await begin(t, { concurrency: 1 })
    const [web, server] = await Promise.all([project.web(), project.run()])
    server.expectLog(DIED)
    const file = project.file('starts')
    const ids = [
      await web.enqueue('work', { ms: 2_000, file, n: 1 }),
      await web.enqueue('work', { ms: 2_000, file, n: 2 }),
    ]
    await until('both have begun', () => linesOf(file).length === 2)
    for (const pid of server.processes('jobs')) process.kill(pid, 'SIGKILL')
    await Promise.all(ids.map((id) => web.reaches(id, 'completed', 60_000)))
    expect(linesOf(file).sort()).toEqual(['1', '1', '2', '2'])
  })

  test('every accepted job is done after everything was killed, and nobody is left behind', async (t) => {
    const { project } = await begin(t, { concurrency: 1 })
    const web = await project.web()
    const first = await project.run()
    first.expectLog(DIED)
    const file = project.file('starts')
    const ids: string[] = []
    for (let n = 0; n < 12; n++) ids.push(await web.enqueue('work', { ms: 300, file, n }))
    await until('some have begun', () => linesOf(file).length >= 3)
    const children = [...first.processes('jobs'), ...first.processes('jobs-store')]
    for (const pid of [first.pid, ...children]) process.kill(pid, 'SIGKILL')
    await first.exit()
    const second = await project.run()
    await Promise.all(ids.map((id) => web.reaches(id, 'completed', 90_000)))
    const alive = [...second.processes('jobs'), ...second.processes('jobs-store')]
    // the supervisor alone: its processes must end by themselves
    process.kill(second.pid, 'SIGKILL')
    await until('no orphans', () => !alive.some(isAlive), 30_000)
  })

  test('no accepted job is lost while its store is killed five times', async (t) => {
    const { project, store } = await begin(t)
    const [web, server] = await Promise.all([project.web(), project.run()])
    server.expectLog(DIED)
    const ids: string[] = []
    let load: 'on' | 'off' = 'on'
    const loading = (async () => {
      for (let n = 0; load === 'on'; n++) {
        // what was not accepted may be lost, and is not counted
        const id = await web.enqueue('work', { n }).catch(() => undefined)
        if (id !== undefined) ids.push(id)
      }
    })()
    for (let n = 0; n < 5; n++) {
      const before = ids.length
      await until('jobs are accepted', () => ids.length > before + 5, 60_000)
      if (store.crash) await store.crash()
      else process.kill(server.newest('jobs-store'), 'SIGKILL')
    }
    const before = ids.length
    await until('jobs are accepted', () => ids.length > before, 60_000)
    load = 'off'
    await loading
    for (const id of ids) await web.reaches(id, 'completed', 90_000)
    expect(ids.length).toBeGreaterThan(30)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
  })

  test('a job that kills its process is begun three times, and has failed', async (t) => {
    const { project } = await begin(t)
    const [web, server] = await Promise.all([project.web(), project.run()])
    server.expectLog(DIED)
    const file = project.file('starts')
    const poison = await web.enqueue('poison', { file })
    const other = await web.enqueue('add', { a: 1, b: 1 })
    await web.reaches(other, 'completed')
    const { error } = await web.reaches(poison, 'failed', 100_000)
    expect(error).toContain('stalled')
    expect(linesOf(file)).toHaveLength(3)
    expect((await server.log(DIED)).msg).toMatch(/was ended by SIGKILL/)
  })

  test('SIGTERM lets short jobs finish and gives long ones back as they were', async (t) => {
    const { project } = await begin(t, { workers: 1, grace: '2s' })
    const [web, server] = await Promise.all([project.web(), project.run()])
    const file = project.file('starts')
    const short = await web.enqueue('work', { ms: 1_000, file, n: 1 })
    const long = await web.enqueue('work', { ms: 8_000, file, n: 2 })
    await until('both have begun', () => linesOf(file).length === 2)
    server.signal('SIGTERM')
    await server.log(/was not finished in time; it waits for the next process/)
    expect(await server.exit()).toMatchObject({ code: 0 })
    await project.run()
    await until('the long one is begun again', () => linesOf(file).length === 3, 10_000)
    expect(await web.status(short)).toMatchObject({ status: 'completed', attempts: 1 })
    expect(await web.reaches(long, 'completed')).toMatchObject({ attempts: 2 })
  })

  test('what becomes of jobs is counted by the server, whatever becomes of their processes', async (t) => {
    const store = (await jobStores[name]!(t)).url
    const jobs = { workers: 1, concurrency: 3, ...(store && { store }) }
    const project = new JobProject(t, jobs, {}, { admin: '127.0.0.1:0' })
    const web = await project.all(1)
    web.server.expectLog(/^Ended by itself: jobs /)
    const admin = await web.admin()
    const scrape = async () => parseExposition((await request(admin, '/metrics')).text)
    const are = (wanted: readonly (readonly [string, Record<string, string>, number])[]) => {
      let faults: unknown[] = []
      return until('the metrics are as they should be', async () => {
        const families = await scrape()
        faults = wanted.flatMap(([series, labels, value]) => {
          const is = valueIn(families, series, { queue: 'jobs', ...labels })
          return is === value ? [] : [{ series, labels, value, is }]
        })
        return faults.length === 0
      }).catch((error: unknown) => {
        throw new Error(`${String(error)}: ${JSON.stringify(faults)}`)
      })
    }
    const ended = (job: string, result: string, n: number) =>
      ['jobs_attempts_total', { job, result }, n] as const
    await are([ended('add', 'failed', 0), ['jobs_queue_size', { state: 'waiting' }, 0]])
    for (let n = 0; n < 3; n++) await web.enqueue('add', { a: n, b: n })
    for (let n = 0; n < 5; n++) await web.enqueue(`nobody-${n}`)
    await web.enqueue('add', {}, { delay: 1_000 })
    await web.reaches(await web.enqueue('fails'), 'failed')
    await web.reaches(await web.enqueue('spin'), 'failed')
    const counted = [
      ended('fails', 'retried', 2),
      ended('fails', 'failed', 1),
      ended('spin', 'retried', 1),
      ended('_OTHER', 'failed', 5),
      ['jobs_timeouts_total', { job: 'spin' }, 2],
      ['jobs_duration_seconds_count', { job: 'fails' }, 3],
      ['jobs_duration_seconds_bucket', { job: 'spin', le: '1' }, 0],
      ['jobs_duration_seconds_bucket', { job: 'spin', le: '5' }, 2],
      ['jobs_wait_duration_seconds_count', { job: 'fails' }, 1],
    ] as const
    await are([
      ...counted,
      ended('add', 'completed', 3),
      ['jobs_queue_size', { state: 'completed' }, 3],
      ['jobs_queue_size', { state: 'failed' }, 7],
      ['jobs_queue_size', { state: 'delayed' }, 1],
    ])
    const series = async (): Promise<number> =>
      (await scrape()).get('jobs_attempts_total')!.samples.length
    const before = await series()
    const [pid] = web.server.lines.flatMap((line) =>
      line.event === 'jobsReady' ? [line['worker']] : [],
    )
    const left = await web.enqueue('work', { ms: 1_000 })
    await web.reaches(left, 'processing')
    process.kill(pid as number, 'SIGKILL')
    await web.reaches(left, 'completed')
    web.server.signal('SIGHUP')
    await web.server.log(/^Reload finished/)
    await web.reaches(await web.enqueue('add', { a: 1, b: 1 }), 'completed')
    await are([...counted, ended('add', 'completed', 4), ended('work', 'completed', 1)])
    expect(valueIn(await scrape(), 'jobs_stalled_total')).toBe(1)
    expect(await series(), 'a job has no series of its own').toBe(before)
  })
})
