#!/usr/bin/env node
// The command `supervisor`: words -> a command. A door: it starts the master and prints its errors.
// Everything that `start` does not need is imported only when it is asked for.
import { fs } from './builtin.ts'
import { type ActivatedSocket, announcedBy, withActivated } from './activation.ts'
import { findApp } from './app-file.ts'
import { type ParsedArgs, parseWords } from './argv.ts'
import {
  type Config,
  environment,
  loadConfig,
  type StartRequest,
  takeVariable,
  workingDirectory,
} from './config.ts'
import { ConfigErrors, UserError } from './errors.ts'
import { BEQUEST_VARIABLE, type Bequest } from './master/bequest.ts'
import { isOperatorCommand, type OperatorCommand, operatorCommands } from './commands.ts'
import type { Heir } from './master/heir.ts'
import { scriptAsTyped } from './master/node-choice.ts'
import { heedSignals } from './master/signals.ts'
import { jobsCommand, packageJson } from './paths.ts'

type Command = 'start' | 'check' | 'config'
const COMMANDS: readonly Command[] = ['start', 'check', 'config']
const LEFT_OPEN_MS = 1_000
const isCommand = (word: string | undefined): word is Command =>
  COMMANDS.some((command) => command === word)

const main = async (words: readonly string[]): Promise<number> => {
  if (process.platform === 'win32') {
    throw new UserError(
      'NOT_SUPPORTED',
      'Windows is not supported; run it in WSL, the Windows Subsystem for Linux',
    )
  }
  const [first, ...rest] = words
  if (first !== undefined && isOperatorCommand(first)) return await operate(first, rest)
  if (first === 'init') return await init(rest)
  if (first === 'jobs') return await jobs(rest)
  if (!isCommand(first)) return await withoutCommand(words)
  const parsed = parseWords(rest)
  if (parsed.own.has('help')) return print((await import('./help.ts')).commandHelp(first))
  if (parsed.own.has('version')) return print(version())
  const command = gunicornCommand(parsed) ?? first
  if (parsed.own.has('json') && command !== 'config') {
    throw new UserError('UNKNOWN_SETTING', `--json is a flag of "supervisor config" only`)
  }
  return await commands[command](rest, parsed)
}

/** Modules of its own, outside of this file: only those who have jobs pay for them. */
const jobs = async (words: readonly string[]): Promise<number> => {
  if (words.some((word) => word === '--help' || word === '-h'))
    return print((await import('./help.ts')).jobsHelp())
  const { runJobs } = (await import(jobsCommand.href)) as typeof import('./jobs/command.ts')
  forgiveClosedReader()
  process.exit(await runJobs(words, workingDirectory()))
}

/** A command for a server that runs. */
const operate = async (command: OperatorCommand, words: readonly string[]): Promise<number> => {
  if (words.some((word) => word === '--help' || word === '-h'))
    return print((await import('./help.ts')).operatorHelp(command))
  const { runClient } = await import('./client/main.ts')
  forgiveClosedReader()
  const runtimeDir = environment()['XDG_RUNTIME_DIR']
  return await runClient(command, words, { directory: workingDirectory(), runtimeDir })
}

/** Files for the project. Not in the bundle, so it reports its errors itself: they are of another copy of their class. */
const init = async (words: readonly string[]): Promise<number> => {
  if (words.some((word) => word === '--help' || word === '-h'))
    return print((await import('./help.ts')).initHelp())
  const { runInit } = await import('./init/main.ts')
  return await runInit(words, { directory: workingDirectory(), print, complain })
}

/** `gunicorn --check-config` and `--print-config` are our commands. */
const gunicornCommand = (parsed: ParsedArgs): Command | undefined => {
  if (parsed.own.has('check-config')) return 'check'
  return parsed.own.has('print-config') ? 'config' : undefined
}

const commands: Readonly<
  Record<Command, (words: readonly string[], parsed: ParsedArgs) => Promise<number>>
> = {
  start: async (words, parsed) => {
    if (process.pid === 1) heedSignals((exit) => process.exit(exit))
    const heir = await asHeir()
    const request = await prepare(words, parsed, heir).catch((error) => disappoint(heir, error))
    const { runMaster } = await import('./master/start.ts')
    const run = runMaster(request, heir)
    const { exit, isSucceeded } = await run.catch((error) => disappoint(heir, error))
    // the usual end of a process closes the unix sockets, and libuv would remove files that are a new master's now
    if (isSucceeded) process.exit(exit)
    // what a settings file or its hooks left open, a timer or a connection, or the look-up of a name that nobody answers, must
    // not keep a server that has stopped
    setTimeout(() => process.exit(exit), LEFT_OPEN_MS).unref()
    return exit
  },
  check: async (words, parsed) => {
    const request = await prepare(words, parsed).catch(forCheck)
    if (typeof request === 'number') return request
    const { checkApp } = await import('./master/check.ts')
    return await checkApp(request)
  },
  config: async (words, parsed) => {
    const config = await loadConfig({ argv: words })
    const { configJson, configTable } = await import('./show-config.ts')
    return print(parsed.own.has('json') ? configJson(config) : configTable(config))
  },
}

/** Undefined unless another master has started this one to take its place. */
const asHeir = async (): Promise<Heir | undefined> => {
  const text = takeVariable(BEQUEST_VARIABLE)
  if (text === undefined || !process.connected) return undefined
  const { Heir } = await import('./master/heir.ts')
  return new Heir(JSON.parse(text) as Bequest)
}

/** The start has failed: an old master that waits for this one is told, and has the only log that people read. */
const disappoint = async (heir: Heir | undefined, error: unknown): Promise<never> => {
  if (!heir?.isWaiting || !(error instanceof Error)) throw error
  await heir.failed(error)
  if (error instanceof UserError) process.exit(error.exit)
  throw error
}

const prepare = async (
  words: readonly string[],
  parsed: ParsedArgs,
  heir?: Heir,
): Promise<StartRequest> => {
  const env = environment()
  // Kept, because the master may change its directory before it loads the settings again.
  const cwd = workingDirectory()
  const activated = await activatedSockets(env, heir)
  const load = async (): Promise<Config> =>
    withActivated(await loadConfig({ argv: words, cwd }), activated)
  const config = await load()
  const app = await findApp(parsed.file, config.settings.chdir || cwd)
  return {
    ...app,
    directory: cwd,
    appArgs: parsed.appArgs,
    config,
    loadAgain: load,
    activated,
    command: {
      node: heir?.bequest.node ?? process.argv0,
      nodeArgs: process.execArgv,
      script: scriptAsTyped(process.argv[1]!, process.cwd(), cwd),
      words: process.argv.slice(2),
      env,
    },
  }
}

/** What systemd has opened for us, or for the first of the masters before us. */
const activatedSockets = async (
  env: NodeJS.ProcessEnv,
  heir: Heir | undefined,
): Promise<ActivatedSocket[]> => {
  const announced =
    heir?.activated ?? announcedBy(env, process.pid).map((one) => ({ ...one, at: one.fd }))
  if (announced.length === 0) return []
  const { openActivated } = await import('./master/activation.ts')
  return announced.map(openActivated)
}

/** `check` answers 1 whatever is wrong with the app; wrong settings stay a 2. */
const forCheck = (error: unknown): number => {
  const exit = report(error)
  return exit > 2 ? 1 : exit
}

const withoutCommand = async (words: readonly string[]): Promise<number> => {
  const [first, second] = words
  const help = await import('./help.ts')
  if (first === '--version' || first === '-v') return print(version())
  if (first === '--help' || first === '-h') return print(help.generalHelp())
  if (first === 'help') return print(await helpOf(help, second))
  if (first === 'completion') return print(await completion(help, words.slice(1)))
  if (first === undefined)
    throw new UserError('BAD_COMMAND', 'a command is missing: supervisor start app.js')
  throw new UserError('BAD_COMMAND', await unknownCommand(first, words))
}

type Help = typeof import('./help.ts')

const helpOf = async (help: Help, command: string | undefined): Promise<string> => {
  if (command === undefined || command === 'help') return help.generalHelp()
  if (isCommand(command)) return help.commandHelp(command)
  if (isOperatorCommand(command)) return help.operatorHelp(command)
  if (command === 'completion') return help.completionHelp()
  if (command === 'init') return help.initHelp()
  if (command === 'jobs') return help.jobsHelp()
  throw new UserError('BAD_COMMAND', await unknownCommand(command, []))
}

const completion = async (help: Help, words: readonly string[]): Promise<string> => {
  if (words.some((word) => word === '--help' || word === '-h')) return help.completionHelp()
  const { completionScript } = await import('./client/completion.ts')
  return completionScript(words)
}

const unknownCommand = async (first: string, words: readonly string[]): Promise<string> => {
  if (words.length > 0 && /^-|[./:]/.test(first))
    return `${quote(first)} is not a command; did you mean "supervisor start ${words.join(' ')}"?`
  const { nearest } = await import('./nearest.ts')
  const all = [...COMMANDS, ...Object.keys(operatorCommands), 'init', 'jobs', 'completion', 'help']
  const near = nearest(first, all)
  const advice = near ? `did you mean "supervisor ${near}"?` : '"supervisor --help" lists them'
  return `${quote(first)} is not a command; ${advice}`
}

const quote = (word: string): string => JSON.stringify(word)

const version = (): string => {
  const file = fs.readFileSync(packageJson, 'utf8')
  return `supervisor ${(JSON.parse(file) as { version: string }).version}\n`
}

const print = (text: string): number => {
  forgiveClosedReader()
  process.stdout.write(text)
  return 0
}

const forgiveClosedReader = (): void =>
  void process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // EPIPE: the reader, such as `head`, has seen enough.
    if (error.code !== 'EPIPE') throw error
  })

/** One line on stderr for each problem; the exit status says who must act. */
const report = (error: unknown): number => {
  if (!(error instanceof UserError)) throw error
  const lines = error instanceof ConfigErrors ? error.lines : [error.message]
  for (const line of lines) complain(line)
  return error.exit
}

const complain = (line: string): void => void process.stderr.write(`supervisor: ${line}\n`)

void main(process.argv.slice(2))
  .catch(report)
  .then((exit) => (process.exitCode = exit))
