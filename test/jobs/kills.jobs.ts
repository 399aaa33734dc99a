// Twenty times SIGKILL for whom chance has it, while jobs are accepted and done, on each store. It takes too long for the gate.
import { describe, expect, test } from 'vitest'
import { chance, Crew, jobsWithoutEnd, VICTIMS } from '../helpers/job-kills.ts'
import { JobProject, jobStores, wantedStores } from '../helpers/jobs.ts'
import { until } from '../helpers/until.ts'

describe.each(wantedStores)('%s', (name) => {
  test('no accepted job is lost over twenty random kills', { timeout: 600_000 }, async (t) => {
    const store = await jobStores[name]!(t)
    const url = store.url === undefined ? {} : { store: store.url }
    const project = new JobProject(t, { ...url, concurrency: 2 })
    const web = await project.web()
    const crew = await Crew.start(project, store)
    const { ids, stop } = jobsWithoutEnd(web)
    const any = chance(20_261_123)
    for (let n = 0; n < 20; n++) {
      const enough = ids.length + 1 + any(20)
      await until('jobs are accepted', () => ids.length >= enough, 90_000)
      await crew.kill(VICTIMS[any(VICTIMS.length)]!, any)
    }
    const before = ids.length
    await until('jobs are accepted', () => ids.length > before, 90_000)
    await stop()
    for (const id of ids) await web.reaches(id, 'completed', 90_000)
    expect(ids.length).toBeGreaterThan(100)
    expect(await crew.stop()).toBe(0)
  })
})
