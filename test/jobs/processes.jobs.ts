// What befalls the processes of the jobs, whichever store they have, and what holds for each isolation.
import { expect, test } from 'vitest'
import { isAlive } from '../helpers/process.ts'
import { JobProject, startRedis } from '../helpers/jobs.ts'
import type { Teardown } from '../helpers/temp.ts'
import { until } from '../helpers/until.ts'
import { runCommand } from '../helpers/command.ts'
import type { ServerStatus } from '../../src/control-protocol.ts'

test('a job process whose loop stands still is killed for it, and replaced', async (t) => {
  const project = new JobProject(t, { workers: 1 })
  const web = await project.all(1)
  const { server } = web
  server.expectLog(/^Killed: jobs .*nothing was heard from it$/)
  const booting = await server.log(/^Booting jobs with pid/)
  process.kill(booting['worker'] as number, 'SIGSTOP')
  const exited = await server.log(/^Exited: jobs /, { ms: 40_000 })
  expect(exited).toMatchObject({ worker: booting['worker'], reason: 'silent' })
  await server.logTimes(/^Job worker ready/, 2)
  await web.reaches(await web.enqueue('add', { a: 1, b: 2 }), 'completed')
  const { stdout } = await runCommand({}, ['status', '--json', '--pid', String(server.pid)])
  const { processes } = JSON.parse(stdout) as ServerStatus
  expect(processes.find(({ group }) => group === 'jobs')).toMatchObject({
    restarts: 1,
    lastRestart: { reason: 'silent' },
  })
})

async function begin(t: Teardown, settings: object) {
  const { url } = await startRedis(t, '--appendonly', 'yes')
  const project = new JobProject(t, { store: url, workers: 1, ...settings })
  const [web, server] = await Promise.all([project.web(), project.run()])
  return { web, server }
}

test('isolation: process keeps every promise of a thread, and ends native code too', async (t) => {
  const { web, server } = await begin(t, { isolation: 'process', concurrency: 4 })
  const result = async (name: string) => {
    const id = await web.enqueue(name, { pages: 9 })
    await web.reaches(id, 'completed')
    return { id, value: (await web.server.get(`/v1/jobs/${id}/result`)).json<unknown>() }
  }
  const [child] = [(await result('pid')).value]
  expect([server.newest('jobs'), web.server.pid]).not.toContain(child)
  expect((await result('pid')).value, 'the next job has the same child').toBe(child)
  const ended = {
    spin: 'it took longer than 1 s',
    native: 'it took longer than 1 s',
    exit: 'it ended its process with exit code 7',
    oom: 'it needed more memory than it may have',
    'throws-late': 'thrown late',
    poison: 'its process was ended by SIGKILL',
    fails: 'broken 3',
  }
  await Promise.all(
    Object.entries(ended).map(async ([job, error]) => {
      const failed = await web.reaches(await web.enqueue(job, { file: '/dev/null' }), 'failed')
      const attempts = { spin: 2, fails: 3 }[job] ?? 1
      expect(failed).toMatchObject({ error, attempts })
    }),
  )
  const pages = await web.status((await result('pages')).id)
  expect(pages.progress, 'its last word').toEqual({ current_page: 9, total_pages: 9 })
  const spin = await web.enqueue('spin-for-ever')
  await web.reaches(spin, 'processing')
  const answer = await web.server.get(`/v1/jobs/${spin}`, { method: 'DELETE' })
  expect(answer.json()).toEqual({ job_id: spin, cancelled: true })
  expect(server.processes('jobs'), 'none of that has harmed the job process').toHaveLength(1)
  const last = (await result('pid')).value as number
  process.kill(server.pid, 'SIGKILL')
  process.kill(server.newest('jobs'), 'SIGKILL')
  await until('no child is left behind', () => !isAlive(last))
})

test('isolation: inline fails a job in time that ignores its signal, and replaces its process', async (t) => {
  const { web, server } = await begin(t, { isolation: 'inline' })
  server.expectLog(/^Ended by itself: jobs/)
  const id = await web.enqueue('pid')
  await web.reaches(id, 'completed')
  const pid = (await web.server.get(`/v1/jobs/${id}/result`)).json()
  expect(pid).toBe(server.newest('jobs'))
  const deaf = await web.reaches(await web.enqueue('deaf'), 'failed')
  expect(deaf.error).toBe('it took longer than 0.5 s')
  await until('another has its place', () => server.processes('jobs').length === 2)
  await web.reaches(await web.enqueue('add', { a: 1, b: 1 }), 'completed')
})
