// Which addresses the workers listen on, as they tell us; each is announced once. Runs in the master.

import { formatUrl } from '../address.ts'
import type { Log } from '../log.ts'
import type { ListeningAddress } from '../protocol.ts'

export class Listeners {
  readonly #log: Log
  readonly #urls = new Set<string>()

  constructor(log: Log) {
    this.#log = log
  }

  heard(address: ListeningAddress): void {
    const url = urlOf(address)
    if (this.#urls.has(url)) return
    this.#urls.add(url)
    this.#log.event('listening', { url })
  }

  get urls(): string[] {
    return [...this.#urls]
  }
}

function urlOf({ scheme, host, port }: ListeningAddress): string {
  if (port < 0) return formatUrl({ type: 'unix', path: host })
  const url = formatUrl({ type: 'tcp', host, port })
  return scheme === 'http' ? url : url.replace(/^http/, scheme)
}
