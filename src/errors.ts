// Every error meant for a person: code, exit status, message. A leaf: used by the master, the workers and the CLI.
// The exit status says who must act: 1 the machine (port, file, rights), 2 the command line or the settings,
// 3 the application failed to boot, 4 the application was not found.

export type ExitStatus = 1 | 2 | 3 | 4

interface ErrorRow {
  readonly exit: ExitStatus
  /** One line for docs/errors.md: when it happens and what to do. */
  readonly help: string
}

/** The table behind docs/errors.md; a test holds both to the same rows. */
export const errorCodes = {
  BAD_SETTING: {
    exit: 2,
    help: 'A setting has a value it cannot have. The line names the place, the value and what would be right.',
  },
  UNKNOWN_SETTING: {
    exit: 2,
    help: 'A flag, a key of the settings file or a SUPERVISOR_ variable does not exist. The nearest name is shown.',
  },
  BAD_CONFIG_FILE: {
    exit: 2,
    help: 'The settings file cannot be found, read or run, or it does not export an object.',
  },
  BAD_CERTIFICATE: {
    exit: 2,
    help: 'The certificate, its key or the authorities of clients cannot be read, or do not fit together. The line says which file and why.',
  },
  BAD_COMMAND: {
    exit: 2,
    help: 'The command does not exist, lacks an argument or has one too many.',
  },
  NOT_SUPPORTED: {
    exit: 2,
    help: 'This system is not supported. On Windows, run the server in WSL.',
  },
  ADDRESS_IN_USE: {
    exit: 1,
    help: 'Another process listens on the address. Stop it, or pass another --bind.',
  },
  CANNOT_LISTEN: {
    exit: 1,
    help: 'The system refused the address: no right to it, or it is not on this machine.',
  },
  PIDFILE_IN_USE: {
    exit: 1,
    help: 'The pidfile names a process that is alive: the server already runs.',
  },
  NO_PERMISSION: {
    exit: 1,
    help: 'The system refused something that needs more rights, such as --user or --chdir.',
  },
  NO_SERVER: {
    exit: 1,
    help: 'A command found no running server to speak to, or several. Give --pid or --socket, or go to the directory it was started in.',
  },
  NOT_NOW: {
    exit: 1,
    help: 'The server refused a command because of what it is doing, such as an upgrade. Try again later.',
  },
  RELOAD_FAILED: {
    exit: 1,
    help: 'The new workers did not start, or the new settings are wrong; the old workers go on. The line says why.',
  },
  FILE_EXISTS: {
    exit: 1,
    help: 'A file that "supervisor init" would write is there already. Remove it, or see the text with --print.',
  },
  CANNOT_WRITE: {
    exit: 1,
    help: '"supervisor init" could not write a file: no right to it, or a file is where a directory should be.',
  },
  BAD_SOURCE: {
    exit: 2,
    help: 'The file after "supervisor init --from" does not exist, or nothing in it is a configuration that init can read.',
  },
  NO_INSPECTION: {
    exit: 1,
    help: 'A worker cannot be looked into: it boots or leaves, it is being looked into already, it does not answer, or the file cannot be written.',
  },
  NO_JOBS: {
    exit: 2,
    help: 'Background jobs are used but not configured, or a package that they need is not installed. The line has the npm install command.',
  },
  JOB_STORE: {
    exit: 1,
    help: 'The store of the jobs cannot be used: another process has it, it does not answer, or it may throw jobs away. The line says what to do.',
  },
  NO_JOB: {
    exit: 1,
    help: 'There is no job with this id: it never was, or it was finished so long ago that it was removed.',
  },
  APP_FAILED: {
    exit: 3,
    help: 'The application threw, exited or did not listen in time before any worker was ready.',
  },
  APP_NOT_FOUND: {
    exit: 4,
    help: 'The file, or the export in it, does not exist or is not something we can serve.',
  },
} satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof errorCodes

/** An error whose message is all a person needs: printed as one line, without a stack. */
export class UserError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'UserError'
    this.code = code
  }
  get exit(): ExitStatus {
    return errorCodes[this.code].exit
  }
}

/** `--timeout is "soon"; it must be a number of seconds, 0 or more` */
export const badSetting = (where: string, value: unknown, wanted: string): UserError =>
  new UserError('BAD_SETTING', `${where} is ${show(value)}; it must be ${wanted}`)

/** `--timout is not a known flag; did you mean --timeout?` */
export const unknownSetting = (where: string, kind: string, nearest?: string): UserError =>
  new UserError(
    'UNKNOWN_SETTING',
    `${where} is not a known ${kind}` + (nearest ? `; did you mean ${nearest}?` : ''),
  )

const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** Everything that is wrong with the settings, at once: `lines` has one line for each problem. */
export class ConfigErrors extends UserError {
  readonly lines: readonly string[]
  constructor(problems: readonly UserError[]) {
    const lines = problems.map((problem) => problem.message)
    super(problems[0]?.code ?? 'BAD_SETTING', lines.join('\n'))
    this.name = 'ConfigErrors'
    this.lines = lines
  }
}
