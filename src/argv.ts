// The command line after the command: flags, FILE, and the app's own arguments. Pure; a leaf, used for GUNICORN_CMD_ARGS too.
import { util } from './builtin.ts'
import { UserError } from './errors.ts'
import { gunicornFlags, meaningless } from './gunicorn-flags.ts'
import { flagsOf, type SettingName, settingNames, settingRow } from './settings.ts'

/** A setting's flag as it was used. */
export interface FlagUse {
  readonly name: SettingName
  /** As written: `-w`, `--workers`. */
  readonly flag: string
  /** `undefined` when an on/off flag stands alone. */
  readonly text: string | undefined
  /** `--no-preload` */
  readonly negated: boolean
}

/** Flags that are no settings; Gunicorn's --check-config and --print-config stand for our commands. */
const OWN_FLAGS = {
  config: { short: 'c', value: true },
  json: {},
  help: { short: 'h' },
  version: { short: 'v' },
  'check-config': {},
  'print-config': {},
} as const satisfies Record<string, { short?: string; value?: true }>
type OwnFlag = keyof typeof OWN_FLAGS

export interface ParsedArgs {
  /** FILE[:EXPORT] as written. */
  readonly file: string | undefined
  /** What follows `--`. */
  readonly appArgs: readonly string[]
  readonly uses: readonly FlagUse[]
  /** Flags that are no settings; the value of `config` is its file. */
  readonly own: ReadonlyMap<OwnFlag, string>
  /** Flags nobody knows, as written. */
  readonly unknown: readonly string[]
  /** Lines for the log, about flags without a meaning in Node. */
  readonly notes: readonly string[]
  readonly problems: readonly UserError[]
}

type Meaning =
  | { readonly is: 'setting'; readonly name: SettingName; readonly negated: boolean }
  | { readonly is: 'gunicorn' }
  | { readonly is: 'own'; readonly name: OwnFlag }

interface Flag {
  readonly meaning: Meaning
  readonly takesValue: boolean
  readonly short?: string
}

const flags = new Map<string, Flag>()

for (const name of settingNames) {
  const [first = '', ...others] = flagsOf(name)
  const takesValue = settingRow(name).placeholder !== undefined
  const letter = others.find((flag) => !flag.startsWith('--'))
  const meaning = { is: 'setting', name, negated: false } as const
  for (const long of [first, ...others].filter((flag) => flag.startsWith('--'))) {
    const short = long === first && letter ? { short: letter.slice(1) } : {}
    flags.set(long.slice(2), { meaning, takesValue, ...short })
    if (!takesValue || settingRow(name).without !== undefined)
      flags.set(`no-${long.slice(2)}`, {
        meaning: { ...meaning, negated: true },
        takesValue: false,
      })
  }
}
for (const [name, { value = false, short }] of Object.entries(gunicornFlags)) {
  flags.set(name, { meaning: { is: 'gunicorn' }, takesValue: value, ...(short && { short }) })
}
for (const [name, flag] of Object.entries<{ short?: string; value?: true }>(OWN_FLAGS)) {
  const meaning = { is: 'own', name: name as OwnFlag } as const
  flags.set(name, {
    meaning,
    takesValue: flag.value ?? false,
    ...(flag.short && { short: flag.short }),
  })
}

const options = Object.fromEntries(
  [...flags].map(([name, { takesValue, short }]) => [
    name,
    {
      type: takesValue ? ('string' as const) : ('boolean' as const),
      multiple: true,
      ...(short && { short }),
    },
  ]),
)

/** Every flag that can be meant, for "did you mean": `--timeout`, `-w`, ... */
export const knownFlags = (): string[] => [...flags.keys()].map((name) => `--${name}`)

type Token = NonNullable<ReturnType<typeof util.parseArgs>['tokens']>[number]
type OptionToken = Extract<Token, { kind: 'option' }>

/** Reads the words after the command. Never throws: what is wrong is in `problems` and `unknown`. */
export const parseWords = (words: readonly string[]): ParsedArgs => {
  const files: string[] = []
  const uses: FlagUse[] = []
  const own = new Map<OwnFlag, string>()
  const unknown: string[] = []
  const notes: string[] = []
  const problems: UserError[] = []
  const end = endOfFlags(words)

  for (const token of tokensOf(words.slice(0, end))) {
    if (token.kind === 'positional') files.push(token.value)
    if (token.kind !== 'option') continue
    const flag = flags.get(token.name)
    // parseArgs leaves the `=` of `-w=4` in the value; Gunicorn's parser takes it away.
    const text = token.rawName.startsWith('--') ? token.value : token.value?.replace(/^=/, '')
    if (!flag) unknown.push(token.rawName)
    else if (flag.meaning.is === 'gunicorn')
      notes.push(meaningless(token.rawName, token.name, text))
    else if (flag.takesValue && text === undefined) problems.push(needsValue(token.rawName))
    else if (flag.meaning.is === 'own') own.set(flag.meaning.name, text ?? '')
    else
      uses.push({
        name: flag.meaning.name,
        negated: flag.meaning.negated,
        flag: token.rawName,
        text,
      })
  }
  // After a mistyped flag its value looks like a second FILE; one complaint is enough.
  if (unknown.length === 0) for (const extra of files.slice(1)) problems.push(unexpected(extra))
  return { file: files[0], appArgs: words.slice(end + 1), uses, own, unknown, notes, problems }
}

/** The place of the `--` that ends the flags, or the end. */
const endOfFlags = (words: readonly string[]): number => {
  const at = words.indexOf('--')
  return at === -1 ? words.length : at
}

/** parseArgs takes whatever follows a flag as its value, another flag too; here `--timeout --workers 4` is two flags. */
function* tokensOf(words: readonly string[]): Generator<Token> {
  let from = 0
  while (from < words.length) {
    const { tokens } = util.parseArgs({
      args: words.slice(from),
      options,
      strict: false,
      allowPositionals: true,
      tokens: true,
    })
    const hungry = tokens.findIndex((token) => token.kind === 'option' && tookAFlag(token))
    if (hungry === -1) return yield* tokens
    yield* tokens.slice(0, hungry)
    const token = tokens[hungry] as OptionToken
    yield { ...token, value: undefined, inlineValue: undefined }
    from += token.index + 1
  }
}

const tookAFlag = (token: OptionToken): boolean =>
  token.inlineValue === false &&
  token.name !== 'node-args' &&
  token.value.length > 1 &&
  token.value.startsWith('-') &&
  !/^-[\d.]/.test(token.value)

const needsValue = (flag: string): UserError =>
  new UserError('BAD_SETTING', `${flag} needs a value`)

const unexpected = (word: string): UserError =>
  new UserError(
    'BAD_COMMAND',
    `${JSON.stringify(word)} is one argument too many: there is one FILE, and arguments for the app follow "--"`,
  )
