// Which node a new master runs on, and which file of the package: as they were typed, so that a new version behind the same
// name is found. Runs in the master, and the second one in the command too.

import { basename, delimiter, isAbsolute, join, relative, resolve } from 'node:path'
import { fs } from '../builtin.ts'
import type { StartCommand } from '../config.ts'

export interface NodeChoice {
  /** The setting; empty if there is none. */
  readonly wanted: string
  /** How the first master's node was called. */
  readonly typed: string
  readonly execPath: string
  /** Where relative paths begin. */
  readonly directory: string
  /** The variable PATH. */
  readonly path: string
}

/** The setting if there is one, else the program that was typed (a bare `node` is looked up in PATH), else the one that runs. */
export function chooseNode(choice: NodeChoice, isProgram = isExecutable): string {
  const { wanted, typed, execPath, directory } = choice
  const find = (name: string): string | undefined =>
    name.includes('/')
      ? [resolve(directory, name)].find(isProgram)
      : choice.path
          .split(delimiter)
          .map((dir) => resolve(directory, dir, name))
          .find(isProgram)
  if (wanted) return find(wanted) ?? wanted
  // argv[0] may be anything that whoever started us made up
  const isNode = /^node(js)?$/.test(basename(typed)) || basename(typed) === basename(execPath)
  return (isNode && find(typed)) || [execPath].find(isProgram) || find('node') || execPath
}

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch (error) {
    // ENOENT, EACCES, ENOTDIR: not here
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return false
  }
}

/**
 * `script` as a path below `named`, if it is below `real`: node makes it absolute by the directory's real name, and a link
 * such as `current` would lead to the old release for ever.
 */
export function scriptAsTyped(script: string, real: string, named: string): string {
  const inside = relative(real, script)
  return inside.startsWith('..') || isAbsolute(inside) ? script : join(named, inside)
}

/** What to type in `directory` to look at the server: as this command was given. Undefined if it wasn't. */
export function statusCommand(
  command: StartCommand | undefined,
  directory: string,
): string | undefined {
  if (!command) return undefined
  const { node, script } = command
  if (/\/node_modules\/\.bin\/\w+$/.test(script)) return 'npx supervisor status'
  if (/\.c?js$/.test(script)) return `${node} ${relative(directory, script)} status`
  return `${basename(script)} status`
}
