// The job queue as its users start it: a project with jobs and an app, `supervisor jobs`, `supervisor start`, and the stores to choose from.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { runCommand, type Said } from './command.ts'
import { checkout } from './pages.ts'
import { bareEnvironment, cli, fixtures, Server, startServer } from './server.ts'
import { tempDir, type Teardown } from './temp.ts'
import { until } from './until.ts'

/** A store that is given to a project: what its settings say, and how it is killed and comes back. */
export interface TestStore {
  /** Undefined for the embedded one. */
  readonly url: string | undefined
  /** Kills it with SIGKILL and starts it again, if that is not the supervisor's to do. */
  readonly crash?: () => Promise<void>
}

export class JobProject {
  readonly dir: string
  readonly #t: Teardown
  readonly #env: Record<string, string>

  /** `settings`: of the jobs; `others`: beside them. */
  constructor(
    t: Teardown,
    settings: object = {},
    env: Record<string, string> = {},
    others: object = {},
  ) {
    this.#t = t
    this.#env = env
    this.dir = tempDir(t, { 'package.json': '{ "type": "module" }' })
    mkdirSync(join(this.dir, 'node_modules'))
    symlinkSync(checkout, join(this.dir, 'node_modules', 'nodicorn'))
    cpSync(join(fixtures, 'jobs'), this.dir, { recursive: true })
    const jobs = { entry: './jobs.js', grace: '5s', ...settings }
    writeFileSync(join(this.dir, 'supervisor.config.json'), JSON.stringify({ jobs, ...others }))
  }

  file(name: string): string {
    return join(this.dir, name)
  }

  /** `supervisor jobs`, ready. */
  async run(...flags: string[]): Promise<JobServer> {
    const server = this.spawn(...flags)
    await server.log(/^Jobs are ready/, { ms: 60_000 })
    return server
  }

  spawn(...flags: string[]): JobServer {
    return spawnJobs(this.#t, this.dir, this.#env, flags)
  }

  /** One question on the command line; its JSON. */
  ask<T>(...words: string[]): T {
    const env = { ...bareEnvironment(), ...this.#env }
    const options = { cwd: this.dir, env, encoding: 'utf8' } as const
    const all = [cli, 'jobs', ...words, '--json']
    return JSON.parse(execFileSync(process.execPath, all, options)) as T
  }

  /** Any command, run to its end in the project's directory. */
  command(...words: string[]): Promise<Said> {
    return runCommand(this.#env, words, this.dir)
  }

  /** `supervisor start` without job workers: those are run()'s. */
  web(env: Record<string, string> = { NUM_WORKERS: '0' }): Promise<Web> {
    return this.#start(env)
  }

  /** `supervisor start`, with job workers that are ready. */
  async all(workers = 2): Promise<Web> {
    const web = await this.#start({})
    await web.server.logTimes(/^Job worker ready/, workers, 60_000)
    return web
  }

  async #start(env: Record<string, string>): Promise<Web> {
    const all = { ...this.#env, ...env }
    const server = await startServer(this.#t, 'app.js', { cwd: this.dir, env: all })
    return new Web(server)
  }
}

/** `supervisor jobs` in a project's directory. */
export function spawnJobs(
  t: Teardown,
  cwd: string,
  env: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
): JobServer {
  const words = ['jobs', '--log-format', 'json', '--log-level', 'debug', ...flags]
  const child = spawn(process.execPath, [cli, ...words], {
    cwd,
    env: { ...bareEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const server = new JobServer(child)
  t.onTestFinished(() => server.tearDown())
  return server
}

export class JobServer extends Server {
  /** Processes of a group that were ever started, oldest first. */
  processes(group: 'jobs' | 'jobs-store'): number[] {
    return this.lines
      .filter((line) => line.event === 'processBooting' && line['group'] === group)
      .map((line) => line['worker'] as number)
  }

  newest(group: 'jobs' | 'jobs-store'): number {
    return this.processes(group).at(-1)!
  }
}

export interface Status {
  readonly job_id: string
  readonly status: 'queued' | 'processing' | 'completed' | 'failed'
  readonly progress: unknown
  readonly attempts: number
  readonly error?: string
  readonly [meta: string]: unknown
}

/** The app of the project, over HTTP. */
export class Web {
  readonly server: Server

  constructor(server: Server) {
    this.server = server
  }

  /** The admin address, if the settings have one. */
  async admin(): Promise<string> {
    return ((await this.server.log(/^Admin address: /)) as unknown as { url: string }).url
  }

  /** The id, once the 202 is there. */
  async enqueue(name: string, data: object = {}, options: object = {}): Promise<string> {
    const body = JSON.stringify({ data, options })
    const answer = await this.server.get(`/enqueue/${name}`, { method: 'POST', body })
    if (answer.status !== 202) throw new Error(`${answer.status}: ${answer.text}`)
    return answer.json<{ job_id: string }>().job_id
  }

  async status(id: string): Promise<Status> {
    return (await this.server.get(`/v1/jobs/${id}/status`)).json<Status>()
  }

  /** Waits for a status; its facts. */
  reaches(id: string, status: Status['status'], ms = 60_000): Promise<Status> {
    let last: Status | undefined
    return until(
      `job ${id} is ${status}`,
      async () => {
        last = await this.status(id)
        return last.status === status ? last : undefined
      },
      ms,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; it is ${JSON.stringify(last)}`)
    })
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Debian's Redis, on a port of its own. */
export async function startRedis(t: Teardown, ...flags: string[]): Promise<TestStore> {
  const [dir, port] = [tempDir(t), await freePort()]
  const words = ['--port', String(port), '--dir', dir, '--save', '', ...flags]
  const store = await kept(t, () => ready('redis-server', words, /Ready to accept/))
  return { url: `redis://127.0.0.1:${port}/0`, ...store }
}

const POSTGRES = '/usr/lib/postgresql'
const postgresBin = existsSync(POSTGRES)
  ? join(POSTGRES, readdirSync(POSTGRES).sort().at(-1)!, 'bin')
  : ''

/** Debian's Postgres, on a port of its own, as the user postgres: it refuses to be root's. */
export async function startPostgres(t: Teardown): Promise<TestStore> {
  const [dir, port] = [tempDir(t), await freePort()]
  const [uid, gid] = ['-u', '-g'].map((flag) =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' })),
  ) as [number, number]
  chownSync(dir, uid, gid)
  const data = join(dir, 'data')
  const as = { uid, gid, cwd: dir }
  execFileSync(join(postgresBin, 'initdb'), ['-D', data, '-A', 'trust', '-N'], as)
  const words = ['-D', data, '-p', String(port), '-k', dir, '-c', 'listen_addresses=127.0.0.1']
  const program = join(postgresBin, 'postgres')
  const store = await kept(t, () => ready(program, words, /ready to accept connections/, as))
  return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, ...store }
}

/** Ended after the test. */
async function kept(
  t: Teardown,
  start: () => Promise<ChildProcess>,
): Promise<{ crash: () => Promise<void> }> {
  let child = await start()
  const kill = async (): Promise<void> => {
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
  t.onTestFinished(kill)
  return {
    crash: async () => {
      await kill()
      child = await start()
    },
  }
}

async function ready(
  program: string,
  words: string[],
  says: RegExp,
  options: object = {},
): Promise<ChildProcess> {
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  let text = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (chunk: Buffer) => (text += String(chunk)))
  await until(`${program} is ready`, () => {
    if (child.exitCode !== null) throw new Error(text)
    return says.test(text)
  })
  return child
}

/** All that a job may be kept in. */
export const jobStores: Record<string, (t: Teardown) => Promise<TestStore>> = {
  embedded: () => Promise.resolve({ url: undefined }),
  'redis-local': () => Promise.resolve({ url: 'redis-local' }),
  redis: (t) => startRedis(t, '--appendonly', 'yes', '--appendfsync', 'always'),
  postgres: startPostgres,
}

/** Those that `JOB_STORES=embedded,redis` names, or all. */
export const wantedStores = process.env['JOB_STORES']?.split(',') ?? Object.keys(jobStores)
