// What an operator may ask of a server that runs: the table that the control socket, the CLI and the page share. A leaf.

export interface CommandRow {
  /** What `supervisor --help` says of it. */
  readonly help: string
  /** As in the usage line, after the command. */
  readonly usage?: string
  /** `action`s change something: they are logged with who asked for them, and the page needs the token for them. */
  readonly kind: 'view' | 'action'
}

export const commands = {
  status: {
    kind: 'view',
    help: 'The server and its workers: state, load, memory, restarts and why',
  },
  requests: {
    kind: 'view',
    help: 'The requests in flight, oldest first, with their share of the deadline',
  },
  events: {
    kind: 'view',
    help: 'What has happened, and with --follow what happens',
    usage: '[--follow]',
  },
  metrics: {
    kind: 'view',
    help: "The metrics of the server and of the app, in Prometheus' text format",
  },
  reload: {
    kind: 'action',
    help: 'Replace all workers, one by one, with new code and settings',
    usage: '[--wait]',
  },
  scale: { kind: 'action', help: 'Change the number of workers', usage: 'N|+N|-N' },
  recycle: { kind: 'action', help: 'Replace one worker or all of them', usage: '[SLOT|--all]' },
  stop: { kind: 'action', help: 'Stop the server; requests in flight finish', usage: '[--now]' },
} as const satisfies Record<string, CommandRow>

export type CommandName = keyof typeof commands

export const isCommandName = (word: string): word is CommandName => Object.hasOwn(commands, word)
