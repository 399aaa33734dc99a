// The completion scripts of bash, zsh and fish for a table of commands. Pure. Runs in the CLI.

/** What may follow a flag: one of some words, a file, a directory, or what nobody can guess. */
export type Value = readonly string[] | 'file' | 'directory' | 'free'

export interface Flag {
  /** With its hyphens. */
  readonly names: readonly string[]
  readonly help: string
  /** Missing for a switch. */
  readonly value?: Value
}

export interface Command {
  readonly name: string
  readonly help: string
  readonly flags: readonly Flag[]
  /** What its words are. */
  readonly words: Value | 'app' | 'nothing'
}

/** In single quotes, for all three shells. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** Commands with the same flags share a branch. */
function byFlags(commands: readonly Command[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const { name, flags } of commands) {
    const key = flags.flatMap(({ names }) => names).join(' ')
    groups.set(key, [...(groups.get(key) ?? []), name])
  }
  return groups
}

/** Flags that take a value, by what it may be: `file` -> `--config|-c`. */
function byValue(commands: readonly Command[]): Map<string, Set<string>> {
  const groups = new Map<string, Set<string>>()
  for (const { names, value } of commands.flatMap(({ flags }) => flags)) {
    if (value === undefined) continue
    const key = typeof value === 'string' ? value : value.join(' ')
    const group = groups.get(key) ?? new Set()
    for (const name of names) group.add(name)
    groups.set(key, group)
  }
  return groups
}

const BASH_HELPERS = `_supervisor_reply() {
  local IFS=$' \\t\\n'
  COMPREPLY=($(compgen -W "$1" -- "$cur"))
}
_supervisor_files() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen "$1" -- "$cur"))
}`

/** Where the cursor is. bash takes --flag=value for three words. */
const BASH_WORDS = `  local cur=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command=\${COMP_WORDS[1]} flags=
  COMPREPLY=()
  if [[ $cur == = ]]; then
    cur=
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi`

const bashReply = (value: string): string =>
  value === 'free'
    ? ':'
    : value === 'file' || value === 'directory'
      ? `_supervisor_files ${value === 'file' ? '-f' : '-d'}`
      : `_supervisor_reply ${quoted(value)}`

const bashValues = (commands: readonly Command[]): string =>
  [...byValue(commands)]
    .map(([value, names]) => `      ${[...names].join('|')}) ${bashReply(value)}; return ;;`)
    .join('\n')

export function bash(commands: readonly Command[]): string {
  const isForApp = ({ flags }: Command): boolean =>
    flags.some(({ names }) => names.includes('--config'))
  const flags = [...byFlags(commands)].map(
    ([words, names]) => `    ${names.join('|')}) flags=${quoted(words)} ;;`,
  )
  const words = commands.flatMap(({ name, words }) => {
    if (words === 'app') return [`    ${name}) _supervisor_files -f ;;`]
    const isList = typeof words !== 'string'
    return isList ? [`    ${name}) _supervisor_reply ${quoted(words.join(' '))} ;;`] : []
  })
  return `# bash completion for supervisor: eval "$(supervisor completion bash)"
${BASH_HELPERS}
_supervisor() {
${BASH_WORDS}
  if ((COMP_CWORD == 1)); then
    _supervisor_reply ${quoted([...commands.map(({ name }) => name), '--help', '--version'].join(' '))}
    return
  fi
  case $command in
  ${commands
    .filter(isForApp)
    .map(({ name }) => name)
    .join('|')})
    case $previous in
${bashValues(commands.filter(isForApp))}
    esac ;;
  *)
    case $previous in
${bashValues(commands.filter((one) => !isForApp(one)))}
    esac ;;
  esac
  case $command in
${flags.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    _supervisor_reply "$flags"
    return
  fi
  case $command in
${words.join('\n')}
  esac
}
complete -F _supervisor supervisor nodicorn
`
}

const zshAction = (value: Command['words']): string => {
  if (value === 'file' || value === 'app') return '_files'
  if (value === 'directory') return '_files -/'
  return typeof value === 'string' ? ' ' : `(${value.join(' ')})`
}

const zshFlag = ({ names, help, value }: Flag): string[] => {
  const text = help.replace(/[[\]\\:]/g, '\\$&')
  const end = value === undefined ? '' : `:value:${zshAction(value)}`
  return names.map((name) => {
    const takes = value === undefined ? '' : name.startsWith('--') ? '=' : '+'
    return quoted(`*${name}${takes}[${text}]${end}`)
  })
}

const zshBranch = ({ name, flags, words }: Command): string => {
  const rest = words === 'nothing' ? [] : [quoted(`*:word:${zshAction(words)}`)]
  return `    ${name})
      _arguments -s \\
        ${[...flags.flatMap(zshFlag), ...rest].join(' \\\n        ')} ;;`
}

export function zsh(commands: readonly Command[]): string {
  const colons = (text: string): string => text.replaceAll(':', '\\:')
  const described = commands.map(({ name, help }) => quoted(`${colons(name)}:${colons(help)}`))
  return `#compdef supervisor nodicorn
# zsh completion for supervisor: eval "$(supervisor completion zsh)", after compinit
_supervisor() {
  local -a commands=(
    ${described.join('\n    ')}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${commands.map(zshBranch).join('\n')}
  esac
}
if [[ $funcstack[1] == _supervisor ]]; then _supervisor "$@"; else compdef _supervisor supervisor nodicorn; fi
`
}

export function fish(commands: readonly Command[]): string {
  const lines = commands.flatMap(({ name, help, flags, words }) => {
    const here = `__fish_seen_subcommand_from ${name}`
    return [
      `complete -c supervisor -f -n __fish_use_subcommand -a ${name} -d ${quoted(help)}`,
      ...(words === 'app' ? [`complete -c supervisor -F -n ${quoted(here)}`] : []),
      ...(Array.isArray(words)
        ? [`complete -c supervisor -f -n ${quoted(here)} -a ${quoted(words.join(' '))}`]
        : []),
      ...flags.map((flag) => `complete -c supervisor -n ${quoted(here)} ${fishFlag(flag)}`),
    ]
  })
  return `# fish completion for supervisor: supervisor completion fish | source
complete -c supervisor -f
${lines.join('\n')}
complete -c nodicorn -w supervisor
`
}

function fishFlag({ names, help, value }: Flag): string {
  const spelled = names.map((name) =>
    name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
  )
  const takes =
    value === undefined
      ? []
      : value === 'file'
        ? ['-r -F']
        : value === 'directory'
          ? [`-x -a '(__fish_complete_directories)'`]
          : value === 'free'
            ? ['-x']
            : [`-x -a ${quoted(value.join(' '))}`]
  return [...spelled, ...takes, '-d', quoted(help)].join(' ')
}
