// The README and the pages of docs/ as data: blocks, links, tables. What the blocks mean is in docs/contributing.md.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const checkout = fileURLToPath(new URL('../../', import.meta.url))

export interface Block {
  /** Where it is: `README.md:42`. */
  readonly place: string
  /** What follows the backticks: `console`, `ts`; '' if nothing does. */
  readonly language: string
  readonly lines: readonly string[]
  /** Why it is not run, from a comment before it. */
  readonly notRun: string | undefined
  /** The file it is to become, from a first line like `// app.js`. */
  readonly file: string | undefined
}

export interface Page {
  /** Relative to the checkout: `docs/logs.md`. */
  readonly path: string
  readonly text: string
  readonly blocks: readonly Block[]
}

/** The README and every page of docs/. */
export function allPages(): Page[] {
  const docs = readdirSync(`${checkout}docs`).filter((name) => name.endsWith('.md'))
  return ['README.md', ...docs.map((name) => `docs/${name}`)].map(readPage)
}

/** The README of every example that has one. */
export const examplePages = (): Page[] =>
  readdirSync(`${checkout}examples`)
    .map((name) => `examples/${name}/README.md`)
    .filter((path) => existsSync(checkout + path))
    .map(readPage)

export function readPage(path: string): Page {
  const text = readFileSync(checkout + path, 'utf8')
  return { path, text, blocks: blocksOf(path, text) }
}

/** The cells of every row of the page's tables, headings included. */
export const tableRows = ({ text }: Page): string[][] =>
  text
    .split('\n')
    .filter((line) => /^\|.*\|$/.test(line) && !/^[|\s:-]+$/.test(line))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )

/** The text of `code` spans in a piece of Markdown. */
export const codeIn = (markdown: string): string[] =>
  [...markdown.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '')

/** Without blocks of code, in which nothing is a link or a heading. */
const proseOf = ({ text }: Page): string => text.replace(/^```[^]*?^```$/gm, '')

/** Targets of links, without those to other sites. */
export const linksOf = (page: Page): string[] =>
  [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1] ?? '')
    .filter((target) => !/^[a-z]+:/.test(target))

/** What may follow `#` in a link to the page. */
export const anchorsOf = (page: Page): string[] =>
  [...proseOf(page).matchAll(/^#+ (.+)$/gm)].map((match) =>
    (match[1] ?? '')
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )

/** Titles of the page: there should be one. */
export const titlesOf = (page: Page): string[] => proseOf(page).match(/^# .+$/gm) ?? []

function blocksOf(path: string, text: string): Block[] {
  const blocks: Block[] = []
  let open: { language: string; line: number; lines: string[] } | undefined
  let notRun: string | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^```(\S*)$/.exec(line)
    if (fence && !open) open = { language: fence[1] ?? '', line: index + 1, lines: [] }
    else if (fence && open) {
      const { language, lines } = open
      const place = `${path}:${open.line}`
      const file = /^(?:\/\/|#) ([\w.-]+)$/.exec(lines[0] ?? '')?.[1]
      blocks.push({ place, language, lines, notRun, file })
      open = undefined
      notRun = undefined
    } else if (open) open.lines.push(line)
    else if (line !== '') notRun = /^<!-- not run: (.+) -->$/.exec(line)?.[1]
  }
  if (open) throw new Error(`${path}:${open.line}: the block does not end`)
  return blocks
}
