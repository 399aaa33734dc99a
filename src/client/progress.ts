// The one line that shows on a terminal how far a reload is, and above it what went wrong. Runs in the CLI.

import type { EventItem, ServerStatus } from '../control-protocol.ts'
import type { Connection } from './connection.ts'
import { duration } from './format.ts'
import { eventLine } from './views.ts'

const EVERY_MS = 200
const WIDTH = 20
const CLEAR = '\r\x1b[K'

/** `Reloading [==========          ] 1 of 2 workers replaced, 0.4s`, narrower than `columns`. */
export function progressLine(done: number, all: number, seconds: number, columns: number): string {
  if (all === 0) return 'Reloading'
  const filled = Math.round((WIDTH * Math.min(done, all)) / all)
  const bar = `[${'='.repeat(filled).padEnd(WIDTH)}] `
  const text = `${done} of ${all} workers replaced, ${duration(seconds)}`
  const line = `Reloading ${bar}${text}`
  return line.length < columns ? line : `Reloading ${text}`.slice(0, columns - 1)
}

/** Workers of the newest generation that serve, of so many as there should be. */
const progressOf = ({ workers, generation, target }: ServerStatus): [number, number] => {
  const isNew = (one: ServerStatus['workers'][number]): boolean =>
    one.generation === generation && (one.state === 'ready' || one.state === 'blocked')
  return [Math.min(target, workers.filter(isNew).length), target]
}

export class ReloadProgress {
  readonly #server: Connection
  readonly #began = performance.now()
  readonly #timer: NodeJS.Timeout
  #state: 'waiting' | 'reloading' | 'over' = 'waiting'
  #done = 0
  #all = 0

  constructor(server: Connection) {
    this.#server = server
    this.#timer = setInterval(() => this.#look(), EVERY_MS)
  }

  hear(event: EventItem): void {
    if (event.event === 'reloading') this.#state = 'reloading'
    if (event.level !== 'info' && event.level !== 'debug' && event.event !== 'reloadFailed')
      process.stdout.write(`${CLEAR}${eventLine(event)}\n`)
    this.#look()
  }

  async done({ seconds, generation }: { seconds: number; generation: number }): Promise<void> {
    const { workers } = await this.#server.ask<ServerStatus>('status')
    this.clear()
    const n = workers.filter((one) => one.generation === generation).length
    process.stdout.write(
      `Reloaded: ${n} ${n === 1 ? 'worker' : 'workers'} in ${duration(seconds)} (generation ${generation})\n`,
    )
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    clearInterval(this.#timer)
    process.stdout.write(CLEAR)
  }

  #look(): void {
    const asked = this.#state === 'reloading' ? this.#server.ask<ServerStatus>('status') : undefined
    this.#draw()
    asked?.then(
      (status) => {
        ;[this.#done, this.#all] = progressOf(status)
        this.#draw()
      },
      () => undefined, // NO_SERVER: whoever waits for the reload is told
    )
  }

  #draw(): void {
    if (this.#state === 'over') return
    const seconds = (performance.now() - this.#began) / 1000
    const { columns } = process.stdout
    process.stdout.write(CLEAR + progressLine(this.#done, this.#all, seconds, columns))
  }
}
