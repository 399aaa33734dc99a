// The clients of the soak: closed loops that ask for what must be answered, and know when an answer is late, wrong or missing.

import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { exchange, type Outcome } from '../soak/exchange.ts'
import { Lateness } from '../soak/gauges.ts'
import { Random } from '../soak/random.ts'

/** Between two requests of a client, ms. */
const PAUSE_MS = [5, 60] as const
const UPLOAD_BYTES = 16_384
/** So long nobody may wait, ms: a stopped worker is killed 5.5 s after its last word, and the rest is the machine's. */
const PATIENCE_MS = 10_000
const WEIGHTS = { ok: 60, wait: 15, stream: 10, upload: 10, fresh: 20 } as const
type Kind = keyof typeof WEIGHTS

export interface Asked {
  readonly path: string
  readonly outcome: Outcome
  /** Undefined: answered as it should be. */
  readonly trouble?: string
  /** Lost, late or wrong: only what is lost can have an excuse. */
  readonly fault?: 'lost' | 'hung' | 'wrong' | 'refused'
}

export class Clients {
  readonly counts = new Map<string, number>()
  readonly lateness = new Lateness()
  readonly #port: number
  readonly #seed: number
  readonly #judge: (asked: Asked) => void
  readonly #running: Promise<void>[]
  #state: 'running' | 'stopping' = 'running'

  /** `judge` hears of each request that was not answered as it should be. */
  constructor(port: number, count: number, seed: number, judge: (asked: Asked) => void) {
    this.#port = port
    this.#seed = seed
    this.#judge = judge
    this.#running = Array.from({ length: count }, (_, n) => this.#run(n + 1))
  }

  /** When what they have asked is over. */
  async stop(): Promise<void> {
    this.#state = 'stopping'
    await Promise.all(this.#running)
    this.lateness.stop()
  }

  async #run(client: number): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    for (let step = 1; this.#state === 'running'; step++) {
      const random = new Random(this.#seed, client, step)
      const asked = await this.#ask(random, `${client}.${step}`, agent)
      this.#count(asked.fault ?? 'answered')
      if (asked.fault) this.#judge(asked)
      await sleep(random.between(...PAUSE_MS))
    }
    agent.destroy()
  }

  async #ask(random: Random, id: string, kept: http.Agent): Promise<Asked> {
    const kind: Kind = random.pick(WEIGHTS)
    const ms = random.between(1, 700)
    const path = { upload: `/upload?id=${id}`, wait: `/wait?id=${id}&ms=${ms}` } as const
    const [url, body] = {
      ok: [`/ok?id=${id}`, id],
      fresh: [`/ok?id=${id}`, id],
      wait: [path.wait, id],
      stream: [`/stream?id=${id}&ms=${ms}`, `.....${id}`],
      upload: [path.upload, `${id} ${UPLOAD_BYTES}`],
    }[kind] as [string, string]
    const pieces = [{ bytes: UPLOAD_BYTES, pause: 0 }]
    const outcome = await exchange(this.#port, {
      path: url,
      agent: kind === 'fresh' ? false : kept,
      patience: PATIENCE_MS + 2_000,
      ...(kind === 'upload' && { upload: { length: UPLOAD_BYTES, pieces } }),
    })
    return this.#judged(url, body, outcome)
  }

  #judged(path: string, wanted: string, outcome: Outcome): Asked {
    const { status, body, error, startedAt, endedAt } = outcome
    const late = this.lateness.between(startedAt, endedAt)
    const trouble = `${path}: ${status ?? 'no status'}, ${error ?? 'no error'}, ${JSON.stringify(body.slice(0, 60))} after ${endedAt - startedAt} ms (the client was ${late} ms late)`
    if (error === 'hung' || endedAt - startedAt > PATIENCE_MS + late)
      return { path, outcome, trouble, fault: 'hung' }
    if (error === 'ECONNREFUSED') return { path, outcome, trouble, fault: 'refused' }
    if (error !== undefined || status === 503 || status === 504)
      return { path, outcome, trouble, fault: 'lost' }
    if (status === 200 && body === wanted) return { path, outcome }
    return { path, outcome, trouble, fault: 'wrong' }
  }

  #count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }
}
