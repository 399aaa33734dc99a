// The soak: one fault after another, clients all the while, and an end at the first promise that is broken.

import { writeFileSync, appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from '../report.ts'
import type { Site } from '../site.ts'
import { Random } from '../soak/random.ts'
import { Clients } from './clients.ts'
import { deck, faults } from './faults.ts'
import { Subject } from './subject.ts'
import { Watch, type Window } from './watch.ts'

/** Until all workers are back, ms: the longest back-off is a second, a boot takes a fraction of one. */
const SETTLE_MS = 30_000
/** Between two steps, ms. */
const PAUSE_MS = [100, 1_000] as const
/** What was lost is known a moment later, ms. */
const AFTERMATH_MS = 300
const TAIL = 60
/** What is told of what breaks after the first promise. */
const MORE = 5

export interface Options {
  readonly minutes: number
  readonly seed: number
  readonly clients: number
  /** Gets a line of JSON for each step. */
  readonly events: string | undefined
}

interface Step {
  readonly step: number
  readonly fault: string
  readonly did: string
  /** From the start of the soak, s. */
  readonly at: number
  readonly seconds: number
  readonly lost: number
}

/** What broke which promise; the log tells the rest. */
export class Broken extends Error {}

export class Soak {
  readonly steps: Step[] = []
  readonly skipped = new Set<string>()
  readonly #options: Options
  readonly #subject: Subject
  readonly #watch: Watch
  readonly #clients: Clients
  readonly #began = performance.now()
  #doing = 'nothing'
  #broken: string | undefined
  #more = 0

  private constructor(subject: Subject, options: Options) {
    this.#options = options
    this.#subject = subject
    this.#watch = new Watch(subject, (why) => this.#break(why))
    const { clients, seed } = options
    this.#clients = new Clients(subject.port, clients, seed, this.#watch.judge)
    if (options.events !== undefined) writeFileSync(options.events, '')
  }

  static async start(t: Site, options: Options): Promise<Soak> {
    const subject = await Subject.start(t)
    await subject.settles(SETTLE_MS)
    return new Soak(subject, options)
  }

  /** Until the time is over or something is broken: then with a reason. */
  async run(): Promise<string | undefined> {
    await this.#watch.atRest()
    for (let round = 1; this.#goesOn(); round++)
      for (const name of deck(new Random(this.#options.seed, round))) {
        if (!this.#goesOn()) break
        await this.#step(name)
      }
    this.#doing = 'the end'
    await Promise.all([this.#clients.stop(), this.#watch.stop()])
    return this.#broken
  }

  #goesOn(): boolean {
    const elapsed = performance.now() - this.#began
    return this.#broken === undefined && elapsed < this.#options.minutes * 60_000
  }

  async #step(name: string): Promise<void> {
    const fault = faults[name]!
    const random = new Random(this.#options.seed, 0, this.steps.length + 1)
    const why = fault.skip?.(this.#subject)
    if (why !== undefined) return this.#skip(name, why)
    this.#doing = `step ${this.steps.length + 1}, ${name}`
    const began = performance.now()
    const { lost } = this.#watch
    const floor = this.#mark()
    const window: Window = { keeps: fault.keeps, from: Date.now(), to: Infinity }
    this.#watch.windows.push(window)
    const did = await this.#attempt(() => fault.run(this.#subject, random))
    await this.#attempt(() => this.#subject.settles(SETTLE_MS))
    await sleep(AFTERMATH_MS)
    window.to = Date.now()
    if (fault.keeps === 'all') this.#checkFloor(floor)
    await this.#watch.atRest()
    const seconds = (performance.now() - began) / 1000
    this.#note(name, did ?? '', seconds, this.#watch.lost - lost)
    await sleep(random.between(...PAUSE_MS))
  }

  /** What it throws breaks the soak. */
  async #attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      this.#break(String(error))
      return undefined
    }
  }

  #mark(): number {
    this.#subject.ready()
    this.#subject.crew.mark()
    return this.#subject.target
  }

  /** `before`: how many workers there were to be. */
  #checkFloor(before: number): void {
    this.#subject.ready()
    const [floor, fewest] = [Math.min(before, this.#subject.target), this.#subject.crew.fewest()]
    if (fewest < floor) this.#break(`only ${fewest} workers were ready, ${floor} should be`)
  }

  #note(fault: string, did: string, seconds: number, lost: number): void {
    const at = (performance.now() - this.#began) / 1000 - seconds
    const step = { step: this.steps.length + 1, fault, did, at, seconds, lost }
    this.steps.push(step)
    this.#tell(step)
    const cost = lost > 0 ? `, ${lost} requests lost` : ''
    const n = String(step.step).padStart(4)
    console.log(`${n} ${inSeconds(at).padStart(8)} ${fault} (${inSeconds(seconds)}${cost}): ${did}`)
  }

  #skip(name: string, why: string): void {
    if (!this.skipped.has(name)) console.log(`     ${name} is skipped: ${why}`)
    this.skipped.add(name)
    this.steps.push({
      step: this.steps.length + 1,
      fault: name,
      did: why,
      at: 0,
      seconds: 0,
      lost: 0,
    })
  }

  #tell(what: object): void {
    const { events } = this.#options
    if (events !== undefined) appendFileSync(events, `${JSON.stringify(what)}\n`)
  }

  #break(why: string): void {
    const { seed } = this.#options
    const what = `${why}\nseed ${seed}, during ${this.#doing}`
    this.#tell({ broken: why, seed, during: this.#doing })
    if (this.#broken !== undefined)
      return ++this.#more <= MORE ? console.log(`and: ${why}`) : undefined
    this.#broken = what
    const { lines, stderrLines } = this.#subject.server
    const tail = lines
      .slice(-TAIL)
      .map(({ time, pid, level, msg }) => `${time} ${pid} ${level} ${msg}`)
    console.log(
      [`BROKEN ${what}`, '--- log', ...tail, '--- stderr', ...stderrLines.slice(-20)].join('\n'),
    )
  }

  /** What happened, in figures. */
  facts(): object {
    const { counts } = this.#clients
    const byFault = new Map<string, { times: number; lost: number; slowest: number }>()
    for (const { fault, lost, seconds } of this.steps) {
      const one = byFault.get(fault) ?? { times: 0, lost: 0, slowest: 0 }
      const slowest = Math.max(one.slowest, Math.round(seconds * 10) / 10)
      byFault.set(fault, { times: one.times + 1, lost: one.lost + lost, slowest })
    }
    const { statusMs } = this.#watch
    return {
      requests: Object.fromEntries(counts),
      faults: Object.fromEntries([...byFault].sort()),
      skipped: [...this.skipped],
      ends: Object.fromEntries([...this.#subject.crew.endings()].sort()),
      masters: this.#watch.masters(),
      status: {
        times: statusMs.length,
        median: Math.round(quantile(statusMs, 0.5)),
        p99: Math.round(quantile(statusMs, 0.99)),
      },
    }
  }
}

const inSeconds = (n: number): string => `${n.toFixed(1)} s`
