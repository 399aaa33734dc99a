// The table of the README, made of a run's results: a row for each framework of the suite, with the version of its lock file.
import { frameworks, versionOf, type Framework, type Mode } from './frameworks.ts'

/** One behaviour of one server. */
export interface Result {
  readonly framework: string
  readonly mode: Mode
  readonly behaviour: string
  /** Of so many requests; undefined where it is not counted. None of them was lost, or there is no result. */
  readonly of?: number
}

export const BEGIN = '<!-- frameworks: npm run test:frameworks -- --write -->'
export const END = '<!-- end of frameworks -->'

const BEHAVIOURS = {
  serves: 'serves',
  late: 'late: 504',
  blocked: 'blocked: 504',
  reload: 'lost in a reload',
  stop: 'lost in a stop',
} as const
export type Behaviour = keyof typeof BEHAVIOURS

/** Markdown. Throws if one of them has not passed. */
export function tableOf(results: readonly Result[]): string {
  const head = ['framework', 'version', ...Object.values(BEHAVIOURS)]
  const rows = frameworks.map((framework) => rowOf(framework, results))
  const widths = head.map((_, at) => Math.max(...[head, ...rows].map((row) => row[at]!.length)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, at) => cell.padEnd(widths[at]!)).join(' | ')} |`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  return [line(head), rule, ...rows.map(line)].join('\n')
}

function rowOf(framework: Framework, results: readonly Result[]): string[] {
  const modes = Object.keys(framework.apps) as Mode[]
  const cells = (Object.keys(BEHAVIOURS) as Behaviour[]).map((behaviour) => {
    const found = results.filter(
      (one) => one.framework === framework.name && one.behaviour === behaviour,
    )
    if (found.length !== modes.length)
      throw new Error(`${framework.name}: "${behaviour}" passed ${found.length} of ${modes.length}`)
    const counted = found.flatMap(({ of }) => of ?? [])
    const total = counted.reduce((sum, count) => sum + count, 0)
    return counted.length > 0 ? `0 of ${total.toLocaleString('en')}` : 'yes'
  })
  return [framework.name, versionOf(framework), ...cells]
}
