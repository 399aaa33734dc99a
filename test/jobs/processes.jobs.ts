// What befalls the processes of the jobs, whichever store they have: run on the embedded one.
import { expect, test } from 'vitest'
import { JobProject } from '../helpers/jobs.ts'
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
