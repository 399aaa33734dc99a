// What must hold all the time, while whatever happens happens: nobody is hung or refused, nothing is lost without an excuse,
// `supervisor status` answers, the master neither grows nor collects descriptors.

import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, openFiles, zombieChildrenOf } from '../../test/helpers/process.ts'
import { until } from '../../test/helpers/until.ts'
import { memoryOf } from '../../test/helpers/workers.ts'
import { sample, type Sample } from '../soak/gauges.ts'
import type { Asked } from './clients.ts'
import type { Fault } from './faults.ts'
import type { Subject } from './subject.ts'

const STATUS_EVERY_MS = 2_000
const SAMPLE_EVERY_MS = 1_000
/** Beside what a master had when it first was at rest with as many workers: what is opened when first asked for, for each worker too. */
const MORE_FILES = 2
const MORE_FILES_PER_WORKER = 2
/** What V8 takes before it collects; after the first minute of a master's life, bytes. */
const MORE_MEMORY = 40e6
const WARM_MS = 60_000
/** After the end of a worker, ms. */
const TOLD_MS = 5_000

/** Date.now() of its begin and end; a step that goes on has no end. */
export interface Window {
  readonly keeps: Fault['keeps']
  readonly from: number
  to: number
}

export interface MasterReport {
  readonly pid: number
  readonly seconds: number
  readonly files: readonly [first: number, last: number]
  readonly megabytes: readonly [first: number, last: number, most: number]
}

/** What its descriptors are: `socket`, `pipe`, a path. */
const filesOf = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fd`)
    .map((fd) => nameOf(`/proc/${pid}/fd/${fd}`))
    .sort()

function nameOf(link: string): string {
  try {
    return readlinkSync(link).replace(/:\[\d+\]$/, '')
  } catch (error) {
    // ENOENT: closed since the directory was read.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'closed'
    throw error
  }
}

export class Watch {
  readonly windows: Window[] = []
  /** What has an excuse. */
  lost = 0
  asked = 0
  /** Of `supervisor status --json`, ms. */
  readonly statusMs: number[] = []
  readonly #subject: Subject
  readonly #break: (why: string) => void
  readonly #samples: Sample[] = []
  /** Descriptors at rest, by master and number of workers. */
  readonly #files = new Map<string, string[]>()
  readonly #running: Promise<void>[]
  #state: 'running' | 'stopping' = 'running'

  /** `broken` is told what does not hold. */
  constructor(subject: Subject, broken: (why: string) => void) {
    this.#subject = subject
    this.#break = broken
    this.#running = [this.#askForStatus(), this.#sample()]
  }

  async stop(): Promise<void> {
    this.#state = 'stopping'
    await Promise.all(this.#running)
  }

  /** A request that was not answered as it should be. */
  readonly judge = ({ fault, trouble, outcome }: Asked): void => {
    const excused = this.windows.some(
      ({ keeps, from, to }) =>
        keeps === 'nothing' && from <= outcome.endedAt && to >= outcome.startedAt,
    )
    if (fault === 'lost' && excused) this.lost++
    else this.#break(`a request was ${fault}: ${trouble}`)
  }

  /** At rest: what was open and is not needed must be closed. */
  async atRest(): Promise<void> {
    const { master, target } = this.#subject
    const zombies = zombieChildrenOf(master)
    if (zombies.length > 0) this.#break(`the master has zombies: ${zombies.join(', ')}`)
    const key = `${master} with ${target}`
    const before = this.#files.get(key)
    const most = (before?.length ?? Infinity) + MORE_FILES + target * MORE_FILES_PER_WORKER
    const isFlat = (): boolean => openFiles(master) <= most
    await until('descriptors', isFlat, 5_000).catch(() =>
      this.#break(
        `the master has ${openFiles(master)} descriptors, ${most} are allowed: ${filesOf(master).join(' ')} instead of ${before?.join(' ')}`,
      ),
    )
    if (!before) this.#files.set(key, filesOf(master))
    const badEnds = (): string[] => {
      this.#subject.ready()
      return this.#subject.crew.badEnds(isAlive)
    }
    // a process is gone a moment before the log can say so
    await until('every end is told', () => badEnds().length === 0, TOLD_MS).catch(() =>
      badEnds().forEach((bad) => this.#break(bad)),
    )
  }

  async #askForStatus(): Promise<void> {
    while (this.#state === 'running') {
      const began = performance.now()
      const { master } = this.#subject
      const from = Date.now()
      try {
        await this.#subject.status()
        this.statusMs.push(performance.now() - began)
      } catch (error) {
        if (!this.#mayBeDeaf(master, from)) this.#break(String(error))
      }
      await sleep(STATUS_EVERY_MS)
    }
  }

  /** It has been replaced meanwhile, or could not accept a connection. */
  #mayBeDeaf(master: number, since: number): boolean {
    const isExcused = ({ keeps, to }: Window): boolean => keeps === 'nothing' && to >= since
    return this.#subject.master !== master || !isAlive(master) || this.windows.some(isExcused)
  }

  async #sample(): Promise<void> {
    while (this.#state === 'running') {
      const { master } = this.#subject
      const one = sample(master)
      if (one) this.#samples.push(one)
      const own = this.#samples.filter(({ pid }) => pid === master)
      const base = own.find(({ at }) => at > own[0]!.at + WARM_MS)
      const grown = isAlive(master) && base ? memoryOf(master) - base.memory : 0
      if (grown > MORE_MEMORY)
        this.#break(`the master grew by ${(grown / 1e6).toFixed(0)} MB since its first minute`)
      await sleep(SAMPLE_EVERY_MS)
    }
  }

  masters(): MasterReport[] {
    const pids = [...new Set(this.#samples.map(({ pid }) => pid))]
    return pids.map((pid) => {
      const own = this.#samples.filter((one) => one.pid === pid)
      const [first, last] = [own[0]!, own.at(-1)!]
      const inMB = (bytes: number): number => Math.round(bytes / 1e6)
      const most = Math.max(...own.map(({ memory }) => memory))
      return {
        pid,
        seconds: Math.round((last.at - first.at) / 1000),
        files: [first.files, last.files],
        megabytes: [inMB(first.memory), inMB(last.memory), inMB(most)],
      }
    })
  }
}
