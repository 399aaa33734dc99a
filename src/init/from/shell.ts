// A shell script's commands, read and not run: quotes, variables with their defaults, the number of CPUs. Pure. Runs in the CLI.
import {
  type Constant,
  cpus,
  type Expression,
  template,
  constant,
  Unreadable,
  variable,
} from './expression.ts'
import { readText } from './python-expression.ts'

/** Stands for an expression within the text of a word: one character of Unicode's private use area. */
const FIRST_MARK = 0xe000
const MARK = /([\uE000-\uF8FF])/

/** What was assigned, and what the marks in words stand for. */
export class ShellScope {
  readonly values = new Map<string, Expression>()
  /** Of variables that are set where the command runs, such as by Dockerfile's ENV: what they are unless somebody sets them. */
  readonly defaults = new Map<string, Constant>()
  readonly #marked: { value: Expression | Unreadable; source: string }[] = []

  mark(value: Expression | Unreadable, source: string): string {
    this.#marked.push({ value, source })
    return String.fromCharCode(FIRST_MARK + this.#marked.length - 1)
  }

  variable(name: string): Expression {
    const value = this.values.get(name)
    if (value) return value
    const otherwise = this.defaults.get(name)
    return variable(name, otherwise === undefined ? undefined : constant(otherwise))
  }

  /** What a word is worth. Throws Unreadable. */
  expressionOf(word: string): Expression {
    const parts = word.split(MARK).filter((part) => part !== '')
    return template(
      parts.map((part) => (MARK.test(part) ? this.#expressionAt(part) : constant(part))),
    )
  }

  /** As it was written. */
  sourceOf(word: string): string {
    return word.replace(new RegExp(MARK, 'g'), (mark) => this.#at(mark).source)
  }

  #expressionAt(mark: string): Expression {
    const { value } = this.#at(mark)
    if (value instanceof Unreadable) throw value
    return value
  }

  #at(mark: string): { value: Expression | Unreadable; source: string } {
    return this.#marked[mark.charCodeAt(0) - FIRST_MARK]!
  }
}

/** The words of each simple command, without the assignments before it; those that stand alone are in the scope afterwards. */
export function commandsOf(text: string, scope: ShellScope): string[][] {
  const commands: string[][] = []
  for (const words of new Splitter(text, scope).commands()) {
    const rest = words[0] === 'export' ? words.slice(1) : words
    const command = rest.findIndex((word) => !/^\w+=/.test(word))
    const assignments = command === -1 ? rest : rest.slice(0, command)
    for (const assignment of assignments) assign(assignment, scope)
    if (command !== -1 && words[0] !== 'export') commands.push(rest.slice(command))
  }
  return commands
}

function assign(word: string, scope: ShellScope): void {
  const equals = word.indexOf('=')
  try {
    scope.values.set(word.slice(0, equals), scope.expressionOf(word.slice(equals + 1)))
  } catch (error) {
    // whoever uses it will say so
    if (!(error instanceof Unreadable)) throw error
  }
}

const CPUS = /^(nproc( --all)?|getconf _NPROCESSORS_ONLN|grep -c \^?processor \/proc\/cpuinfo)$/

class Splitter {
  readonly #text: string
  readonly #scope: ShellScope
  #at = 0
  #word: string | undefined
  #words: string[] = []

  constructor(text: string, scope: ShellScope) {
    // people write comments behind a continuation, which no shell understands as they mean it
    this.#text = text.replace(/\\[ \t]+(#[^\n]*)?\n/g, '\\\n')
    this.#scope = scope
  }

  *commands(): Generator<string[]> {
    while (this.#at < this.#text.length) {
      if (!this.#isEnd()) continue
      if (this.#words.length > 0) yield this.#words
      this.#words = []
    }
    this.#endWord()
    if (this.#words.length > 0) yield this.#words
  }

  /** Reads one piece; true if a command ends with it. */
  #isEnd(): boolean {
    const letter = this.#text[this.#at++]!
    if (letter === '#' && this.#word === undefined) {
      this.#at = this.#find('\n')
      return false
    }
    if (/[ \t\r]/.test(letter)) this.#endWord()
    else if (/[\n;&|()]/.test(letter)) {
      this.#endWord()
      return true
    } else if (/[<>]/.test(letter)) this.#redirection()
    else this.#piece(letter)
    return false
  }

  #piece(letter: string): void {
    if (letter === '\\') this.#escaped()
    else if (letter === "'") this.#add(this.#until("'"))
    else if (this.#text.startsWith('"$@"', this.#at - 1)) this.#at += 3
    else if (letter === '"') this.#quoted()
    else if (letter === '$') this.#splitting(this.#dollar())
    else if (letter === '`') this.#splitting(this.#command(this.#until('`')))
    else this.#add(letter)
  }

  #add(text: string): void {
    this.#word = (this.#word ?? '') + text
  }

  #endWord(): void {
    if (this.#word !== undefined) this.#words.push(this.#word)
    this.#word = undefined
  }

  #escaped(): void {
    const letter = this.#text[this.#at++] ?? ''
    if (letter !== '\n') this.#add(letter)
  }

  /** What is not in quotes is split at its spaces. */
  #splitting(text: string): void {
    const [first = '', ...others] = text.split(/\s+/)
    if (first !== '') this.#add(first)
    for (const part of others) {
      this.#endWord()
      if (part !== '') this.#add(part)
    }
  }

  #quoted(): void {
    this.#add('')
    while (this.#at < this.#text.length) {
      const letter = this.#text[this.#at++]!
      if (letter === '"') return
      if (letter === '\\' && /["\\$`\n]/.test(this.#text[this.#at] ?? '')) this.#escaped()
      else if (letter === '$') this.#add(this.#dollar())
      else if (letter === '`') this.#add(this.#command(this.#until('`')))
      else this.#add(letter)
    }
  }

  /** `> file`, `2>&1`: nothing that a command is told. */
  #redirection(): void {
    if (/^\d$/.test(this.#word ?? '')) this.#word = undefined
    this.#endWord()
    const rest = /^[<>&|]*[ \t]*\S*/.exec(this.#text.slice(this.#at))![0]
    this.#at += rest.length
  }

  #until(close: string): string {
    const begin = this.#at
    const end = this.#find(close)
    this.#at = end + close.length
    return this.#text.slice(begin, end)
  }

  #find(what: string): number {
    const at = this.#text.indexOf(what, this.#at)
    return at === -1 ? this.#text.length : at
  }

  /** What follows a dollar sign, as a text with marks. */
  #dollar(): string {
    const rest = this.#text.slice(this.#at)
    if (rest.startsWith('((')) return this.#arithmetic()
    if (rest.startsWith('(')) return this.#command(this.#bracketed('(', ')'))
    if (rest.startsWith('{')) return this.#parameter(this.#bracketed('{', '}'))
    const name = /^([A-Za-z_]\w*|[@*#?$\d])/.exec(rest)?.[0]
    if (name === undefined) return '$'
    this.#at += name.length
    // what the script was given more
    if (/^[@*]/.test(name)) return ''
    return /^\w/.test(name) && !/^\d/.test(name)
      ? this.#inline(() => this.#scope.variable(name), `$${name}`)
      : this.#unknown(`$${name}`)
  }

  /** Between brackets that may be nested; the reader stands before the opening one. */
  #bracketed(open: string, close: string): string {
    const begin = this.#at + 1
    let depth = 0
    do {
      const letter = this.#text[this.#at++]
      if (letter === undefined) return this.#text.slice(begin)
      if (letter === open) depth++
      if (letter === close) depth--
    } while (depth > 0)
    return this.#text.slice(begin, this.#at - 1)
  }

  #command(text: string): string {
    const source = `$(${text.trim()})`
    return CPUS.test(text.trim()) ? this.#scope.mark(cpus, source) : this.#unknown(source)
  }

  #unknown(source: string): string {
    return this.#scope.mark(new Unreadable(`${source} is not known without running it`), source)
  }

  /** `${X:-default}`, `${X-default}`, `${X:?message}` */
  #parameter(text: string): string {
    const source = `\${${text}}`
    const [, name, sign, word = ''] = /^([A-Za-z_]\w*)(?:(:?[-=?])([^]*))?$/.exec(text) ?? []
    if (name === undefined) return this.#unknown(source)
    if (!sign || sign.endsWith('?')) return this.#inline(() => this.#scope.variable(name), source)
    return this.#inline(() => {
      const set = this.#scope.values.get(name) ?? this.#default(name)
      if (set) return set
      const inner = [...new Splitter(`"${word}"`, this.#scope).commands()][0]?.[0] ?? ''
      return variable(name, this.#scope.expressionOf(inner), sign.startsWith(':'))
    }, source)
  }

  #default(name: string): Expression | undefined {
    return this.#scope.defaults.has(name) ? this.#scope.variable(name) : undefined
  }

  #arithmetic(): string {
    const text = this.#bracketed('(', ')').replace(/^\(|\)$/g, '')
    const source = `$((${text}))`
    return this.#inline(() => {
      const values = new Map(this.#scope.values)
      const inner = [...new Splitter(`"${text}"`, this.#scope).commands()][0]?.[0] ?? ''
      let n = 0
      const plain = inner.replace(new RegExp(MARK, 'g'), (mark) => {
        const name = `part_${n++}`
        values.set(name, this.#scope.expressionOf(mark))
        return name
      })
      return readText(plain, { values, imports: new Map(), used: new Set() })
    }, source)
  }

  /** Constants become text at once, so that they are split as the shell splits them. */
  #inline(make: () => Expression, source: string): string {
    try {
      const made = make()
      return made.value === undefined ? this.#scope.mark(made, source) : String(made.value)
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error
      return this.#scope.mark(error, source)
    }
  }
}
