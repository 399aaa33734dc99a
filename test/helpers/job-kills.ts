// SIGKILL for the processes that serve jobs, for whom chance has it: the same in each run.
import { JobProject, type JobServer, type TestStore, type Web } from './jobs.ts'
import { isAlive } from './process.ts'

export const VICTIMS = ['a job process', 'the store', 'the master', 'all of them'] as const
export type Victim = (typeof VICTIMS)[number]

/** From 0 to below what is asked for; Mulberry32. */
export function chance(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** Jobs that are enqueued one after another until `stop`; `ids` of those that were accepted: what was not may be lost. */
export function jobsWithoutEnd(web: Web): { readonly ids: string[]; stop(): Promise<void> } {
  const ids: string[] = []
  let load: 'on' | 'off' = 'on'
  const running = (async () => {
    for (let n = 0; load === 'on'; n++) {
      const id = await web.enqueue('work', { n }).catch(() => undefined)
      if (id !== undefined) ids.push(id)
    }
  })()
  const stop = (): Promise<void> => {
    load = 'off'
    return running
  }
  return { ids, stop }
}

/** Until the processes of a master that was killed are gone: they wait for their jobs, and the store waits for its clients. */
const ORPHANS_MS = 40_000

/** `supervisor jobs` of a project, whose processes are killed and come back. */
export class Crew {
  readonly #project: JobProject
  readonly #store: TestStore
  #server: JobServer

  private constructor(project: JobProject, store: TestStore, server: JobServer) {
    this.#project = project
    this.#store = store
    this.#server = server
  }

  static async start(project: JobProject, store: TestStore): Promise<Crew> {
    return new Crew(project, store, await project.run())
  }

  /** Returns when a master that was killed has a successor who is ready. */
  async kill(victim: Victim, any: (below: number) => number): Promise<void> {
    const server = this.#server
    server.expectLog(/^Ended by itself: jobs/)
    const jobs = server.processes('jobs').filter(isAlive)
    const stores = server.processes('jobs-store').filter(isAlive)
    if (victim === 'a job process') return end(jobs.splice(any(jobs.length), 1))
    if (victim === 'the store') return this.#store.crash ? this.#store.crash() : end(stores)
    end([server.pid, ...(victim === 'all of them' ? [...jobs, ...stores] : [])])
    await server.exit(ORPHANS_MS)
    this.#server = await this.#project.run()
  }

  /** By SIGTERM; its exit status. */
  async stop(): Promise<number | null> {
    this.#server.signal('SIGTERM')
    return (await this.#server.exit()).code
  }
}

function end(pids: readonly number[]): void {
  for (const pid of pids) process.kill(pid, 'SIGKILL')
}
