// `supervisor top`: asks the server every second, draws what it says, and does what keys ask for. Runs in the CLI.

import type { RequestList, ServerStatus } from '../control-protocol.ts'
import type { Connection } from './connection.ts'
import { Screen } from './screen.ts'
import { ORDERS, sortedWorkers, topLines, type Choices, type OrderKey } from './top-view.ts'

const EVERY_MS = 1_000
/** A server that has not answered for so long is said to be silent, ms. */
const SILENT_MS = 2_500
/** What a key has brought is shown for so long, ms. */
const MESSAGE_MS = 5_000

/** Answers the exit status, once somebody quits. `find`: the server again, after another master took its place. */
export async function top(server: Connection, find: () => Promise<Connection>): Promise<number> {
  return await new Top(server, find).run()
}

class Top {
  #server: Connection
  readonly #find: () => Promise<Connection>
  #screen!: Screen
  #status!: ServerStatus
  #requests!: RequestList
  #answeredAt = 0
  #asking = false
  #saidAt = 0
  #choices: Choices = {
    order: 's',
    isReversed: false,
    selected: undefined,
    view: 'workers',
    message: '',
  }

  constructor(server: Connection, find: () => Promise<Connection>) {
    this.#server = server
    this.#find = find
  }

  async run(): Promise<number> {
    await this.#ask()
    this.#screen = new Screen(
      () => this.#draw(),
      (key) => this.#press(key),
    )
    this.#draw()
    const timer = setInterval(() => void this.#turn(), EVERY_MS)
    try {
      return await this.#screen.closed
    } finally {
      clearInterval(timer)
      this.#server.close()
    }
  }

  async #turn(): Promise<void> {
    this.#draw() // the silence grows
    if (this.#asking) return
    this.#asking = true
    try {
      if (this.#server.isClosed) this.#server = await this.#find()
      await this.#ask()
      this.#draw()
    } catch (error) {
      // NO_SERVER: it has ended; perhaps another one comes
      this.#say((error as Error).message)
    } finally {
      this.#asking = false
    }
  }

  async #ask(): Promise<void> {
    const [status, requests] = await Promise.all([
      this.#server.ask<ServerStatus>('status'),
      this.#server.ask<RequestList>('requests'),
    ])
    this.#status = status
    this.#requests = requests
    this.#answeredAt = performance.now()
  }

  #draw(): void {
    const now = performance.now()
    const silence = now - this.#answeredAt
    if (now - this.#saidAt > MESSAGE_MS) this.#choose({ message: '' })
    const picture = {
      status: this.#status,
      requests: this.#requests,
      silence: silence > SILENT_MS ? silence / 1000 : undefined,
    }
    this.#screen.draw(topLines(picture, this.#choices, this.#screen.size, Date.now()))
  }

  #choose(some: Partial<Choices>): void {
    this.#choices = { ...this.#choices, ...some }
  }

  #say(message: string): void {
    this.#saidAt = performance.now()
    this.#choose({ message })
    this.#draw()
  }

  #press(key: string): void {
    const isHelping = this.#choices.view === 'help'
    if (key === 'ctrl-c' || (key === 'q' && !isHelping)) return this.#screen.close()
    if (isHelping || key === '?') this.#choose({ view: isHelping ? 'workers' : 'help' })
    else if (key === 'up' || key === 'down') this.#move(key === 'up' ? -1 : 1)
    else if (Object.hasOwn(ORDERS, key)) this.#sort(key as OrderKey)
    else if (key === 'R') this.#act('reloading', 'reload')
    else if (key === 'k') this.#recycle()
    else if (key === '+') this.#act('one worker more', 'scale', { by: 1 })
    else if (key === '-') this.#act('one worker fewer', 'scale', { by: -1 })
    this.#draw()
  }

  #sort(order: OrderKey): void {
    const isReversed = this.#choices.order === order && !this.#choices.isReversed
    this.#choose({ order, isReversed, message: '' })
  }

  #move(by: number): void {
    const pids = sortedWorkers(this.#status.workers, this.#choices).map(({ pid }) => pid)
    const at = pids.indexOf(this.#choices.selected ?? NaN)
    const next = at === -1 ? (by > 0 ? 0 : pids.length - 1) : at + by
    this.#choose({ selected: pids[Math.max(0, Math.min(next, pids.length - 1))] })
  }

  #recycle(): void {
    const { selected } = this.#choices
    const worker = this.#status.workers.find(({ pid }) => pid === selected)
    if (!worker) return this.#say('choose a worker first, with the arrows')
    const { slot, pid } = worker
    this.#act(`recycling the worker of slot ${slot} (pid ${pid})`, 'recycle', { slot })
  }

  #act(done: string, command: string, args: object = {}): void {
    this.#server.ask(command, args).then(
      () => this.#say(done),
      (error: Error) => this.#say(`${command}: ${error.message}`),
    )
  }
}
