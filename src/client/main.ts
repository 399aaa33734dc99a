// The commands that speak to a running server: finds it, asks, prints. Runs in the CLI, imported only for them.

import { parseArgs, type ParseArgsConfig } from 'node:util'
import type { CommandName } from '../commands.ts'
import { commands } from '../commands.ts'
import type { EventItem, RequestList, ServerStatus } from '../control-protocol.ts'
import { UserError } from '../errors.ts'
import type { Connection } from './connection.ts'
import { findServer } from './find.ts'
import { eventLine, requestsView, statusView } from './views.ts'

type ParseArgsOptionsConfig = NonNullable<ParseArgsConfig['options']>

/** Flags of every command. */
const COMMON = {
  socket: { type: 'string' },
  pid: { type: 'string' },
  json: { type: 'boolean' },
} as const satisfies ParseArgsOptionsConfig

interface Call {
  readonly server: Connection
  readonly words: readonly string[]
  readonly flags: Readonly<Record<string, string | boolean | undefined>>
  readonly print: (text: string) => void
  /** Columns of the terminal; Infinity where there is none. */
  readonly width: number
}

interface Row {
  readonly flags?: ParseArgsOptionsConfig
  /** How many words may follow the command; default none. */
  readonly words?: number
  /** Answers the exit status. */
  readonly run: (call: Call) => Promise<number>
}

const table: Record<CommandName, Row> = {
  status: { run: show<ServerStatus>('status', (s, width) => statusView(s, Date.now(), width)) },
  requests: { run: show<RequestList>('requests', requestsView) },
  events: {
    flags: { follow: { type: 'boolean', short: 'f' }, last: { type: 'string', short: 'n' } },
    run: events,
  },
  metrics: { run: show<{ body: string }>('metrics', ({ body }) => [body.trimEnd()]) },
  reload: { flags: { wait: { type: 'boolean' } }, run: reload },
  scale: { words: 1, run: scale },
  recycle: { words: 1, flags: { all: { type: 'boolean' } }, run: recycle },
  stop: { flags: { now: { type: 'boolean' } }, run: stop },
}

/** Runs a command with the words after it; answers the exit status. Throws UserErrors. */
export async function runClient(
  command: CommandName,
  words: readonly string[],
  place: { directory: string; runtimeDir: string | undefined },
): Promise<number> {
  const { flags: own = {}, words: most = 0, run } = table[command]
  const { values, positionals } = parse(command, words, { ...COMMON, ...own })
  if (positionals.length > most)
    throw new UserError(
      'BAD_COMMAND',
      `${JSON.stringify(positionals[most])} is one argument too many: supervisor ${command} ${usageOf(command)}`,
    )
  const { socket, pid } = values as { socket?: string; pid?: string }
  const server = await findServer({
    ...place,
    ...(socket !== undefined && { socket }),
    ...(pid !== undefined && { pid: pidOf(pid) }),
  })
  try {
    const { isTTY, columns } = process.stdout
    return await run({
      server,
      words: positionals,
      flags: values as Call['flags'],
      print: (text) => void process.stdout.write(`${text}\n`),
      width: isTTY ? columns : Infinity,
    })
  } finally {
    server.close()
  }
}

const usageOf = (command: CommandName): string => {
  const row = commands[command]
  return 'usage' in row ? row.usage : ''
}

/** `scale -1` is a number, not a flag. */
function parse(command: string, words: readonly string[], options: ParseArgsOptionsConfig) {
  const numbers = words.filter((word) => /^-\d+$/.test(word))
  const others = words.filter((word) => !/^-\d+$/.test(word))
  try {
    const { values, positionals } = parseArgs({ args: others, options, allowPositionals: true })
    return { values, positionals: [...positionals, ...numbers] }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    const flag = /'(-[^ ',]*)/.exec(error.message)?.[1] ?? ''
    throw new UserError(
      'BAD_COMMAND',
      `${flag} is not a flag of "supervisor ${command}", or lacks its value; its flags are ${Object.keys(
        options,
      )
        .map((name) => `--${name}`)
        .join(', ')}`,
    )
  }
}

function pidOf(text: string): number {
  const pid = Number(text)
  if (Number.isSafeInteger(pid) && pid > 0) return pid
  throw new UserError('BAD_COMMAND', `--pid is ${JSON.stringify(text)}; it must be a process id`)
}

/** Asks for a picture and prints it, or the facts with --json. */
function show<T>(command: string, view: (result: T, width: number) => string[]): Row['run'] {
  return async ({ server, flags, print, width }) => {
    const result = await server.ask<T>(command)
    print(flags['json'] ? JSON.stringify(result, null, 2) : view(result, width).join('\n'))
    return 0
  }
}

async function events({ server, flags, print }: Call): Promise<number> {
  const last = flags['last'] === undefined ? {} : { last: Number(flags['last']) }
  const line = (one: EventItem): void => print(flags['json'] ? JSON.stringify(one) : eventLine(one))
  await server.ask('events', { follow: Boolean(flags['follow']), ...last }, line)
  return 0
}

async function reload({ server, flags, print }: Call): Promise<number> {
  const wait = Boolean(flags['wait'])
  const item = (one: EventItem): void => print(flags['json'] ? JSON.stringify(one) : eventLine(one))
  await server.ask('reload', { wait }, item)
  if (!wait && !flags['json']) print('Reload begun; "supervisor reload --wait" waits for its end')
  return 0
}

async function scale({ server, words, flags, print }: Call): Promise<number> {
  const [text = ''] = words
  if (!/^[+-]?\d+$/.test(text))
    throw new UserError(
      'BAD_COMMAND',
      `${text === '' ? 'a number is missing' : `${JSON.stringify(text)} is not a number`}: supervisor scale ${usageOf('scale')}`,
    )
  const change = /^[+-]/.test(text) ? { by: Number(text) } : { to: Number(text) }
  const { from, to } = await server.ask<{ from: number; to: number }>('scale', change)
  print(flags['json'] ? JSON.stringify({ from, to }) : `Workers: ${from} -> ${to}`)
  return 0
}

async function recycle({ server, words, flags, print }: Call): Promise<number> {
  const [text] = words
  if ((text === undefined) !== Boolean(flags['all']) || (text !== undefined && !/^\d+$/.test(text)))
    throw new UserError(
      'BAD_COMMAND',
      'say which: supervisor recycle SLOT, or supervisor recycle --all',
    )
  const args = text === undefined ? {} : { slot: Number(text) }
  const result = await server.ask<{ workers: number[] }>('recycle', args)
  print(flags['json'] ? JSON.stringify(result) : `Recycling pid ${result.workers.join(', ')}`)
  return 0
}

async function stop({ server, flags, print }: Call): Promise<number> {
  const { name, pid } = server.hello
  await server.ask('stop', { now: Boolean(flags['now']) })
  await server.closed
  if (!flags['json']) print(`Stopped ${name} (pid ${pid})`)
  return 0
}
