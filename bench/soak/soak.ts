// The soak itself: a server, its clients, one that blocks, and somebody who looks at all of it.

import http from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from '../../test/helpers/client.ts'
import { childrenOf, zombieChildrenOf } from '../../test/helpers/process.ts'
import type { LogLine, Server } from '../../test/helpers/server.ts'
import { until } from '../../test/helpers/until.ts'
import { ours } from '../deadlines/bench.ts'
import { median, quantile } from '../report.ts'
import { apps } from '../servers.ts'
import type { Site } from '../site.ts'
import { act, block, ROUTES, TIMEOUT_MS, type Context, type Done } from './actions.ts'
import { Lateness, sample, type Sample } from './gauges.ts'
import { Judge } from './judge.ts'
import { Random } from './random.ts'

const WORKERS = 3
/** Between two steps of a client, ms. */
const PAUSE_MS = [1, 40] as const
/** Between two blocks, ms; the next one waits until all workers are back. */
const BLOCK_PAUSE_MS = [500, 6_000] as const
/** Nothing blocks in this last share of the time, so that workers grow old and leaks grow big. */
const CALM_SHARE = 1 / 3
/** So long the log may be behind what its clients saw, ms. */
const JUDGE_AFTER_MS = 5_000
const SAMPLE_MS = 5_000
const FLAGS = ['--workers', String(WORKERS), '--timeout', String(TIMEOUT_MS / 1000)]
const MORE_FLAGS = ['--log-level', 'debug', '--node-args=--expose-gc']

/** What may stay behind in a process, beside what a fresh one has. */
const ALLOWED = { workerFiles: 3, masterFiles: 0, workerHeap: 3e6, masterMemory: 15e6 } as const

interface Weight {
  readonly pid: number
  readonly heap: number
}

export class Soak {
  readonly #server: Server
  readonly #seed: number
  readonly #clients: number
  readonly #port: number
  readonly #lateness = new Lateness()
  readonly #judge: Judge
  readonly #counts = new Map<string, number>()
  readonly #broken: string[] = []
  readonly #waiting: Done[] = []
  readonly #lost: string[] = []
  readonly #samples: Sample[] = []
  readonly #blocks: Done[] = []
  /** Of what a fresh server has. */
  #fresh!: { heap: number; workerFiles: number; masterFiles: number }
  #old!: { heap: number; workerFiles: number; masterFiles: number }
  #state: 'running' | 'calm' | 'stopping' = 'running'

  private constructor(t: Site, server: Server, seed: number, clients: number) {
    this.#server = server
    this.#seed = seed
    this.#clients = clients
    this.#port = Number(new URL(server.url).port)
    this.#judge = new Judge(server.lines, this.#lateness.between)
    t.onTestFinished(() => this.#lateness.stop())
  }

  static async start(t: Site, node: string, seed: number, clients: number): Promise<Soak> {
    const config = { routes: ROUTES }
    const server = await ours(t, node, join(apps, 'soak.cjs'), [...FLAGS, ...MORE_FLAGS], {
      config,
    })
    const soak = new Soak(t, server, seed, clients)
    await soak.#warmUp()
    soak.#fresh = await soak.#weigh()
    return soak
  }

  async goOn(ms: number): Promise<void> {
    const began = performance.now()
    const clients = Array.from({ length: this.#clients }, (_, n) => this.#client(n + 1))
    const watching = [this.#block(), this.#look(began, ms)]
    await sleep(ms * (1 - CALM_SHARE))
    this.#state = 'calm'
    await sleep(ms * CALM_SHARE)
    this.#state = 'stopping'
    await Promise.all([...clients, ...watching])
  }

  /** What is broken, when all is quiet again. */
  async end(): Promise<readonly string[]> {
    await until('the log has heard of everything', () => this.#judgeUntil(Infinity) === 0).catch(
      () => undefined, // then judge what is there
    )
    await this.#quiet()
    this.#old = await this.#weigh()
    this.#checkLeaks()
    this.#checkLog()
    return this.#broken
  }

  /** A step is `seed.client.step`; its random numbers are its own. */
  async #client(client: number): Promise<void> {
    const kept = new http.Agent({ keepAlive: true, maxSockets: 1 })
    for (let step = 1; this.#state !== 'stopping'; step++) {
      const context = this.#context(kept, client, step)
      this.#waiting.push(await act(context))
      await sleep(context.random.between(...PAUSE_MS))
    }
    kept.destroy()
  }

  #context(kept: http.Agent, client: number, step: number): Context {
    const random = new Random(this.#seed, client, step)
    return { port: this.#port, random, kept, id: `${client}.${step}` }
  }

  /** One at a time: a server whose workers are all blocked keeps everybody waiting, as it must. */
  async #block(): Promise<void> {
    const kept = new http.Agent({ keepAlive: true, maxSockets: 1 })
    for (let step = 1; this.#state === 'running'; step++) {
      const context = this.#context(kept, 0, step)
      await sleep(context.random.between(...BLOCK_PAUSE_MS))
      await until('all workers are there', () => this.#ready() >= WORKERS, 60_000)
      if (this.#state !== 'running') break
      const done = await block(context)
      this.#blocks.push(done)
      this.#waiting.push(done)
    }
    kept.destroy()
  }

  #ready(): number {
    const ready = new Set<unknown>()
    for (const { event, worker } of this.#server.lines) {
      if (event === 'workerReady') ready.add(worker)
      else if (GONE.has(event)) ready.delete(worker)
    }
    return ready.size
  }

  async #look(began: number, ms: number): Promise<void> {
    while (this.#state !== 'stopping') {
      await sleep(SAMPLE_MS)
      for (const pid of [this.#server.pid, ...this.#server.pids()]) {
        const one = sample(pid)
        if (one) this.#samples.push(one)
      }
      this.#judgeUntil(Date.now() - JUDGE_AFTER_MS)
      this.#sayHow(performance.now() - began, ms)
    }
  }

  #said = 0
  #sayHow(elapsed: number, ms: number): void {
    const minute = Math.floor(elapsed / 60_000)
    if (minute === this.#said) return
    this.#said = minute
    const sum = [...this.#counts.values()].reduce((a, b) => a + b, 0)
    console.log(
      `${minute} of ${ms / 60_000} minutes: ${sum} requests, ${this.#blocks.length} blocks, ${this.#broken.length} broken`,
    )
  }

  /** How many are left to judge. */
  #judgeUntil(time: number): number {
    const due = this.#waiting.filter(({ outcome }) => outcome.endedAt < time)
    const rest = this.#waiting.filter(({ outcome }) => outcome.endedAt >= time)
    this.#waiting.splice(0, Infinity, ...rest)
    for (const done of due) {
      const { verdict, why } = this.#judge.judge(done)
      const name = `${done.action}: ${verdict}`
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
      if (why !== undefined) this.#break(why)
      if (verdict.startsWith('lost'))
        this.#lost.push(`${done.action} ${done.path}: ${this.#judge.when(done)}`)
    }
    return this.#waiting.length
  }

  #break(why: string): void {
    this.#broken.push(why)
    console.log(`BROKEN ${why}`)
  }

  /** All workers there, nobody connected, nothing in flight: the digests say that every slot is free. */
  async #quiet(): Promise<void> {
    const from = this.#server.lines.length
    const free = (pid: number): boolean => {
      const digest = this.#server.lines
        .slice(from)
        .findLast(({ event, worker }) => event === 'digest' && worker === pid)
      return digest?.['inFlight'] === 0 && digest['connections'] === 0
    }
    await until(
      'every slot of every worker is free',
      () => this.#ready() === WORKERS && this.#workers().every(free),
      30_000,
    ).catch((error: unknown) => {
      const digests = this.#workers().map((pid) =>
        this.#server.lines.findLast(({ event, worker }) => event === 'digest' && worker === pid),
      )
      this.#break(`${String(error)}: ${JSON.stringify(digests)}`)
    })
  }

  #workers(): number[] {
    return this.#server.pids()
  }

  async #warmUp(): Promise<void> {
    for (let n = 0; n < 600; n++) await request(this.#server.url, `/ok?id=${n}`)
    for (let n = 0; n < 30; n++) await request(this.#server.url, '/wait?id=1&ms=1')
  }

  /** After a collection, the heap of each worker; and the descriptors when its connections are closed. */
  async #weigh(): Promise<{ heap: number; workerFiles: number; masterFiles: number }> {
    const heaps = new Map<number, number>()
    await until('each worker said what it weighs', async () => {
      const { pid, heap } = (await request(this.#server.url, '/heap')).json<Weight>()
      heaps.set(pid, heap)
      return heaps.size >= WORKERS
    })
    await this.#quiet()
    const files = this.#workers().map((pid) => sample(pid)?.files ?? NaN)
    return {
      heap: Math.max(...heaps.values()),
      workerFiles: Math.max(...files),
      masterFiles: sample(this.#server.pid)!.files,
    }
  }

  #checkLeaks(): void {
    const [fresh, old] = [this.#fresh, this.#old]
    const grew = (what: string, by: number, allowed: number): void => {
      if (!(by <= allowed)) this.#break(`${what} grew by ${by}; at most ${allowed} is allowed`)
    }
    grew('descriptors of a worker', old.workerFiles - fresh.workerFiles, ALLOWED.workerFiles)
    grew('descriptors of the master', old.masterFiles - fresh.masterFiles, ALLOWED.masterFiles)
    grew('heap of a worker (bytes)', old.heap - fresh.heap, ALLOWED.workerHeap)
    grew("the master's memory (bytes)", this.#masterGrowth(), ALLOWED.masterMemory)
    const children = childrenOf(this.#server.pid).length
    if (children !== WORKERS) this.#break(`the master has ${children} children`)
    const zombies = zombieChildrenOf(this.#server.pid).length
    if (zombies > 0) this.#break(`the master has ${zombies} zombies`)
  }

  /** From the second to the last tenth of the time: in the first one it compiles. */
  #masterGrowth(): number {
    const all = this.#samples.filter(({ pid }) => pid === this.#server.pid).map((s) => s.memory)
    const tenth = Math.max(1, Math.floor(all.length / 10))
    return median(all.slice(-tenth)) - median(all.slice(tenth, 2 * tenth))
  }

  /** One death for each block, each with the right culprit, and nothing else that went wrong. */
  #checkLog(): void {
    const { lines, stderr } = this.#server
    const deaths = lines.filter(({ event }) => event === 'workerTimeout')
    const blocks = new Set(this.#blocks.map(({ path }) => path))
    if (deaths.length !== blocks.size)
      this.#break(`${blocks.size} blocks, but ${deaths.length} deaths`)
    for (const death of deaths) {
      const { url } = death['culprit'] as { url?: string }
      if (death['certain'] && !blocks.has(url ?? '')) this.#break(`wrong culprit: ${death.msg}`)
    }
    for (const line of lines) if (isSurprise(line)) this.#break(`in the log: ${line.msg}`)
    if (stderr !== '') this.#break(`on stderr: ${stderr.slice(0, 2_000)}`)
  }

  /** `loop: 3 x 504, native: 2 x 503` */
  #blocksByWay(): string {
    const ways = new Map<string, number>()
    for (const { path, outcome } of this.#blocks) {
      const way = `${path.split(/[/?]/)[2]} ${outcome.status ?? outcome.error}`
      ways.set(way, (ways.get(way) ?? 0) + 1)
    }
    return [...ways].map(([way, times]) => `${times} x ${way}`).join(', ')
  }

  summary(): string {
    const counts = [...this.#counts].sort(([a], [b]) => a.localeCompare(b))
    const ages = this.#blocks.map(({ outcome }) => outcome.endedAt - outcome.startedAt)
    const recycled = this.#server.lines.filter(({ event }) => event === 'workerExiting').length
    const rss = this.#samples
      .filter(({ pid }) => pid !== this.#server.pid)
      .map((s) => s.memory / 1e6)
    return [
      '',
      ...counts.map(([name, times]) => `${String(times).padStart(8)}  ${name}`),
      `  ${this.#blocksByWay()}`,
      ...this.#lost.map((one) => `lost: ${one}`),
      `${this.#blocks.length} blocks: answered after ${median(ages)} ms (p99 ${quantile(ages, 0.99)}); ${recycled} workers left for having too many orphans`,
      `fresh server: ${JSON.stringify(this.#fresh)}`,
      `in the end:   ${JSON.stringify(this.#old)}`,
      `memory of the master grew by ${(this.#masterGrowth() / 1e6).toFixed(1)} MB; of a worker: median ${median(rss).toFixed(0)} MB, at most ${Math.max(...rss).toFixed(0)} MB`,
    ].join('\n')
  }
}

const GONE = new Set(['workerExiting', 'workerExited', 'workerCrashed', 'workerTimeout'])
const EXPECTED = new Set(['requestTimeout', 'workerTimeout', 'alert'])

const isSurprise = ({ event, level }: LogLine): boolean =>
  (level === 'error' || level === 'critical') && !EXPECTED.has(event)
