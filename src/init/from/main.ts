// `supervisor init --from FILE`: which kind of file it is, and the settings files that come of it. Runs in the CLI.
import { existsSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { UserError } from '../../errors.ts'
import type { Made } from '../derived.ts'
import { nameOf, textOf } from '../facts.ts'
import {
  type CommandLine,
  fromWords,
  inDockerfile,
  inProcfile,
  inScript,
  inUnit,
  type ReadFile,
} from './command-line.ts'
import { configText } from './config-text.ts'
import { Unreadable } from './expression.ts'
import { fromPython } from './gunicorn.ts'
import { appsOf, fromPm2, startOf } from './pm2.ts'
import { readPython } from './python.ts'
import { ShellScope } from './shell.ts'
import type { Taken } from './taken.ts'

const FILE = 'supervisor.config.ts'
const FILES = /^supervisor\.config\.(ts|mts|js|mjs|cjs|json)$/

/**
 * @param name the file, as typed
 * @param directory what it is relative to, and where the settings file goes
 * @throws UserError BAD_SOURCE, FILE_EXISTS
 */
export async function takeFrom(name: string, directory: string): Promise<Made> {
  const path = resolve(directory, name)
  const text = textOfSource(path, name)
  if (/\.(c?js|mjs|json)$/.test(path)) return await ecosystem(path, name, text, directory)
  // relative to where the server is started, as Gunicorn has it; or beside the file that names it
  const read: ReadFile = (other) =>
    textOf(resolve(directory, other)) ?? textOf(resolve(dirname(path), other))
  const taken = takeText(path, name, text, read)
  mustBeTheOnly(directory)
  return {
    files: { [FILE]: configText(name, taken) },
    next: [
      `Settings taken: ${taken.entries.size}; left out: ${taken.left.length}. The file says why.`,
      'Look at what they come to: supervisor config',
    ],
  }
}

/** Another one would be ignored, or win. */
function mustBeTheOnly(directory: string): void {
  const other = ['mts', 'js', 'mjs', 'cjs', 'json']
    .map((ending) => `supervisor.config.${ending}`)
    .find((file) => FILES.test(file) && existsSync(join(directory, file)))
  if (other)
    throw new UserError(
      'FILE_EXISTS',
      `${other} is there already, and ${FILE} would be in its way; remove it first`,
    )
}

function textOfSource(path: string, name: string): string {
  try {
    const text = textOf(path)
    if (text !== undefined) return text.replaceAll('\r\n', '\n')
  } catch (error) {
    // EISDIR, EACCES
    throw bad(`${name}: ${(error as Error).message}`, error)
  }
  throw bad(`${name}: there is no such file in ${directory(path)}`)
}

const directory = (path: string): string => dirname(path)

const bad = (message: string, cause?: unknown): UserError =>
  new UserError('BAD_SOURCE', message, { cause })

function takeText(path: string, name: string, text: string, read: ReadFile): Taken {
  if (/\.py$/.test(path)) return mustHave(fromFile(text, name), name)
  const found = commandIn(path, text, read)
  if (!found)
    throw bad(
      `${name}: there is no command line of Gunicorn in it; init reads gunicorn.conf.py, a shell script, Procfile, unit, Dockerfile, and ecosystem.config.js of PM2`,
    )
  return withFile(found, read)
}

/** @throws UserError BAD_SOURCE if it is not Python */
function fromFile(text: string, name: string): Taken {
  try {
    return fromPython(readPython(text))
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    throw bad(`${name}: ${error.message}`, error)
  }
}

function mustHave(taken: Taken, name: string): Taken {
  if (taken.entries.size + taken.left.length > 0) return taken
  throw bad(`${name}: there is no setting in it`)
}

function commandIn(path: string, text: string, read: ReadFile): CommandLine | undefined {
  const file = basename(path)
  if (/^Procfile/.test(file)) return inProcfile(text, read)
  if (/\.service$/.test(file) || /^\[Service\]/m.test(text)) return inUnit(text, read)
  if (/(^|\.)(Dockerfile|Containerfile)(\.|$)/i.test(file)) return inDockerfile(text, read)
  return inScript(text, new ShellScope(), read)
}

/** The file after -c, or gunicorn.conf.py, which Gunicorn reads by itself; flags are stronger. */
function withFile(found: CommandLine, read: ReadFile): Taken {
  const taken = fromWords(found)
  const file = taken.config ?? 'gunicorn.conf.py'
  const text = read(file)
  if (text === undefined) {
    if (taken.config !== undefined)
      taken.left.push({ source: `-c ${taken.config}`, why: 'there is no such file' })
    return taken
  }
  const inFile = fromFile(text, file)
  const entries = new Map(
    [...inFile.entries].filter(([name]) => !taken.entries.has(name)).concat([...taken.entries]),
  )
  return {
    entries,
    left: [...inFile.left, ...taken.left],
    remarks: [...taken.remarks, ...inFile.remarks, `Its settings file was ${file}.`],
  }
}

/** A settings file for each app. */
async function ecosystem(
  path: string,
  name: string,
  text: string,
  directory: string,
): Promise<Made> {
  const { loadEcosystem } = await import('./ecosystem.ts')
  const apps = appsOf(await loadEcosystem(path, name, text))
  if (!apps) throw bad(`${name}: it exports no apps, as an ecosystem file of PM2 does`)
  if (apps.length === 1) mustBeTheOnly(directory)
  const made = apps.map((app, at) => ({
    file:
      apps.length === 1
        ? FILE
        : `supervisor.${nameOf(String(app['name'] ?? `app-${at + 1}`))}.config.ts`,
    app,
    taken: fromPm2(app),
  }))
  const twice = made.find(({ file }, at) => made.findIndex((one) => one.file === file) !== at)
  if (twice) throw bad(`${name}: two apps have the name ${String(twice.app['name'])}`)
  return {
    files: Object.fromEntries(made.map(({ file, taken }) => [file, configText(name, taken)])),
    next:
      apps.length === 1
        ? [`Start it: ${startOf(apps[0]!)}`]
        : made
            .slice(0, 2)
            .map(
              ({ file, app }) => `Start one: ${startOf(app).replace(/( --|$)/, ` -c ${file}$1`)}`,
            ),
  }
}
