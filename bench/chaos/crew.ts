// What the log says of the workers: who is ready, how few there ever were, and how each one ended. Reads each line once.

import type { LogLine } from '../../test/helpers/server.ts'

/** What ends a worker, and what its end is told by: one of the latter, unless one of the former was all. */
const CAUSES = ['workerTimeout', 'workerSilent', 'workerKilled']
const ENDS = ['workerExited', 'workerCrashed', 'bootFailed', 'reloadFailed']
const LEAVING = ['workerExiting', ...CAUSES, ...ENDS]

const timeOf = ({ time }: LogLine): number => Date.parse(time)

interface Life {
  /** Who tells of its end. */
  readonly master: number
  /** In order. */
  readonly ends: LogLine[]
}

export class Crew {
  readonly #lives = new Map<number, Life>()
  readonly #ready = new Set<number>()
  readonly #dead = new Set<number>()
  /** The master that started last. */
  #youngest = 0
  #read = 0
  /** Since mark(): who was ready then, and what was said. */
  #marked: readonly number[] = []
  #since: LogLine[] = []

  /** The log so far. */
  read(lines: readonly LogLine[]): void {
    for (; this.#read < lines.length; this.#read++) this.#hear(lines[this.#read]!)
  }

  #hear(line: LogLine): void {
    const worker = line['worker'] as number
    if (line.event === 'starting') this.#youngest = line.pid
    if (line.event === 'upgradeFailed' && this.#youngest !== line.pid) this.#bury(this.#youngest)
    if (line.event === 'booting') this.#lives.set(worker, { master: line.pid, ends: [] })
    if (line.event === 'workerReady') this.#ready.add(worker)
    if (LEAVING.includes(line.event)) this.#ready.delete(worker)
    if ([...CAUSES, ...ENDS].includes(line.event)) this.#lives.get(worker)?.ends.push(line)
    this.#since.push(line)
  }

  /** From here on, fewest() counts. */
  mark(): void {
    this.#marked = this.ready()
    this.#since = []
  }

  /** The fewest that were ready at once. By the time of what was said: two masters write, and the later line may come first. */
  fewest(): number {
    const ready = new Set<unknown>(this.#marked)
    let fewest = ready.size
    for (const { event, worker } of this.#since.toSorted((a, b) => timeOf(a) - timeOf(b))) {
      if (event === 'workerReady') ready.add(worker)
      if (LEAVING.includes(event)) ready.delete(worker)
      fewest = Math.min(fewest, ready.size)
    }
    return fewest
  }

  ready(): number[] {
    return [...this.#ready]
  }

  /** Booted, and not told to have ended; without those whose master can tell nothing any more. */
  alive(): number[] {
    const living = [...this.#lives].filter(([, { ends }]) => ends.length === 0)
    return living.filter(([, { master }]) => !this.#dead.has(master)).map(([pid]) => pid)
  }

  /** This master never came into charge, which is told by one line: its workers end without a word. */
  #bury(master: number): void {
    this.#dead.add(master)
    for (const [pid, life] of this.#lives) if (life.master === master) this.#ready.delete(pid)
  }

  /** Those that are gone without a word, with two, or without a reason. `isAlive`: asked of those without an end. */
  badEnds(isAlive: (pid: number) => boolean): string[] {
    return [...this.#lives].flatMap(([pid, { ends, master }]) => {
      if (this.#dead.has(master)) return isAlive(pid) ? [`worker ${pid} outlives its master`] : []
      const exits = ends.filter(({ event }) => ENDS.includes(event))
      if (ends.length === 0) return isAlive(pid) ? [] : [`worker ${pid} is gone without an event`]
      if (exits.length > 1) return [`worker ${pid} ended twice: ${exits.map(({ msg }) => msg)}`]
      const unexplained = ends.filter((line) => !hasReason(line))
      return unexplained.map(({ msg }) => `worker ${pid} ended without a reason: ${msg}`)
    })
  }

  /** How workers ended, by event and reason: `workerExited reload`. */
  endings(): Map<string, number> {
    const counts = new Map<string, number>()
    for (const { ends } of this.#lives.values())
      for (const { event, reason, signal, code } of ends) {
        const name = `${event} ${reason ?? signal ?? code ?? ''}`.trim()
        counts.set(name, (counts.get(name) ?? 0) + 1)
      }
    return counts
  }
}

const hasReason = ({ event, reason, code, signal, error, why, seconds }: LogLine): boolean =>
  event === 'workerCrashed'
    ? (code ?? signal ?? undefined) !== undefined
    : [reason, error, why, seconds].some((one) => one !== undefined && one !== '')
