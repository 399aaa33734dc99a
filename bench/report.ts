// The table of a benchmark: what was promised, what was seen, and whether it holds. For people, or as JSON.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'

export interface Row {
  readonly part: string
  readonly what: string
  /** Undefined: nothing was promised, as for other people's servers. */
  readonly bound?: string
  readonly seen: string
  readonly isMet?: boolean
  /** The single figures. */
  readonly data?: unknown
}

export class Report {
  readonly rows: Row[] = []
  readonly #json: boolean

  constructor(json: boolean) {
    this.#json = json
  }

  begin(part: string): void {
    if (!this.#json) console.log(`\n${part}`)
  }

  /** Prints it at once: a benchmark takes minutes. */
  add(row: Row): void {
    this.rows.push(row)
    if (this.#json) return
    const verdict = row.isMet === undefined ? '' : row.isMet ? 'met' : 'NOT MET'
    const bound = row.bound === undefined ? '' : ` (bound: ${row.bound})`
    console.log(`  ${verdict.padEnd(8)}${row.what}: ${row.seen}${bound}`)
  }

  /** How many bounds are not met. */
  end(header: object): number {
    const broken = this.rows.filter(({ isMet }) => isMet === false)
    const judged = this.rows.filter(({ isMet }) => isMet !== undefined)
    if (this.#json) console.log(JSON.stringify({ ...header, rows: this.rows }, null, 2))
    else console.log(`\n${judged.length - broken.length} of ${judged.length} bounds met`)
    return broken.length
  }
}

export const ownVersion = (): string =>
  (
    JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
  ).version

/** What the figures depend on. */
export function machine(node: string): Record<string, string> {
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
  const cpus = os.cpus()
  return {
    nodicorn: ownVersion(),
    node: version,
    client: `Node ${process.version}`,
    machine: `${cpus.length} x ${cpus[0]?.model ?? '?'}, Linux ${os.release()}`,
    load: os
      .loadavg()
      .map((n) => n.toFixed(1))
      .join(' '),
    date: new Date().toISOString().slice(0, 10),
  }
}

export const median = (list: readonly number[]): number => quantile(list, 0.5)

/** Of an empty list: NaN. */
export const quantile = (list: readonly number[], share: number): number =>
  [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * share))] ?? NaN

/** `2.01 s (2.00 to 2.06, 5 times)` */
export const spread = (list: readonly number[], unit: string, digits = 2): string =>
  `${median(list).toFixed(digits)} ${unit} (${Math.min(...list).toFixed(digits)} to ${Math.max(...list).toFixed(digits)}, ${list.length} times)`
