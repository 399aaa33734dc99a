// The figures of a comparison as a table: medians, how far the rounds were apart, and ratios to bare node:cluster.

import { headerText, markdownTable, type Header } from '../results.ts'
import { median } from '../report.ts'
import type { Row } from './dimension.ts'

/** A row with the figures of each peer, by its name: one for each round. */
export type Measured = Row & { readonly figures: Readonly<Record<string, readonly number[]>> }

export interface Results {
  readonly header: Header
  readonly rows: readonly Measured[]
  /** What could not be had, and why. */
  readonly notes: readonly string[]
}

/** What others are set against. */
export const BASE = 'bare'

/** With three digits that mean something. */
export const figure = (n: number): string =>
  n.toLocaleString('en-US', { maximumFractionDigits: n >= 100 ? 0 : n >= 10 ? 1 : 2 })

/** Median, or undefined if there is none. */
export const middle = (row: Measured, peer: string): number | undefined =>
  row.figures[peer]?.length ? median(row.figures[peer]) : undefined

/** To bare node:cluster; none to what is printed as nothing. */
export function ratio(row: Measured, peer: string): number | undefined {
  const [one, base] = [middle(row, peer), middle(row, BASE)]
  return one === undefined || !base || figure(base) === '0' || peer === BASE
    ? undefined
    : one / base
}

/** Half of what lies between the least and the most, in percent of the median. */
function spread(list: readonly number[]): string {
  const half = (Math.max(...list) - Math.min(...list)) / 2
  return list.length < 2 ? '' : ` ±${((half / median(list)) * 100).toFixed(0)} %`
}

/** `12,345 ±4 % (1.31)` */
export function cell(row: Measured, peer: string): string {
  const one = middle(row, peer)
  if (one === undefined) return '–'
  const times = ratio(row, peer)
  return `${figure(one)}${spread(row.figures[peer]!)}${times === undefined ? '' : ` (${times.toFixed(2)})`}`
}

/** The name of the peer that is best in it. */
export function best(row: Measured): string | undefined {
  const all = Object.keys(row.figures).filter((peer) => middle(row, peer) !== undefined)
  const sign = row.better === 'more' ? -1 : 1
  return all.sort((a, b) => sign * (middle(row, a)! - middle(row, b)!))[0]
}

/** Of one row, for a terminal. */
export function textOf(row: Measured, header: Header): string {
  const lines = header.peers.map(
    ({ name, title }) =>
      `  ${title.padEnd(26)}${cell(row, name)}${best(row) === name ? '  best' : ''}`,
  )
  return `${row.what}, ${row.unit} (${row.better} is better)\n${lines.join('\n')}`
}

export function markdownOf({ header, rows, notes }: Results): string {
  const { peers } = header
  const line = (row: Measured): string[] => [
    `${row.what}, ${row.unit}`,
    ...peers.map(({ name }) => {
      const text = cell(row, name)
      return best(row) === name ? `**${text}**` : text
    }),
  ]
  const table = markdownTable(['', ...peers.map(({ title }) => title)], rows.map(line))
  const list = notes.map((note) => `- ${note}`).join('\n')
  return [headerText(header), table, ...(list ? [list] : [])].join('\n\n')
}
