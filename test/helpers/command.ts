// A command of the CLI, run to its end, beside the server that it speaks to.
import { execFile, execFileSync } from 'node:child_process'
import { bareEnvironment, cli, fixtures } from './server.ts'
import { tempDir, type Teardown } from './temp.ts'

export interface Said {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Control sockets of this test alone: for the server's environment and the command's. */
export const controlPlace = (t: Teardown): Record<string, string> => ({
  XDG_RUNTIME_DIR: tempDir(t),
})

/** Debian keeps some where only root looks. */
export const everyPath = `${process.env['PATH']}:/usr/local/sbin:/usr/sbin`

/** Whether there is such a program. */
export function hasProgram(name: string, path = everyPath): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`], { env: { PATH: path }, stdio: 'ignore' })
    return true
  } catch (error) {
    // A status of 127 or 1: there is none.
    if ((error as { status?: unknown }).status === undefined) throw error
    return false
  }
}

/** `cwd`: default the directory that servers of tests are started in. */
export function runCommand(
  env: Readonly<Record<string, string>>,
  words: readonly string[],
  cwd = fixtures,
): Promise<Said> {
  return new Promise((resolve) =>
    execFile(
      process.execPath,
      [cli, ...words],
      { cwd, env: { ...bareEnvironment(), ...env } },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    ),
  )
}
