// The command lines of the two comparisons.

import { parseArgs } from 'node:util'
import { peerOf, peers } from './peers/index.ts'
import type { Peer } from './peers/peer.ts'

export interface Options {
  /** Of npm: `bench`. */
  readonly script: string
  readonly node: string
  readonly only: readonly string[]
  readonly rows: readonly string[]
  readonly quick: boolean
  readonly rounds?: number
  readonly seconds?: number
  readonly json?: string
  readonly from?: string
  readonly svg?: string
  readonly html?: string
  readonly write: boolean
}

const help = (script: string, rows: readonly string[]): string => `npm run ${script} -- [flags]
  --only NAMES    some of ${peers.map(({ name }) => name).join(',')}
  --rows NAMES    some of ${rows.join(',')}
  --quick         few rounds, few rows
  --rounds N      instead of what each row has
  --seconds N     of one load
  --node FILE     runs the servers (default: this one)
  --json FILE     writes all figures
  --from FILE     reads such a file instead of measuring
  --svg FILE      writes the picture (bench)
  --html FILE     writes the table as a page (bench:faults)
  --write         writes the tables and the picture of the documentation
  --list          names peers and rows`

/** Prints and ends for --help and --list; a wrong name ends with 2. */
export function optionsOf(script: string, rows: readonly string[]): Options {
  try {
    return parse(script, rows)
  } catch (error) {
    console.error(`${script}: ${(error as Error).message}`)
    process.exit(2)
  }
}

function parse(script: string, rows: readonly string[]): Options {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const { values } = parseArgs({
    options: {
      ...{ only: text, rows: text, rounds: text, seconds: text, node: text, json: text },
      ...{ from: text, svg: text, html: text, quick: flag, write: flag, list: flag, help: flag },
    },
  })
  if (values.help || values.list) {
    console.log(values.help ? help(script, rows) : listOf(rows))
    process.exit(0)
  }
  const { list: _, help: __, only, rows: wanted, rounds, seconds, ...rest } = values
  return {
    ...rest,
    script,
    node: values.node ?? process.execPath,
    only: only?.split(',') ?? [],
    rows: (wanted?.split(',') ?? rows).map((name) => oneOf(rows, name)),
    ...(rounds && { rounds: wholeOf('--rounds', rounds) }),
    ...(seconds && { seconds: wholeOf('--seconds', seconds) }),
  } as Options
}

const listOf = (rows: readonly string[]): string =>
  [
    ...peers.map(({ name, title }) => `peer  ${name.padEnd(14)}${title}`),
    ...rows.map((name) => `row   ${name}`),
  ].join('\n')

function oneOf(all: readonly string[], name: string): string {
  if (all.includes(name)) return name
  throw new Error(`--rows ${name}: it must be one of ${all.join(', ')}`)
}

function wholeOf(flag: string, text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text)
  throw new Error(`${flag} ${text}: it must be a whole number from 1`)
}

/** Throws for a name that there is not. */
export const wantedOf = ({ only }: Options): readonly Peer[] =>
  only.length > 0 ? only.map(peerOf) : peers.filter(({ onlyIfNamed }) => !onlyIfNamed)
