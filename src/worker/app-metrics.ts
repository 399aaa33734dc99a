// The metrics that the application has made with prom-client: found in the copy of it that the application has loaded, and told to
// the master when it asks. Runs in every worker; until somebody asks it costs nothing.

import { createRequire } from 'node:module'
import { toWire, type WireMetric } from '../app-metric.ts'
import type { Channel } from './channel.ts'

/** As prom-client has it, of any version. */
export interface Registry {
  getMetricsAsJSON(): unknown
}

/** Of all metrics together: more would keep the master busy. */
const MOST_VALUES = 50_000
/** A worker that leaves waits no longer for a metric that must be fetched from elsewhere, ms. */
const LAST_MS = 500

const PROM_CLIENT = /[\\/]prom-client[\\/]index\.js$/

export class AppMetrics {
  readonly #channel: Pick<Channel, 'tell'>
  readonly #exposed = new Set<Registry>()
  #state: 'unasked' | 'idle' | 'reading' = 'unasked'

  constructor(channel: Pick<Channel, 'tell'>) {
    this.#channel = channel
  }

  expose(registry: Registry): void {
    this.#exposed.add(registry)
  }

  /** Never rejects. A question that comes while one is being answered has the same answer. */
  async tell(): Promise<void> {
    if (this.#state === 'reading') return
    this.#state = 'reading'
    const metrics = await this.#read()
    this.#state = 'idle'
    this.#channel.tell({ type: 'metrics', metrics })
  }

  /** Before this worker ends, if its metrics were ever asked for: or the master would have those of its last question. */
  async tellLast(): Promise<void> {
    if (this.#state === 'unasked') return
    let late: NodeJS.Timeout | undefined
    const limit = new Promise<void>((resolve) => (late = setTimeout(resolve, LAST_MS)))
    await Promise.race([this.tell(), limit])
    clearTimeout(late)
  }

  async #read(): Promise<WireMetric[]> {
    const metrics = new Map<string, WireMetric>()
    let room = MOST_VALUES
    for (const raw of await this.#raw()) {
      const metric = this.#checked(raw)
      if (!metric || metrics.has(metric.name)) continue
      room -= metric.values.length
      if (room < 0) {
        this.#notice(`there are more than ${MOST_VALUES} series; ${metric.name} is left out`)
        room += metric.values.length
      } else metrics.set(metric.name, metric)
    }
    return [...metrics.values()]
  }

  async #raw(): Promise<unknown[]> {
    const registries = new Set([...this.#exposed, ...defaultRegistries()])
    const all: unknown[] = []
    for (const registry of registries)
      try {
        const metrics = await registry.getMetricsAsJSON()
        if (Array.isArray(metrics)) for (const metric of metrics) all.push(metric)
      } catch (error) {
        this.#notice(String(error)) // the application's own: one of its metrics cannot be read
      }
    return all
  }

  #checked(raw: unknown): WireMetric | undefined {
    try {
      return toWire(raw)
    } catch (error) {
      this.#notice(String(error)) // the application's own: a label that has no text
      return undefined
    }
  }

  #notice(why: string): void {
    this.#channel.tell({
      type: 'notice',
      text: `The application's metrics are not complete: ${why}`,
    })
  }
}

/** One for each copy of prom-client that is loaded, by import or by require(). */
function defaultRegistries(): Registry[] {
  const { cache } = createRequire(import.meta.url)
  return Object.keys(cache).flatMap((file) => {
    if (!PROM_CLIENT.test(file)) return []
    const { register } = (cache[file]?.exports ?? {}) as { register?: unknown }
    return isRegistry(register) ? [register] : []
  })
}

export const isRegistry = (value: unknown): value is Registry =>
  typeof (value as Registry | null | undefined)?.getMetricsAsJSON === 'function'
