// An expression of Python, as tokens -> the same in JavaScript: what settings files are made of, and no more. Pure. Runs in the CLI.
import {
  arithmetic,
  asNumber,
  constant,
  type Constant,
  type Expression,
  inside,
  needs,
  operator,
  template,
  Unreadable,
  variable,
} from './expression.ts'
import { apply, index, isPath, isTrue, listOf, method, type Operand } from './python-calls.ts'
import { statementsOf, type Token } from './python-tokens.ts'

/** What names stand for. */
export interface Scope {
  /** Assigned before. */
  readonly values: ReadonlyMap<string, Expression>
  /** Imported: `mp` -> multiprocessing, `getenv` -> os.getenv. */
  readonly imports: ReadonlyMap<string, string>
  /** Names that were used are added. */
  readonly used: Set<string>
}

/** Throws Unreadable, saying which part is not understood. */
export function readExpression(tokens: readonly Token[], scope: Scope): Expression {
  const reader = new Reader(tokens, scope)
  const read = reader.choice()
  reader.mustEnd()
  return read
}

/** Of a text by itself, as in an f-string or a shell's $(( )). */
export const readText = (text: string, scope: Scope): Expression => {
  const [statement, ...others] = statementsOf(text)
  if (!statement || others.length > 0) throw new Unreadable(`${text} is not understood`)
  return readExpression(statement.tokens, scope)
}

class Reader {
  readonly #tokens: readonly Token[]
  readonly #scope: Scope
  #at = 0

  constructor(tokens: readonly Token[], scope: Scope) {
    this.#tokens = tokens
    this.#scope = scope
  }

  mustEnd(): void {
    const token = this.#tokens[this.#at]
    if (token) throw new Unreadable(`${token.text} is not understood`)
  }

  /** `a if b else c` */
  choice(): Expression {
    const yes = this.#or()
    if (!this.#takes('if')) return yes
    const when = this.#or()
    this.#must('else')
    const no = this.choice()
    if (when.value !== undefined) return when.value ? yes : no
    const type = yes.type === no.type ? yes.type : 'other'
    return operator('choice', type, [when, '?', yes, ':', no])
  }

  #or(): Expression {
    let left = this.#and()
    while (this.#takes('or')) {
      const right = this.#and()
      if (left.value !== undefined) left = isTrue(left.value) ? left : right
      else if (left.variable && !left.variable.otherwise)
        left = variable(left.variable.name, right, true)
      else
        left = operator('or', left.type === right.type ? left.type : 'other', [left, '||', right])
    }
    return left
  }

  #and(): Expression {
    let left = this.#not()
    while (this.#takes('and')) {
      const right = this.#not()
      if (left.value !== undefined) left = isTrue(left.value) ? right : left
      else left = operator('or', 'other', [left, '&&', right])
    }
    return left
  }

  #not(): Expression {
    if (!this.#takes('not')) return this.#comparison()
    const part = this.#not()
    if (part.value !== undefined) return constant(!isTrue(part.value))
    return { js: `!${inside(part, 'unary')}`, binds: 'unary', type: 'boolean', ...needs(part) }
  }

  #comparison(): Expression {
    const left = this.#sum()
    if (this.#takes('in')) return this.#within(left)
    const sign = this.#takesAny('==', '!=', '<', '>', '<=', '>=')
    if (sign === undefined) return left
    const right = this.#sum()
    if (left.value !== undefined && right.value !== undefined && /^[!=]=$/.test(sign))
      return constant((left.value === right.value) === (sign === '=='))
    const ours = sign === '==' ? '===' : sign === '!=' ? '!==' : sign
    return operator('compare', 'boolean', [left, ours, right])
  }

  #within(left: Expression): Expression {
    const list = this.#sum()
    if (!Array.isArray(list.value)) throw new Unreadable('"in" is understood for lists only')
    const js = `${list.js}.includes(${left.js})`
    return { js, binds: 'atom', type: 'boolean', ...needs(left) }
  }

  #sum(): Expression {
    let left = this.#product()
    for (let sign; (sign = this.#takesAny('+', '-'));)
      left = arithmetic(sign, left, this.#product())
    return left
  }

  #product(): Expression {
    let left = this.#unary()
    for (let sign; (sign = this.#takesAny('*', '//', '/', '%'));)
      left =
        sign === '%' && left.type === 'string'
          ? this.#format(left)
          : arithmetic(sign, left, this.#unary())
    return left
  }

  /** `"0.0.0.0:%s" % port` */
  #format(text: Expression): Expression {
    const right = this.#unary()
    if (typeof text.value !== 'string') throw new Unreadable('% is not understood here')
    const [first = '', ...others] = text.value.split(/%[sd]/)
    if (others.length !== 1 || Array.isArray(right.value))
      throw new Unreadable('% is not understood here')
    return template([constant(first), right, constant(others[0]!)])
  }

  #unary(): Expression {
    if (!this.#takes('-')) return this.#value(this.#postfix())
    const part = asNumber(this.#unary())
    if (typeof part.value === 'number') return constant(-part.value)
    return { js: `-${inside(part, 'unary')}`, binds: 'unary', type: 'number', ...needs(part) }
  }

  #postfix(): Operand {
    let left = this.#atom()
    for (;;) {
      if (this.#takes('.')) left = this.#attribute(left)
      else if (this.#takes('(')) {
        const parts = this.#list(')')
        left = isPath(left) ? apply(left.path, parts) : left
      } else if (this.#takes('[')) {
        const [key] = this.#list(']')
        left = index(left, key)
      } else return left
    }
  }

  #attribute(left: Operand): Operand {
    const name = this.#tokens[this.#at++]?.text ?? ''
    if (isPath(left)) return { path: `${left.path}.${name}` }
    this.#must('(')
    return method(left, name, this.#list(')'))
  }

  #atom(): Operand {
    const token = this.#tokens[this.#at++]
    if (!token) throw new Unreadable('it ends too early')
    if (token.kind === 'string') return this.#string(token)
    if (token.kind === 'number') return constant(numberOf(token.text))
    if (token.kind === 'name') return this.#name(token.text)
    if (token.text === '(') return this.#parentheses()
    if (token.text === '[') return listOf(this.#list(']'))
    if (token.text === '{') return this.#mapping()
    throw new Unreadable(`${token.text} is not understood`)
  }

  #parentheses(): Expression {
    const parts = this.#list(')')
    const isTuple = parts.length !== 1 || this.#tokens[this.#at - 2]?.text === ','
    return isTuple ? listOf(parts) : parts[0]!
  }

  #name(name: string): Operand {
    if (name === 'True' || name === 'False') return constant(name === 'True')
    if (name === 'None') return constant(null)
    const value = this.#scope.values.get(name)
    if (!value) return { path: this.#scope.imports.get(name) ?? name }
    this.#scope.used.add(name)
    return value
  }

  /** Those that stand side by side are one. */
  #string(first: Token): Expression {
    const parts = [this.#piece(first)]
    while (this.#tokens[this.#at]?.kind === 'string')
      parts.push(this.#piece(this.#tokens[this.#at++]!))
    return template(parts)
  }

  #piece({ text, prefix = '' }: Token): Expression {
    const plain = (part: string): Expression =>
      constant(prefix.includes('r') ? part : unescaped(part))
    if (!prefix.includes('f')) return plain(text)
    const parts = text.split(/(\{\{|\}\}|\{[^{}]*\})/).map((part) => {
      if (part === '{{' || part === '}}') return constant(part[0]!)
      if (!part.startsWith('{')) return plain(part)
      return readText(part.slice(1, -1), this.#scope)
    })
    return template(parts)
  }

  /** `{"A": "b"}` */
  #mapping(): Expression {
    const entries: [string, Constant][] = []
    while (!this.#takes('}')) {
      const key = this.choice().value
      this.#must(':')
      const { value } = this.choice()
      if (typeof key !== 'string' || value === undefined)
        throw new Unreadable('a dictionary is understood if all in it is constant')
      entries.push([key, value])
      if (!this.#takes(',') && this.#tokens[this.#at]?.text !== '}')
        throw new Unreadable('a dictionary is not understood')
    }
    return constant(Object.fromEntries(entries))
  }

  /** What stands between brackets, the closing one too. */
  #list(close: string): Expression[] {
    const parts: Expression[] = []
    while (!this.#takes(close)) {
      parts.push(this.#argument())
      if (!this.#takes(',') && this.#tokens[this.#at]?.text !== close)
        throw new Unreadable(`${this.#tokens[this.#at]?.text ?? 'the end'} is not understood`)
    }
    return parts
  }

  /** `default=4` is as good as its place. */
  #argument(): Expression {
    const [name, sign] = this.#tokens.slice(this.#at, this.#at + 2)
    if (name?.text === 'default' && sign?.text === '=') this.#at += 2
    return this.choice()
  }

  #value(operand: Operand): Expression {
    if (isPath(operand)) throw new Unreadable(`${operand.path} is not known without running it`)
    return operand
  }

  #takes(text: string): boolean {
    const token = this.#tokens[this.#at]
    const isIt = token !== undefined && token.kind !== 'string' && token.text === text
    if (isIt) this.#at++
    return isIt
  }

  #takesAny(...texts: readonly string[]): string | undefined {
    return texts.find((text) => this.#takes(text))
  }

  #must(text: string): void {
    if (!this.#takes(text)) throw new Unreadable(`${text} is missing`)
  }
}

const numberOf = (text: string): number => Number(text.replaceAll('_', ''))

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '0': '\0', '\n': '' }
const unescaped = (text: string): string =>
  text.replace(/\\([^])/g, (_, letter: string) => ESCAPES[letter] ?? letter)
