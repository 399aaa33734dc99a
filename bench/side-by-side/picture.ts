// The figures of a comparison as a picture: bars, readable on light and dark pages. Ours is the coloured one.

import { escape } from '../html.ts'
import type { Header } from '../results.ts'
import { figure, middle, type Measured, type Results } from './table.ts'

const ROWS = ['kept-64', 'new-64', 'recovery', 'reload', 'boot', 'memory']
const [PANEL, NAME, BAR, LINE, TITLE, GAP] = [440, 150, 200, 20, 30, 24]

const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #57606a }
.title { font-weight: 600; fill: #24292f }
.bar { fill: #afb8c1 }
.ours { fill: #2da44e }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1 }
  .title { fill: #e6edf3 }
  .bar { fill: #57606a }
  .ours { fill: #3fb950 }
}`

/** Panels in two columns, one for each row that was measured. */
export function pictureOf({ header, rows }: Results): string {
  const shown = ROWS.flatMap((id) => rows.filter((row) => row.id === id))
  const height = TITLE + header.peers.length * LINE + GAP
  const panels = shown.map((row, n) => {
    const [x, y] = [(n % 2) * PANEL, Math.floor(n / 2) * height]
    return `<g transform="translate(${x},${y})">${panel(row, header)}</g>`
  })
  const size = [2 * PANEL, Math.ceil(shown.length / 2) * height]
  const box = `viewBox="0 0 ${size.join(' ')}" width="${size[0]}" height="${size[1]}"`
  const where = escape(
    `${header.machine.machine}, Node ${header.machine.node}, ${header.machine.date}`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" ${box} role="img"><title>${where}</title><style>${STYLE}</style>
${panels.join('\n')}
</svg>
`
}

function panel(row: Measured, { peers }: Header): string {
  const most = Math.max(...peers.map(({ name }) => middle(row, name) ?? 0))
  const lines = peers.map(({ name, title }, n) => {
    const y = TITLE + n * LINE
    const value = middle(row, name)
    const width = value === undefined ? 0 : Math.max(1, (value / most) * BAR)
    const text = value === undefined ? 'none' : `${figure(value)} ${row.unit.replace(/^\//, '')}`
    return [
      `<text x="${NAME - 8}" y="${y + 14}" text-anchor="end">${escape(title)}</text>`,
      `<rect class="${name === 'ours' ? 'bar ours' : 'bar'}" x="${NAME}" y="${y + 3}" width="${width.toFixed(1)}" height="14"/>`,
      `<text x="${NAME + width + 6}" y="${y + 14}">${text}</text>`,
    ].join('')
  })
  const head = `<text class="title" x="8" y="18">${escape(row.what)} (${row.better} is better)</text>`
  return [head, ...lines].join('\n')
}
