// What an operator may ask of a server that runs: the tables that the control socket, the CLI and the page share. A leaf.

export interface FlagRow {
  readonly help: string
  readonly short?: string
  /** What its value is called in the usage line; without one it is a switch. */
  readonly value?: string
}

export interface CommandRow {
  /** What `supervisor --help` says of it. */
  readonly help: string
  /** More of it, for `supervisor help COMMAND`: whole sentences. */
  readonly more?: string
  /** As in the usage line, after the command and before its flags. */
  readonly usage?: string
  /** How many words may follow the command; default none. */
  readonly words?: number
  /** Beside those that every command takes. */
  readonly flags?: Readonly<Record<string, FlagRow>>
  /** `action`s change something: they are logged with who asked for them, and the page needs the token for them. */
  readonly kind: 'view' | 'action'
}

const FOLLOW: FlagRow = { short: 'f', help: 'Go on with what happens from now on' }
const LAST: FlagRow = { short: 'n', value: 'N', help: 'So many of the last ones, 100 by default' }

/** What the server itself carries out. */
export const commands = {
  status: {
    kind: 'view',
    help: 'The server and its workers: state, load, memory, restarts',
    more: 'With --quiet the exit status tells whether the server should get requests, as /readyz does: 0, or 1 and one line that says why not. For a health check of Docker.',
    flags: {
      quiet: { short: 'q', help: 'Print nothing but why it is not ready; the exit status tells' },
    },
  },
  requests: {
    kind: 'view',
    help: 'The requests in flight, oldest first, and how late they are',
  },
  events: {
    kind: 'view',
    help: 'What has happened, and with --follow what happens',
    flags: { follow: FOLLOW, last: LAST },
  },
  doctor: {
    kind: 'view',
    help: 'What may go wrong here, each with its fix: limits, memory, times',
    more: 'Looks at the machine and at the settings of the server that was started in this directory; if none runs, at those that one would have. The exit status is 1 if something is wrong, 0 if there is only advice.',
  },
  metrics: {
    kind: 'view',
    help: 'The metrics of the server and the app, as Prometheus reads them',
  },
  reload: {
    kind: 'action',
    help: 'Replace all workers, one by one, with new code and settings',
    more: 'With --wait the exit status tells how it ended: 0, or 1 if the new workers did not start and the old ones go on. Ctrl-C ends the waiting, not the reload.',
    flags: { wait: { help: 'Show every step, and return when it has ended' } },
  },
  scale: {
    kind: 'action',
    help: 'Change the number of workers',
    usage: 'N|+N|-N',
    words: 1,
  },
  recycle: {
    kind: 'action',
    help: 'Replace one worker or all of them',
    usage: '[SLOT]',
    words: 1,
    flags: { all: { help: 'All of them, one by one' } },
  },
  stop: {
    kind: 'action',
    help: 'Stop the server; requests in flight finish',
    flags: { now: { help: 'Do not wait for requests in flight' } },
  },
  reopen: {
    kind: 'action',
    help: 'Open the log and the access log anew, after a rotation',
  },
  stack: {
    kind: 'view',
    help: 'What workers are at: their JavaScript stacks, stuck or not',
    more: 'Nothing is stopped for it.',
    usage: '[SLOT]',
    words: 1,
  },
  profile: {
    kind: 'action',
    help: 'Write a CPU profile of a worker into this directory',
    more: "The file is a .cpuprofile for Chrome's developer tools.",
    usage: 'SLOT',
    words: 1,
    flags: { seconds: { value: 'N', help: 'For so long, 10 by default, 300 at most' } },
  },
  heap: {
    kind: 'action',
    help: 'Write a heap snapshot of a worker into this directory',
    more: "The file is a .heapsnapshot for Chrome's developer tools. The worker answers nobody meanwhile, and needs twice the memory. The file has everything that is in memory, secrets too.",
    usage: 'SLOT',
    words: 1,
  },
} as const satisfies Record<string, CommandRow>

/** What the CLI makes of the answers to others. */
export const viewers = {
  top: {
    kind: 'view',
    help: 'The same, live, with keys to sort, recycle, scale and reload',
  },
  logs: {
    kind: 'view',
    help: "The server's own log, and with --follow what is to come",
    more: "They come from the server's memory, wherever its log goes. What the application prints is not in them: that is in the server's standard output. Ends with status 0 when the server ends.",
    flags: {
      follow: FOLLOW,
      last: LAST,
      level: { value: 'LEVEL', help: 'The least important that are shown, info by default' },
    },
  },
} as const satisfies Record<string, CommandRow>

/** Flags of every command. */
export const commonFlags = {
  socket: { value: 'PATH', help: 'The control socket of the server that is meant' },
  pid: { value: 'PID', help: "The server's process id" },
  json: { help: 'Print JSON' },
} as const satisfies Record<string, FlagRow>

export type CommandName = keyof typeof commands
export type ViewerName = keyof typeof viewers
/** Of the CLI, for a server that runs. */
export type OperatorCommand = CommandName | ViewerName

/** In the order of the help. */
export const operatorCommands: Readonly<Record<OperatorCommand, CommandRow>> = sorted(
  { ...commands, ...viewers },
  ['status', 'top', 'requests', 'stack', 'events', 'logs', 'metrics', 'doctor'],
)

export const isCommandName = (word: string): word is CommandName => Object.hasOwn(commands, word)

export const isOperatorCommand = (word: string): word is OperatorCommand =>
  Object.hasOwn(operatorCommands, word)

/** `top` takes no --json: a picture that moves is for people. */
export const flagsOfCommand = (command: OperatorCommand): Readonly<Record<string, FlagRow>> => {
  const { json, ...place } = commonFlags
  return {
    ...operatorCommands[command].flags,
    ...place,
    ...(command !== 'top' && { json }),
  }
}

/** `[--follow] [--last N]`, `N|+N|-N`: what may follow the command, but for what may follow all of them. */
export const usageOf = (command: OperatorCommand): string => {
  const { usage, flags = {} } = operatorCommands[command]
  const options = Object.entries(flags).map(
    ([name, { value }]) => `[--${name}${value ? ` ${value}` : ''}]`,
  )
  return [...(usage ? [usage] : []), ...options].join(' ')
}

function sorted(
  table: Record<OperatorCommand, CommandRow>,
  first: readonly OperatorCommand[],
): Record<OperatorCommand, CommandRow> {
  const others = (Object.keys(table) as OperatorCommand[]).filter((name) => !first.includes(name))
  const rows = [...first, ...others].map((name) => [name, table[name]])
  return Object.fromEntries(rows) as Record<OperatorCommand, CommandRow>
}
