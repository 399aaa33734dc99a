// The text of a settings file, from what was taken. Pure. Runs in the CLI.
import type { Expression } from './expression.ts'
import type { Entry, Taken } from './taken.ts'

/** @param origin how people know the file that it was made from */
export function configText(origin: string, { entries, left, remarks }: Taken): string {
  const all = [...entries.values()]
  const countsCpus = all.some(({ value }) => usesCpus(value))
  const lines = [
    `// Made from ${origin} by "supervisor init --from". Comments say what is different, and what was not taken.`,
    ...remarks.flatMap((remark) => comment(remark, '')),
    ...(countsCpus ? ["import { availableParallelism } from 'node:os'"] : []),
    "import type { ConfigInput } from 'nodicorn'",
    '',
    'export default {',
    ...[...entries].flatMap(([name, entry]) => entryLines(name, entry)),
    ...left.flatMap(({ source, why }) => comment(`Not taken: ${source} (${why})`, '  ')),
    '} satisfies ConfigInput',
    '',
  ]
  return lines.join('\n')
}

/** An expression that was simplified away may have counted them: what is written decides. */
const usesCpus = ({ js }: Expression): boolean => js.includes('availableParallelism()')

const entryLines = (name: string, { value, comments }: Entry): string[] => [
  ...comments.flatMap((one) => comment(capital(one), '  ')),
  `  ${name}: ${value.js},`,
]

const capital = (text: string): string => text[0]!.toUpperCase() + text.slice(1)

const WIDTH = 100

/** In lines of at most 100 columns. */
function comment(text: string, indent: string): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.replace(/\s+/g, ' ').split(' ')) {
    if (line !== '' && `${indent}// ${line} ${word}`.length > WIDTH) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].map((one) => `${indent}// ${one}`)
}
