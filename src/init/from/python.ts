// A settings file of Gunicorn: its assignments, read and not run. Pure. Runs in the CLI.
import { type Expression, Unreadable } from './expression.ts'
import { readExpression, type Scope } from './python-expression.ts'
import { type Statement, statementsOf, type Token } from './python-tokens.ts'

/** A line that could not be read. */
export interface Left {
  /** As written. */
  readonly source: string
  readonly why: string
}

export interface PythonFile {
  /** The last assignment of each name, in the order of the file. */
  readonly values: ReadonlyMap<string, { readonly source: string; readonly value: Expression }>
  /** Names that only others use. */
  readonly helpers: ReadonlySet<string>
  /** `def name(...)` */
  readonly functions: readonly string[]
  readonly left: readonly Left[]
}

/** Throws Unreadable if it is not Python. */
export function readPython(text: string): PythonFile {
  const values = new Map<string, { source: string; value: Expression }>()
  const expressions = new Map<string, Expression>()
  const scope: Scope & { imports: Map<string, string> } = {
    values: expressions,
    imports: new Map(),
    used: new Set(),
  }
  const functions: string[] = []
  const left: Left[] = []
  for (const statement of statementsOf(text).filter((one) => !one.isIndented)) {
    const { tokens, source } = statement
    const [first, second] = tokens
    if (first?.text === 'import' || first?.text === 'from') readImport(tokens, scope.imports)
    else if (first?.text === 'def') functions.push(second?.text ?? '')
    else if (first?.kind === 'string' && tokens.length === 1)
      continue // a comment
    else
      try {
        const [name, value] = assignment(statement, scope)
        values.delete(name)
        values.set(name, { source, value })
        expressions.set(name, value)
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error
        left.push({ source, why: error.message })
      }
  }
  return { values, helpers: scope.used, functions, left }
}

const BLOCKS = new Set(['if', 'elif', 'else', 'for', 'while', 'try', 'except', 'finally', 'with'])

function assignment({ tokens }: Statement, scope: Scope): [string, Expression] {
  const [name, next] = tokens
  if (name && name.kind === 'name' && BLOCKS.has(name.text))
    throw new Unreadable('it is known only when it is run')
  const at = tokens.findIndex(({ kind, text }) => kind === 'sign' && text === '=')
  const isPlain = name?.kind === 'name' && (at === 1 || (at > 1 && next?.text === ':'))
  if (!isPlain) throw new Unreadable('it is not an assignment')
  return [name.text, readExpression(tokens.slice(at + 1), scope)]
}

/** `import multiprocessing as mp`, `from os import environ, getenv as env` */
function readImport(tokens: readonly Token[], imports: Map<string, string>): void {
  const words = tokens.map(({ text }) => text)
  const from = words[0] === 'from' ? words.slice(1, words.indexOf('import')).join('') : ''
  const names = words
    .slice(words.indexOf('import') + 1)
    .join(' ')
    .replace(/[()]/g, '')
  for (const one of names.split(',')) {
    const [what = '', as] = one.split(' as ').map((part) => part.replaceAll(' ', ''))
    if (what !== '') imports.set(as ?? what, from === '' ? what : `${from}.${what}`)
  }
}
