// `supervisor completion`: a script for bash, zsh or fish that completes commands, flags, their values and files, made from the
// tables of commands and settings. Runs in the CLI.

import {
  flagsOfCommand,
  operatorCommands,
  type FlagRow,
  type OperatorCommand,
} from '../commands.ts'
import { UserError } from '../errors.ts'
import { initFlags, initTargets } from '../init-targets.ts'
import { levels } from '../log.ts'
import { nearest } from '../nearest.ts'
import { bash, fish, zsh, type Command, type Flag, type Value } from './shells.ts'
import { flagsOf, settingNames, settingRow } from '../settings.ts'

const SHELLS = { bash, zsh, fish }
type Shell = keyof typeof SHELLS

/** Throws BAD_COMMAND unless `words` is the name of a shell. */
export function completionScript(words: readonly string[]): string {
  const [shell = '', ...more] = words
  if (more.length === 0 && Object.hasOwn(SHELLS, shell))
    return SHELLS[shell as Shell](allCommands())
  const near = nearest(shell, Object.keys(SHELLS))
  const what = shell === '' ? 'a shell is missing' : `${JSON.stringify(words.join(' '))} is not one`
  const hint = shell !== '' && more.length === 0 && near ? `; did you mean ${near}?` : ''
  throw new UserError('BAD_COMMAND', `${what}: supervisor completion bash|zsh|fish${hint}`)
}

/** Seen as files by their placeholder in the table of settings. */
const FILES = ['file', 'path', 'program', 'glob']

/** `debug|info` are words to choose from, `seconds|timeout` one word among numbers. */
function valueOf(placeholder: string): Value {
  if (FILES.includes(placeholder)) return 'file'
  if (placeholder === 'directory') return 'directory'
  const words = placeholder.split('|').filter((word) => !KINDS.includes(word))
  return placeholder.includes('|') && words.length > 0 ? words : 'free'
}
/** Parts of placeholders that are no words to type. */
const KINDS = ['n', 'seconds', 'bytes', 'percent', 'min-max']

const HELP: Flag = { names: ['--help', '-h'], help: 'Help' }

const settingFlags = (): Flag[] =>
  settingNames.flatMap((name) => {
    const { placeholder, help, without } = settingRow(name)
    const names = flagsOf(name)
    const no = { names: [names[0]!.replace(/^--/, '--no-')], help: firstSentence(help) }
    const isSwitch = placeholder === undefined
    const own = {
      names,
      help: firstSentence(help),
      ...(!isSwitch && { value: valueOf(placeholder) }),
    }
    return isSwitch || without !== undefined ? [own, no] : [own]
  })

const OPERATOR_VALUES: Readonly<Record<string, Value>> = {
  from: 'file',
  socket: 'file',
  level: Object.keys(levels),
}

const operatorFlag = ([name, { short, value, help }]: [string, FlagRow]): Flag => ({
  names: [`--${name}`, ...(short ? [`-${short}`] : [])],
  help,
  ...(value && { value: OPERATOR_VALUES[name] ?? 'free' }),
})

const firstSentence = (text: string): string =>
  (/^.*?[^.](?=\.(\s|$))/.exec(text)?.[0] ?? text).replace(/\s+/g, ' ')

function allCommands(): Command[] {
  const config: Flag = { names: ['--config', '-c'], help: 'The settings file', value: 'file' }
  const json: Flag = { names: ['--json'], help: 'Print JSON' }
  const flags = [...settingFlags(), config, HELP]
  const names = Object.keys(operatorCommands) as OperatorCommand[]
  const operator = names.map((name): Command => ({
    name,
    help: operatorCommands[name].help,
    flags: [...Object.entries(flagsOfCommand(name)).map(operatorFlag), HELP],
    words: 'nothing',
  }))
  const known = ['start', 'check', 'config', 'init', 'completion', ...names]
  return [
    { name: 'start', help: 'Start the app', flags, words: 'app' },
    { name: 'check', help: 'Load the settings and the app, serve nothing', flags, words: 'app' },
    { name: 'config', help: 'Show every setting', flags: [...flags, json], words: 'app' },
    ...operator,
    {
      name: 'init',
      help: 'Write files for this app',
      flags: [...Object.entries(initFlags).map(operatorFlag), ...flags],
      words: Object.keys(initTargets),
    },
    {
      name: 'completion',
      help: 'Print the completions of a shell',
      flags: [HELP],
      words: Object.keys(SHELLS),
    },
    { name: 'help', help: 'Tell of a command', flags: [], words: known },
  ]
}
