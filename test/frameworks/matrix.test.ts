// The framework matrix: every framework, listening by itself and exported, goes through the same five behaviours with
// real workers. A failure names the framework, the mode and the behaviour.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { request, type Answer } from '../helpers/client.ts'
import { startLoad } from '../helpers/load.ts'
import { startServer, type Server } from '../helpers/server.ts'
import type { Teardown } from '../helpers/temp.ts'
import { until } from '../helpers/until.ts'
import { freePort } from '../helpers/walkthrough.ts'
import { directory, frameworks, type Deed, type Framework, type Mode } from './frameworks.ts'
import type { Behaviour, Result } from './table.ts'

const WORKERS = 2
const IN_FLIGHT = 8

interface Subject {
  readonly t: Teardown
  readonly framework: Framework
  readonly server: Server
}

const get = ({ framework, server }: Subject, deed: Deed): Promise<Answer> =>
  request(server.url, `/${deed}`, framework.ask ? { method: 'POST', ...framework.ask(deed) } : {})

async function allReady({ server }: Subject): Promise<void> {
  const ready = (): number =>
    server.pids().filter((pid) => server.lines.some((line) => isReady(line.msg, pid))).length
  await until('all workers are ready', () => ready() === WORKERS)
}

const isReady = (msg: string, pid: number): boolean =>
  (/^Worker ready/.test(msg) && msg.includes(`(pid: ${pid})`)) ||
  (/^Server is ready/.test(msg) && new RegExp(`\\b${pid}\\b`).test(msg))

/** In this order, on one server. Where requests are counted, how many there were; that none was lost is checked here. */
const behaviours: Readonly<Record<Behaviour, (subject: Subject) => Promise<number | void>>> = {
  async serves(subject) {
    expect(subject.server.urls, 'it listens where --bind says').toEqual([
      expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    ])
    const answer = await get(subject, 'hello')
    expect(answer).toMatchObject({ status: 200, text: expect.stringContaining('hello') })
  },

  async late(subject) {
    subject.server.expectLog(/^REQUEST TIMEOUT/)
    expect(await get(subject, 'never')).toMatchObject({ status: 504 })
    expect((await subject.server.log(/^REQUEST TIMEOUT/)).msg).toContain('/never')
  },

  async blocked(subject) {
    subject.server.expectLog(/^WORKER TIMEOUT/, /^ALERT/)
    expect(await get(subject, 'block')).toMatchObject({ status: 504 })
    expect((await subject.server.log(/^WORKER TIMEOUT/)).msg).toContain('/block')
    await allReady(subject)
    expect(await get(subject, 'hello')).toMatchObject({ status: 200 })
  },

  async reload(subject) {
    const { t, server, framework } = subject
    const clients = { keepAlive: 4, newConnections: 4, pause: 10 }
    const load = startLoad(t, server.url, {
      ...clients,
      path: '/hello',
      ...framework.ask?.('hello'),
    })
    await load.everyoneServed()
    const old = server.pids()
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    await load.everyoneServed()
    const { ok } = await load.stop()
    expect(load.failures).toEqual([])
    await until('the old workers are gone', () => old.every((pid) => !server.pids().includes(pid)))
    return ok
  },

  async stop(subject) {
    const { server } = subject
    const began = (): number => server.output.filter((line) => line === 'slow began').length
    const answers = Array.from({ length: IN_FLIGHT }, () => get(subject, 'slow'))
    await until('all requests are in flight', () => began() === IN_FLIGHT)
    server.signal('SIGTERM')
    for (const answer of await Promise.all(answers))
      expect(answer).toMatchObject({ status: 200, text: expect.stringContaining('done') })
    expect(await server.exit()).toMatchObject({ code: 0 })
    return IN_FLIGHT
  },
}

const results: Result[] = []

afterAll(() => {
  const file = process.env['FRAMEWORKS_RESULTS']
  if (file) writeFileSync(file, JSON.stringify(results))
})

async function start(t: Teardown, framework: Framework, app: string): Promise<Server> {
  const bind = `127.0.0.1:${framework.needsPort ? await freePort() : 0}`
  const routes = { '/never': { timeout: 1 }, '/block': { timeout: 1 } }
  const config = { workers: WORKERS, routes }
  const cwd = join(directory, framework.folder ?? 'apps')
  return startServer(t, app, { cwd, bind, config })
}

for (const framework of frameworks)
  describe.concurrent(framework.name, () => {
    for (const [mode, app] of Object.entries(framework.apps))
      test(`${mode}: serves, times out, reloads and stops`, async (t) => {
        const subject = { t, framework, server: await start(t, framework, app) }
        for (const [behaviour, check] of Object.entries(behaviours)) {
          const of = await check(subject).catch((error: unknown) => {
            const what = `${framework.name}, ${mode}: ${behaviour}`
            throw new Error(`${what}: ${(error as Error).message}`, { cause: error })
          })
          const result = { framework: framework.name, mode: mode as Mode, behaviour }
          results.push(of ? { ...result, of } : result)
        }
      })
  })
