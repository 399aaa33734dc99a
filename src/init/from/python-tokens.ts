// The text of a Python file -> its statements as tokens, which nobody runs. Pure. Runs in the CLI.
import { Unreadable } from './expression.ts'

export interface Token {
  readonly kind: 'name' | 'number' | 'string' | 'sign'
  /** Of a string: what is between its quotes, as written. */
  readonly text: string
  /** Of a string: the letters before its quotes, in lower case. */
  readonly prefix?: string
}

export interface Statement {
  readonly tokens: readonly Token[]
  /** As written, its first line only. */
  readonly source: string
  readonly isIndented: boolean
}

const SPACE = /[ \t\f\r]+|\\\r?\n|#[^\n]*/y
const TOKENS: readonly (readonly [Token['kind'], RegExp])[] = [
  [
    'string',
    /([rRbBuUfF]{0,2})(?:'''([^]*?)'''|"""([^]*?)"""|'((?:[^'\\\n]|\\[^])*)'|"((?:[^"\\\n]|\\[^])*)")/y,
  ],
  [
    'number',
    /0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*)?\.?\d[\d_]*(?:[eE][+-]?\d+)?/y,
  ],
  ['name', /[\p{L}_][\p{L}\d_]*/uy],
  ['sign', /\*\*|\/\/|[-+*/%=!<>]=|->|[-+*/%=<>()[\]{}:.,;@&|^~]/y],
]

/** Throws Unreadable for what is not Python. */
export function statementsOf(text: string): Statement[] {
  const statements: Statement[] = []
  let tokens: Token[] = []
  let depth = 0
  let begin = 0
  const end = (at: number): void => {
    const source = text.slice(begin, at).trim().split('\n')[0]!.trim()
    if (tokens.length > 0)
      statements.push({ tokens, source, isIndented: /^[ \t]/.test(lineAt(text, begin)) })
    tokens = []
  }
  for (let at = 0; at < text.length;) {
    if (text[at] === '\n' || (text[at] === ';' && depth === 0)) {
      if (depth === 0) end(at)
      at++
      continue
    }
    const space = matchAt(SPACE, text, at)
    if (space) {
      at += space[0].length
      continue
    }
    if (tokens.length === 0) begin = at
    const [token, length] = tokenAt(text, at)
    if (token.kind === 'sign' && '([{'.includes(token.text)) depth++
    if (token.kind === 'sign' && ')]}'.includes(token.text)) depth = Math.max(0, depth - 1)
    tokens.push(token)
    at += length
  }
  end(text.length)
  return statements
}

const lineAt = (text: string, at: number): string => text.slice(text.lastIndexOf('\n', at - 1) + 1)

function tokenAt(text: string, at: number): [Token, number] {
  for (const [kind, pattern] of TOKENS) {
    const match = matchAt(pattern, text, at)
    if (!match) continue
    const [all, prefix = '', ...bodies] = match
    return kind === 'string'
      ? [
          {
            kind,
            text: bodies.find((body) => body !== undefined) ?? '',
            prefix: prefix.toLowerCase(),
          },
          all.length,
        ]
      : [{ kind, text: all }, all.length]
  }
  const line = text.slice(0, at).split('\n').length
  throw new Unreadable(`line ${line}: ${JSON.stringify(text[at])} is not understood`)
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}
