// What the jobs refuse, what they warn of, and what they keep to themselves; and how a store leaves while others use it.
import { expect, test } from 'vitest'
import { networkOf } from '../../src/jobs/store/file-system.ts'
import { JobProject, startRedis } from '../helpers/jobs.ts'

test('a second server on the same dataDir serves without jobs, says who has them, and takes them over', async (t) => {
  const project = new JobProject(t, { workers: 1 })
  const first = await project.all(1)
  const { worker: owner } = await first.server.log(/^Booting jobs-store/)
  const second = await project.web({})
  second.server.expectLog(/^Ended by itself: jobs-store/)
  await second.server.log(
    new RegExp(
      `^Ended by itself: jobs-store .*: the job store in .* is in use by process ${owner}; give this server a dataDir of its own, or let both use REDIS_URL$`,
    ),
  )
  expect((await second.server.get('/')).text).toBe('home')
  const third = await project.run('--workers', '1')
  expect((await third.log(/^Using the job store in .*, which process/))['owner']).toBe(owner)
  third.signal('SIGTERM')
  await third.exit()
  first.server.signal('SIGTERM')
  await first.server.exit()
  await second.server.log(/^Job worker ready/, { ms: 60_000 })
})

test('a Redis that may throw jobs away is refused, and one that forgets them is warned of once', async (t) => {
  const evicts = await startRedis(t, '--appendonly', 'yes', '--maxmemory-policy', 'allkeys-lru')
  const refused = new JobProject(t, { store: evicts.url }).spawn()
  refused.expectLog(/^Redis may throw jobs away/, /^Ended by itself: jobs/)
  expect(await refused.exit(60_000)).toMatchObject({ code: 1 })
  const said = await refused.log(/^Redis may throw/)
  expect(said).toMatchObject({
    event: 'startFailed',
    msg: expect.stringContaining('(maxmemory-policy allkeys-lru): redis-cli CONFIG SET') as string,
  })
  const forgets = await startRedis(t)
  const warned = await new JobProject(t, { store: forgets.url, workers: 2 }).run()
  await warned.logTimes(/^Job worker ready/, 2)
  const warnings = warned.lines.filter(({ event }) => event === 'jobsForgetful')
  expect(warnings.map(({ level }) => level)).toEqual(['warning'])
})

test('a password is in no log, no config and no status, also where it is wrong', async (t) => {
  const secret = 'pass-w0rd-of-redis'
  const { url } = await startRedis(t, '--appendonly', 'yes', '--requirepass', secret)
  const store = url!.replace('redis://', `redis://:${secret}@`)
  const project = new JobProject(t, { store, workers: 1 })
  const web = await project.all(1)
  await web.reaches(await web.enqueue('add', { a: 1, b: 2 }), 'completed')
  const pid = String(web.server.pid)
  const wrong = new JobProject(t, { store: store.replace(secret, `${secret}-wrong`) })
  const said = await Promise.all([
    project.command('config'),
    project.command('config', '--json'),
    project.command('status', '--json', '--pid', pid),
    project.command('jobs', 'ls'),
    wrong.command('jobs', 'ls'),
  ])
  const server = web.server
  const all = JSON.stringify([said, server.lines, server.output, server.stderrLines])
  expect(all).not.toContain(secret)
  expect(all).toContain(new URL(url!).host)
})

test('without a Redis on PATH, redis-local says what to do', async (t) => {
  const server = new JobProject(t, { store: 'redis-local' }, { PATH: '/nowhere' }).spawn()
  server.expectLog(/./)
  expect(await server.exit(60_000)).toMatchObject({ code: 1 })
  await server.log(/there is neither a redis-server nor a valkey-server on PATH: install one/)
})

test('a directory that several machines see is no place for a local store', () => {
  expect([0x6969, 0xff534d42, 0xff534d42 - 2 ** 32].map(networkOf)).toEqual(['NFS', 'CIFS', 'CIFS'])
  expect(networkOf(0xef53), 'ext4').toBeUndefined()
})

test('a store that leaves disturbs nobody who still looks at it', async (t) => {
  const project = new JobProject(t, { workers: 1 })
  const [web, jobs] = await Promise.all([project.web(), project.run()])
  const id = await web.enqueue('spin-for-ever')
  await web.reaches(id, 'processing')
  const events = web.server.get(`/v1/jobs/${id}/events`)
  jobs.signal('SIGINT')
  expect(await jobs.exit()).toMatchObject({ code: 0 })
  expect((await events).text).toMatch(/^event: status/)
  expect([web.server.stderr, jobs.stderr]).toEqual(['', ''])
})
