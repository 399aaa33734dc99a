// The help texts, from the table of settings. Runs in the CLI; imported only when asked for.
// A renderer of its own: at 80 columns yargs gives the width to the longest alias and shows neither variables nor placeholders.
import {
  type FlagRow,
  flagsOfCommand,
  type OperatorCommand,
  operatorCommands,
  usageOf,
} from './commands.ts'
import { initFlags, initTargets } from './init-targets.ts'
import {
  flagsOf,
  groups,
  type SettingName,
  settingNames,
  settingRow,
  variablesOf,
} from './settings.ts'

const WIDTH = 80

export const generalHelp = (): string =>
  [
    'Usage: supervisor <command> [FILE[:EXPORT]] [flags] [-- arguments for the app]',
    '',
    'An application server for Node: several workers behind one address, replaced',
    'when they crash, stopped and reloaded without losing a request.',
    '',
    'Commands',
    ...commandLine('start', 'Start the app and keep its workers running'),
    ...commandLine('check', 'Load settings and app in another process, serve nothing'),
    ...commandLine('config', 'Show every setting, its value and where it came from'),
    ...commandLine('init', 'Write a Dockerfile, a unit, an nginx site ... for this app'),
    ...commandLine('jobs', 'Run background jobs without a web server, or look at them'),
    ...commandLine('completion', 'Print what lets a shell complete: bash, zsh or fish'),
    ...commandLine('help', 'This text; "supervisor help COMMAND" tells more'),
    '',
    'For a server that runs: the one started in this directory, or --pid, --socket',
    ...Object.entries(operatorCommands).flatMap(([name, { help }]) => commandLine(name, help)),
    '',
    'Examples',
    '  supervisor start app.js',
    '  supervisor start dist/server.js:app --workers 4 --bind 0.0.0.0:8080',
    '  supervisor config app.js --timeout 2m',
    '',
    'Flags',
    '  -h, --help       This text; after a command, all its flags',
    '  -v, --version    The version',
    '',
  ].join('\n')

const NAME_WIDTH = 12

/** What does not fit goes on below, beside the names. */
const commandLine = (name: string, help: string): string[] =>
  wrap(help, ' '.repeat(NAME_WIDTH + 2)).map((line, n) =>
    n === 0 ? `  ${name.padEnd(NAME_WIDTH)}${line.slice(NAME_WIDTH + 2)}` : line,
  )

const PLACE_HELP =
  'Speaks to the server that was started in this directory, or to the only one that runs; --pid or --socket say which.'

/** `supervisor status --help` */
export const operatorHelp = (command: OperatorCommand): string => {
  const { help, more } = operatorCommands[command]
  return [
    ...wrap(
      `Usage: supervisor ${command} ${usageOf(command)}`.trimEnd() +
        ` [--pid PID|--socket PATH]${'json' in flagsOfCommand(command) ? ' [--json]' : ''}`,
      '',
    ),
    '',
    ...[`${help}.`, ...(more ? [more] : []), PLACE_HELP].flatMap((text) => [...wrap(text, ''), '']),
    ...section(
      'Flags',
      [...Object.entries(flagsOfCommand(command)), ['help', HELP_FLAG] as const].map(operatorFlag),
    ),
  ].join('\n')
}

const HELP_FLAG: FlagRow = { short: 'h', help: 'This text' }

const operatorFlag = ([name, { short, value, help }]: readonly [string, FlagRow]): string[] => [
  `${short ? `-${short}, ` : ''}--${name}${value ? ` ${value}` : ''}`,
  `${help}.`,
]

/** `supervisor init --help` */
export const initHelp = (): string =>
  [
    'Usage: supervisor init TARGET [FILE[:EXPORT]] [flags of start] [--print]',
    '       supervisor init --from FILE [--print]',
    '',
    ...wrap(
      'Writes a file for this app into the project: its command, addresses and times follow the settings file and the flags. What is there is never overwritten.',
      '',
    ),
    '',
    'Targets',
    ...Object.entries(initTargets).flatMap(([name, help]) => commandLine(name, help)),
    '',
    ...section(
      'Flags',
      [...Object.entries(initFlags), ['help', HELP_FLAG] as const].map(operatorFlag),
    ),
  ].join('\n')

/** `supervisor completion --help` */
export const completionHelp = (): string =>
  [
    'Usage: supervisor completion bash|zsh|fish',
    '',
    ...wrap('Prints a script that lets the shell complete commands, flags, values and files.', ''),
    '',
    '  bash   eval "$(supervisor completion bash)"     in ~/.bashrc',
    '  zsh    eval "$(supervisor completion zsh)"      in ~/.zshrc, after compinit',
    '  fish   supervisor completion fish | source      in ~/.config/fish/config.fish',
    '',
  ].join('\n')

/** `supervisor jobs --help` */
export const jobsHelp = (): string =>
  [
    'Usage: supervisor jobs [--workers N] [-c FILE] [flags]',
    '       supervisor jobs ls [--status STATUS] [--limit N]',
    '       supervisor jobs show|cancel|retry ID',
    '       supervisor jobs clean [--status completed|failed] [--age DURATION]',
    '       supervisor jobs stats',
    '',
    ...wrap(
      'Without a word after it, runs the background jobs of the settings file (jobs: { entry }): the embedded store, unless it runs already or another store is set, and the job processes. No web server.',
      '',
    ),
    '',
    ...wrap(
      'The others ask the queue; --json prints JSON. clean removes finished jobs, all of them without --age.',
      '',
    ),
    '',
  ].join('\n')

export type HelpedCommand = 'start' | 'check' | 'config'

const ABOUT: Readonly<Record<HelpedCommand, string>> = {
  start: 'Starts the app and keeps its workers running.',
  check:
    'Loads the settings and the app in a process of its own and serves nothing: exit status 0 if all is well.',
  config: 'Shows every setting, its value and where it came from. Nothing is started.',
}

const FILE_HELP =
  'FILE is the app: a JavaScript or TypeScript file that listens by itself, or that exports a handler, an app of a framework or a server, as its default or as EXPORT. Without FILE, package.json says which.'
const VALUES_HELP =
  'Durations are seconds, or have a unit: 500ms, 2m, 1h. Sizes are bytes, or have a unit: 16kb, 512mb, 1gb. A flag wins over a variable, a variable over the settings file. Every setting also has a variable SUPERVISOR_<NAME>, such as SUPERVISOR_GRACEFUL_TIMEOUT.'

/** `supervisor start --help`: every flag, in groups, no line longer than 80 columns. */
export const commandHelp = (command: HelpedCommand): string => {
  const own: string[][] = [
    [
      '-c, --config <file>',
      'The settings file. When unset, supervisor.config.ts, .mts, .js, .mjs, .cjs or .json where the command is given.',
      'Variables: SUPERVISOR_CONFIG.',
    ],
    ...(command === 'config' ? [['--json', 'Print JSON instead of a table.']] : []),
    ['-h, --help', 'This text.'],
  ]
  return [
    `Usage: supervisor ${command} [FILE[:EXPORT]] [flags] [-- arguments for the app]`,
    '',
    ...[ABOUT[command], FILE_HELP, VALUES_HELP].flatMap((text) => [...wrap(text, ''), '']),
    ...groups.flatMap((group) => section(group, settingsOf(group).map(entry))),
    ...section('Other', own),
  ].join('\n')
}

const settingsOf = (group: string): SettingName[] =>
  settingNames.filter((name) => settingRow(name).group === group)

const section = (title: string, entries: readonly (readonly string[])[]): string[] => [
  title,
  ...entries.flatMap(([flags = '', ...texts]) => [
    ...wrap(flags, '  '),
    ...texts.flatMap((text) => wrap(text, '      ')),
  ]),
  '',
]

/** The flags, what they do, and on a line of its own the default and the variables. */
const entry = (name: SettingName): string[] => {
  const { help, default: value, placeholder, without } = settingRow(name)
  const letterFirst = flagsOf(name).toSorted(
    (one, other) => Number(one.startsWith('--')) - Number(other.startsWith('--')),
  )
  const flags = placeholder
    ? `${letterFirst.join(', ')} <${placeholder}>${without === undefined ? '' : `, ${flagsOf(name)[0]!.replace(/^--/, '--no-')}`}`
    : letterFirst.map((flag) => flag.replace(/^--/, '--[no-]')).join(', ')
  const [, ...variables] = variablesOf(name)
  const facts = [
    isShown(value) ? `Default: ${String(value)}.` : '',
    variables.length > 0 ? `Variables: ${variables.join(', ')}.` : '',
  ].filter((fact) => fact !== '')
  return facts.length > 0 ? [flags, help, facts.join(' ')] : [flags, help]
}

/** A default of nothing is explained by the help itself. */
const isShown = (value: unknown): boolean =>
  typeof value === 'number' || (typeof value === 'string' && value !== '')

const wrap = (text: string, indent: string): string[] => {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= WIDTH)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(indent + word)
  }
  return lines
}
