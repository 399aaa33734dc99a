// What clients saw, as a table for a terminal, a page of the documentation and a browser; and where another server does better than ours.

import { escape } from '../html.ts'
import { headerText, markdownTable, type Header } from '../results.ts'
import type { End, Tally } from './clients.ts'
import { faults } from './faults.ts'

export interface Row {
  readonly name: string
  readonly what: string
  /** By the name of the peer; a text says why there is nothing. */
  readonly seen: Readonly<Record<string, Tally | string>>
}

export interface Results {
  readonly header: Header
  readonly rows: readonly Row[]
}

const OURS = 'ours'
/** Of the longest wait: what is less may be the machine, ms. */
const NOTICEABLE_MS = 500

export const add = (a: Tally, b: Tally): Tally => ({
  ends: Object.fromEntries(
    Object.entries(a.ends).map(([end, n]) => [end, n + b.ends[end as End]]),
  ) as Tally['ends'],
  longest: Math.max(a.longest, b.longest),
})

const total = ({ ends }: Tally): number => Object.values(ends).reduce((sum, n) => sum + n, 0)

/** No answer at all. */
export const lost = ({ ends: { reset, refused, hung } }: Tally): number => reset + refused + hung

/** `3 reset, 10 hung of 310; 6.0 s` */
export function cell(seen: Tally | string | undefined): string {
  if (typeof seen !== 'object') return seen ?? '–'
  const ends = Object.entries(seen.ends).filter(([end, n]) => end !== 'ok' && n > 0)
  const what = ends.map(([end, n]) => `${n} ${end}`).join(', ') || '0'
  return `${what} of ${total(seen)}; ${(seen.longest / 1000).toFixed(1)} s`
}

const bad = (tally: Tally): number => total(tally) - tally.ends.ok

/** Whether there are fewer of them in `one`, by more than chance. Not their share: what fails soon is asked more often. */
function isFewer(of: (tally: Tally) => number, one: Tally, other: Tally): boolean {
  const [mine, yours] = [of(one), of(other)]
  return yours - mine >= Math.max(1, Math.sqrt(mine + yours))
}

/** All in which `one` is better than `other`. */
export function better(one: Tally, other: Tally): string[] {
  return [
    ...(isFewer(lost, one, other) ? ['fewer lost'] : []),
    ...(isFewer(bad, one, other) ? ['fewer that failed'] : []),
    // Who cuts connections has nobody who waits.
    ...(!isFewer(lost, other, one) && one.longest + NOTICEABLE_MS < other.longest
      ? ['a shorter longest wait']
      : []),
  ]
}

/** A sentence for each place where somebody does better than ours. */
export function notAhead({ header, rows }: Results): string[] {
  return rows.flatMap(({ name, what, seen }) =>
    header.peers.flatMap((peer) => {
      const [ours, theirs] = [seen[OURS], seen[peer.name]]
      if (typeof ours !== 'object' || typeof theirs !== 'object') return []
      const how = better(theirs, ours)
      const reason = faults.find((fault) => fault.name === name)?.reasons?.[peer.name]
      return how.length === 0
        ? []
        : [`${what}: ${peer.title} has ${how.join(' and ')}: ${reason ?? 'we know no reason'}`]
    }),
  )
}

const LEGEND =
  'In each cell: what was not a good answer (a status, a reset, a refused connection, or no answer within 6 s), of how many requests; the longest wait.'

export const lineOf = ({ what, seen }: Row, { peers }: Header): string =>
  `${what}\n${peers.map(({ name, title }) => `  ${title.padEnd(26)}${cell(seen[name])}`).join('\n')}`

export function markdownOf(results: Results): string {
  const { header, rows } = results
  const head = ['', ...header.peers.map(({ title }) => title)]
  const lines = rows.map(({ what, seen }) => [
    what,
    ...header.peers.map(({ name }) => cell(seen[name])),
  ])
  const list = notAhead(results).map((line) => `- ${line}`)
  const verdict =
    list.length > 0 ? list.join('\n') : 'Nobody does better than this server in a row.'
  return [headerText(header), LEGEND, markdownTable(head, lines), verdict].join('\n\n')
}

const classOf = (seen: Tally | string | undefined): string => {
  if (typeof seen !== 'object') return 'none'
  return lost(seen) > 0 ? 'lost' : seen.ends.ok < total(seen) ? 'told' : 'good'
}

const STYLE = `
:root { color-scheme: light dark }
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em }
table { border-collapse: collapse } th, td { border: 1px solid #8888; padding: .4em .7em; text-align: left; vertical-align: top }
.good { background: #2da44e33 } .told { background: #d4a72c33 } .lost { background: #cf222e33 } .none { color: GrayText }`

export function htmlOf(results: Results): string {
  const { header, rows } = results
  const head = header.peers.map(
    ({ title, version }) => `<th>${escape(title)}<br>${escape(version)}</th>`,
  )
  const body = rows.map(({ what, seen }) => {
    const cells = header.peers.map(
      ({ name }) => `<td class="${classOf(seen[name])}">${escape(cell(seen[name]))}</td>`,
    )
    return `<tr><th>${escape(what)}</th>${cells.join('')}</tr>`
  })
  const list = notAhead(results).map((line) => `<li>${escape(line)}</li>`)
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>What clients see</title><style>${STYLE}</style>
<h1>What clients see</h1>
<p>${escape(LEGEND)} Green: good answers alone. Yellow: errors that say so. Red: requests without an answer.</p>
<table><tr><th></th>${head.join('')}</tr>
${body.join('\n')}
</table>
<ul>${list.join('')}</ul>
<p>${escape(headerText(header))}</p>
</html>
`
}
