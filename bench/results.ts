// What two comparisons have in common: who was compared, where and with what; files of results; sections of pages that are written by them.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Options } from './options.ts'
import type { Choice } from './peers/index.ts'
import { machine } from './report.ts'

export interface Header {
  /** The machine, the versions of Node and of this server, the load, the date. */
  readonly machine: Readonly<Record<string, string>>
  readonly peers: readonly {
    readonly name: string
    readonly title: string
    readonly version: string
  }[]
  readonly leftOut: Choice['leftOut']
}

export const headerOf = (node: string, { present, leftOut }: Choice, more: object): Header => ({
  machine: { ...machine(node), ...more },
  peers: present.map(({ peer: { name, title }, version }) => ({ name, title, version })),
  leftOut,
})

/** A line for each, as text or Markdown. */
export const headerText = ({ machine, peers, leftOut }: Header): string =>
  [
    Object.entries(machine)
      .map(([name, text]) => `${name}: ${text}`)
      .join('; '),
    peers.map(({ title, version }) => `${title} ${version}`).join(', '),
    ...leftOut.map(({ title, why }) => `${title} is left out: ${why}`),
  ].join('\n\n')

export const markdownTable = (
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

export const checkout = fileURLToPath(new URL('..', import.meta.url))

/** Throws if the page has no such section. */
async function writeSection(page: string, command: string, text: string): Promise<void> {
  const path = join(checkout, page)
  const old = readFileSync(path, 'utf8')
  const begin = `<!-- generated: ${command} -- --write -->`
  const end = `<!-- end of generated: ${command} -->`
  const [from, to] = [old.indexOf(begin), old.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${page} has no section ${begin} ... ${end}`)
  const fresh = `${old.slice(0, from + begin.length)}\n\n${text}\n\n${old.slice(to)}`
  const { format, resolveConfig } = await import('prettier') // it takes long to load
  const style = await resolveConfig(path)
  writeFileSync(path, await format(fresh, { ...style, parser: 'markdown' }))
}

export const writeResults = (file: string, results: object): void =>
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`)

/** Measures, or reads what was measured, and leaves it where the command line says. Throws what these throw. */
export async function conclude<T extends object>(
  { script, from, json, write }: Options,
  measure: () => Promise<T>,
  markdownOf: (results: T) => string,
): Promise<T> {
  const began = performance.now()
  const results = from ? (JSON.parse(readFileSync(from, 'utf8')) as T) : await measure()
  if (from) console.log(markdownOf(results))
  else console.log(`\nafter ${((performance.now() - began) / 1000).toFixed(0)} s`)
  if (json) writeResults(json, results)
  if (write) await writeSection('docs/benchmarks.md', `npm run ${script}`, markdownOf(results))
  return results
}
