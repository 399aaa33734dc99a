// Which addresses the workers listen on, as they tell us; each is announced once. Runs in the master.

import { formatUrl } from '../address.ts'
import type { Log } from '../log.ts'
import type { ListeningAddress } from '../protocol.ts'

export class Listeners {
  readonly #log: Log
  /** Each with the newest generation of workers that listens there. */
  readonly #urls = new Map<string, number>()

  constructor(log: Log) {
    this.#log = log
  }

  heard(address: ListeningAddress, generation: number): void {
    const url = urlOf(address)
    const isNew = !this.#urls.has(url)
    this.#urls.set(url, Math.max(generation, this.#urls.get(url) ?? 0))
    if (isNew) this.#log.event('listening', { url })
  }

  /** After a reload: what only older generations listened on is closed. */
  forgetBefore(generation: number): void {
    for (const [url, newest] of this.#urls) if (newest < generation) this.#urls.delete(url)
  }

  get urls(): string[] {
    return [...this.#urls.keys()]
  }
}

function urlOf({ scheme, host, port }: ListeningAddress): string {
  if (port < 0) return formatUrl({ type: 'unix', path: host })
  const url = formatUrl({ type: 'tcp', host, port })
  return scheme === 'http' ? url : url.replace(/^http/, scheme)
}
