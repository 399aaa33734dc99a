// A command line of Gunicorn, wherever it stands: a script, a Procfile, a unit, a Dockerfile. Read, not run. Pure, but for the files
// that it names, which the caller reads. Runs in the CLI.
import { basename } from 'node:path'
import { type FlagUse, parseWords } from '../../argv.ts'
import { dirtyAdvice, gunicornFlags } from '../../gunicorn-flags.ts'
import { type SettingName, settingRow } from '../../settings.ts'
import { shellWords } from '../../shell-words.ts'
import { constant, type Constant, Unreadable } from './expression.ts'
import { appRemark, takeSetting } from './gunicorn.ts'
import { commandsOf, ShellScope } from './shell.ts'
import { nothingYet, type Taken } from './taken.ts'

export interface CommandLine {
  readonly words: readonly string[]
  readonly scope: ShellScope
  /** Sentences about what stands around it. */
  readonly remarks: readonly string[]
}

/** The text of another file of the project; undefined if there is none. */
export type ReadFile = (path: string) => string | undefined

const isGunicorn = (word: string): boolean => /^gunicorn\d?$/.test(basename(word))

/** What follows `gunicorn`; undefined if that is not what is run. */
function afterGunicorn(words: readonly string[]): readonly string[] | undefined {
  const at = words.findIndex(
    (word, n) => isGunicorn(word) && (n === 0 || !/^-[^m]|install$/.test(words[n - 1]!)),
  )
  return at === -1 ? undefined : words.slice(at + 1)
}

/** In the text of a shell script; the last one counts. `read`: for scripts that it runs. */
export function inScript(text: string, scope: ShellScope, read: ReadFile): CommandLine | undefined {
  let found: readonly string[] | undefined
  let nested: CommandLine | undefined
  const others: string[] = []
  for (const words of commandsOf(text, scope)) {
    const [first = '', ...rest] = words
    const inner = afterGunicorn(words)
    if (inner) found = inner
    else if (/^(sh|bash)$/.test(basename(first)) && rest.some((word) => /^-\w*c$/.test(word)))
      nested = inScript(rest.at(-1) ?? '', scope, read) ?? nested
    else if (/\.sh$/.test(first) || /\.sh$/.test(rest[0] ?? '')) {
      const script = read(/\.sh$/.test(first) ? first : rest[0]!)
      nested = (script === undefined ? undefined : inScript(script, scope, read)) ?? nested
    }
    if (!inner && !SYNTAX.test(first)) others.push(scope.sourceOf(words.join(' ')))
  }
  if (!found) return nested
  const remarks = others.map((other) => `It also ran, and you should go on to run: ${other}`)
  return { words: found, scope, remarks }
}

/** What says nothing about what is run. */
const SYNTAX =
  /^(set|if|then|else|elif|fi|for|do|done|while|case|esac|\[|\[\[|test|echo|printf|true|:|source|\.|cd|wait|trap|exit|sh|bash|exec)$/

/** `web: gunicorn app:app` */
export function inProcfile(text: string, read: ReadFile): CommandLine | undefined {
  const lines = [...text.matchAll(/^([\w-]+):[ \t]*(.+)$/gm)].map(
    ([, name = '', command = '']) => ({
      name,
      command,
    }),
  )
  const web = lines.filter(({ name }) => name === 'web')
  for (const { name, command } of [...web, ...lines]) {
    const found = inScript(command, new ShellScope(), read)
    if (!found) continue
    const others = lines.filter((line) => line.name !== name)
    const stay = others.map((line) => `It stays in the Procfile: ${line.name}: ${line.command}`)
    return { ...found, remarks: [...found.remarks, ...stay] }
  }
  return undefined
}

/** ExecStart= of a unit; what Environment= sets is still a variable. */
export function inUnit(text: string, read: ReadFile): CommandLine | undefined {
  const lines = text.replace(/\\\n/g, ' ').split('\n')
  const pairs = lines.flatMap((line) => {
    const [, key, value] = /^\s*([A-Za-z]+)\s*=\s*(.*)$/.exec(line) ?? []
    return key === undefined || value === undefined ? [] : [{ key, value }]
  })
  const scope = new ShellScope()
  for (const { value } of pairs.filter(({ key }) => key === 'Environment'))
    for (const pair of shellWords(value) ?? []) setDefault(scope, pair)
  const starts = pairs.filter(({ key }) => key === 'ExecStart')
  const found = starts
    .map(({ value }) => inScript(value.replace(/^[-@:+!]+/, ''), scope, read))
    .find((one) => one !== undefined)
  const stay = pairs.filter(({ key }) =>
    /^(User|Group|WorkingDirectory|EnvironmentFile|ExecStartPre|ExecStartPost)$/.test(key),
  )
  const remarks = stay.map(({ key, value }) => `It stays in the unit: ${key}=${value}`)
  return found && { ...found, remarks: [...found.remarks, ...remarks] }
}

function setDefault(scope: ShellScope, pair: string): void {
  const equals = pair.indexOf('=')
  if (equals > 0) scope.defaults.set(pair.slice(0, equals), pair.slice(equals + 1))
}

/** ENTRYPOINT and CMD of a Dockerfile's last stage; ENV are defaults. */
export function inDockerfile(text: string, read: ReadFile): CommandLine | undefined {
  const scope = new ShellScope()
  const last = { ENTRYPOINT: '', CMD: '' }
  for (const line of text
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\r?\n/g, ' ')
    .split('\n')) {
    const [, key = '', rest = ''] = /^\s*(\w+)\s+(.*)$/.exec(line) ?? []
    const name = key.toUpperCase()
    if (name === 'ENV') readEnv(rest.trim(), scope)
    if (name === 'ENTRYPOINT' || name === 'CMD') last[name] = rest.trim()
  }
  const command = [last.ENTRYPOINT, last.CMD].map(asScript).join(' ').trim()
  return inScript(command, scope, read)
}

function readEnv(text: string, scope: ShellScope): void {
  const [, name, value] = /^(\w+)\s+([^=].*)$/.exec(text) ?? []
  if (name !== undefined && value !== undefined) scope.defaults.set(name, value)
  else for (const pair of shellWords(text) ?? []) setDefault(scope, pair)
}

/** The form with brackets has no shell: nothing in it is expanded. */
function asScript(text: string): string {
  if (!text.startsWith('[')) return text
  try {
    const words = JSON.parse(text) as readonly unknown[]
    return words.map((word) => `'${String(word).replaceAll("'", `'\\''`)}'`).join(' ')
  } catch (error) {
    if (error instanceof SyntaxError) return text // as Docker, which takes it for the other form then
    throw error
  }
}

export interface FlagsRead extends Taken {
  /** The file after -c. */
  readonly config: string | undefined
}

/** The settings of a command line. Flags that are repeated are one list. */
export function fromWords({ words, scope, remarks }: CommandLine): FlagsRead {
  const taken = nothingYet()
  taken.remarks.push(...remarks)
  const parsed = parseWords(words)
  if (parsed.file !== undefined) taken.remarks.push(appRemark(scope.sourceOf(parsed.file)))
  const names = new Set(parsed.uses.map(({ name }) => name))
  for (const name of names)
    takeFlags(
      taken,
      name,
      parsed.uses.filter((use) => use.name === name),
      scope,
    )
  for (const [word, why] of meaninglessIn(words, scope)) taken.left.push({ source: word, why })
  for (const flag of parsed.unknown)
    taken.left.push({
      source: scope.sourceOf(flag),
      why: dirtyAdvice(flag) ?? 'there is no such flag here',
    })
  for (const { message } of parsed.problems)
    taken.left.push({ source: scope.sourceOf(message), why: 'it is not understood' })
  return { ...taken, config: parsed.own.get('config') }
}

function takeFlags(
  taken: Taken,
  name: SettingName,
  uses: readonly FlagUse[],
  scope: ShellScope,
): void {
  const source = uses
    .map(({ flag, text }) => scope.sourceOf(text === undefined ? flag : `${flag} ${text}`))
    .join(' ')
  try {
    const values = uses.map(({ text, negated }) =>
      text === undefined ? constant(!negated) : scope.expressionOf(text),
    )
    const { many } = settingRow(name)
    const all = values.map(({ value }) => value)
    const isConstant = all.every((value): value is Constant => value !== undefined)
    if (many && isConstant && (many === 'map' || all.length > 1))
      return takeSetting(taken, name, constant(all), source)
    if (many && all.length > 1) throw new Unreadable('write it as a list')
    takeSetting(taken, name, values.at(-1)!, source)
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    taken.left.push({ source, why: error.message })
  }
}

/** `--worker-class gevent`, with the reason. */
function meaninglessIn(words: readonly string[], scope: ShellScope): [string, string][] {
  return parseWords(words).notes.map((note) => {
    const [, written = note, why = ''] = /^(.+?) has no meaning in Node: (.+)$/.exec(note) ?? []
    return [scope.sourceOf(written), why || gunicornFlags[written]?.why || '']
  })
}
