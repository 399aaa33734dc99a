// What a command is given to work with, and what its words mean. Runs in the CLI.

import { parseArgs, type ParseArgsConfig } from 'node:util'
import {
  flagsOfCommand,
  operatorCommands,
  usageOf,
  type CommandRow,
  type OperatorCommand,
} from '../commands.ts'
import { UserError } from '../errors.ts'
import { nearest } from '../nearest.ts'
import type { Connection } from './connection.ts'

export interface Call {
  readonly server: Connection
  /** The same server once more, such as the new master after an upgrade. */
  readonly find: () => Promise<Connection>
  readonly words: readonly string[]
  readonly flags: Flags
  readonly print: (text: string) => void
  /** In which the command was given. */
  readonly directory: string
  /** Columns of the terminal; Infinity where there is none. */
  readonly width: number
}

export type Flags = Readonly<Record<string, string | boolean | undefined>>

export interface Words {
  readonly words: readonly string[]
  readonly flags: Flags
}

/** Throws BAD_COMMAND. */
export function parseCall(command: OperatorCommand, words: readonly string[]): Words {
  const row: CommandRow = operatorCommands[command]
  const { values, positionals } = parse(command, words)
  const { words: most = 0 } = row
  if (positionals.length > most)
    throw new UserError(
      'BAD_COMMAND',
      `${JSON.stringify(positionals[most])} is one argument too many: ${usage(command)}`,
    )
  return { words: positionals, flags: values as Flags }
}

/** `supervisor scale N|+N|-N` */
export const usage = (command: OperatorCommand): string =>
  `supervisor ${command} ${usageOf(command)}`.trimEnd()

/** `scale -1` is a number, not a flag. */
function parse(command: OperatorCommand, words: readonly string[]) {
  const numbers = words.filter((word) => /^-\d+$/.test(word))
  const others = words.filter((word) => !/^-\d+$/.test(word))
  const options = optionsOf(command)
  try {
    const { values, positionals } = parseArgs({ args: others, options, allowPositionals: true })
    return { values, positionals: [...positionals, ...numbers] }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new UserError('BAD_COMMAND', complaint(command, Object.keys(options), error.message))
  }
}

const optionsOf = (command: OperatorCommand): NonNullable<ParseArgsConfig['options']> =>
  Object.fromEntries(
    Object.entries(flagsOfCommand(command)).map(([name, { value, short }]) => [
      name,
      { type: value ? 'string' : 'boolean', ...(short && { short }) } as const,
    ]),
  )

/** Node's own sentence says which flag it is, and no more. */
function complaint(command: OperatorCommand, known: readonly string[], why: string): string {
  const flag = /'(?:-\w, )?(-[^ ',]*)/.exec(why)?.[1] ?? ''
  const name = flag.replace(/^-+/, '')
  if (known.includes(name))
    return /argument missing|ambiguous/.test(why)
      ? `${flag} needs a value: ${usage(command)}`
      : `${flag} takes no value: ${usage(command)}`
  const near = nearest(name, known)
  return `${flag} is not a flag of "supervisor ${command}"; ${
    near ? `did you mean --${near}?` : `its flags are ${known.map((one) => `--${one}`).join(', ')}`
  }`
}

/** A whole number of at least `least`; undefined without the flag. Throws BAD_COMMAND. */
export function wholeNumber(flags: Flags, flag: string, least: number): number | undefined {
  const text = flags[flag]
  if (text === undefined) return undefined
  if (/^\d{1,15}$/.test(String(text)) && Number(text) >= least) return Number(text)
  throw new UserError(
    'BAD_COMMAND',
    `--${flag} is ${JSON.stringify(text)}; it must be a whole number, ${least} or more`,
  )
}
