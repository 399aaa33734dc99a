// A real terminal: bash in a tmux of the test's own, whose keys are pressed and whose screen is read.
import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'
import { join } from 'node:path'
import { bareEnvironment, cli } from './server.ts'
import { tempDir, type Teardown } from './temp.ts'
import { until } from './until.ts'

/** Its version; undefined where there is none. */
export function tmuxVersion(): string | undefined {
  try {
    return execFileSync('sh', ['-c', 'exec tmux -V'], { encoding: 'utf8', stdio: 'pipe' }).trim()
  } catch (error) {
    // 127: there is no such command.
    if ((error as { status?: unknown }).status === 127) return undefined
    throw error
  }
}

/** The command under test, for a shell. */
export const supervisor = `'${process.execPath}' '${cli}'`

export class Tmux {
  readonly dir: string
  readonly #socket: string

  private constructor(dir: string) {
    this.dir = dir
    this.#socket = join(dir, 'tmux')
  }

  /** 100 columns by 30 rows. */
  static async start(
    t: Teardown,
    { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
  ): Promise<Tmux> {
    const terminal = new Tmux(tempDir(t))
    const shell = 'exec bash --noprofile --norc -i'
    await terminal.#tmux(['new-session', '-d', '-x', '100', '-y', '30', '-c', cwd, shell], {
      ...bareEnvironment(),
      LANG: 'C.UTF-8',
      ...env,
    })
    t.onTestFinished(async () => void (await terminal.#tmux(['kill-server'])))
    return terminal
  }

  /** Types a command and Enter. */
  async run(command: string): Promise<void> {
    await this.#tmux(['send-keys', '-l', command])
    await this.press('Enter')
  }

  /** By tmux's names: `q`, `Down`, `C-z`. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux(['send-keys', ...keys])
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux(['resize-window', '-x', String(columns), '-y', String(rows)])
  }

  /** What is on the screen now. */
  screen(): Promise<string> {
    return this.#tmux(['capture-pane', '-p'])
  }

  /** Whether a program shows a screen of its own, and whether the cursor is seen. */
  async state(): Promise<{ isOwnScreen: boolean; hasCursor: boolean }> {
    const said = await this.#tmux(['display-message', '-p', '#{alternate_on} #{cursor_flag}'])
    const [alternate, cursor] = said.trim().split(' ')
    return { isOwnScreen: alternate === '1', hasCursor: cursor === '1' }
  }

  /** Waits until the screen matches; throws with the screen if it never does. */
  async shows(what: RegExp | ((screen: string) => boolean)): Promise<string> {
    const fits = (screen: string): boolean =>
      typeof what === 'function' ? what(screen) : what.test(screen)
    try {
      return await until(`the terminal shows ${String(what)}`, async () => {
        const screen = await this.screen()
        return fits(screen) ? screen : undefined
      })
    } catch (error) {
      throw new Error(`${(error as Error).message}\n--- the screen\n${await this.screen()}`, {
        cause: error,
      })
    }
  }

  async #tmux(
    args: readonly string[],
    env: Record<string, string> = bareEnvironment(),
  ): Promise<string> {
    const all = ['-u', '-S', this.#socket, '-f', '/dev/null', ...args]
    return (await promisify(execFile)('tmux', all, { encoding: 'utf8', env })).stdout
  }
}
