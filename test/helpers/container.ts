// What a container is to the process in it, without an engine: a PID namespace whose first process it is, with a /proc of its own
// and, if wanted, a file system that nobody can write to.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { childrenOf, signalIfThere } from './process.ts'
import { bareEnvironment, type LogLine } from './server.ts'
import type { Teardown } from './temp.ts'
import { until } from './until.ts'

const UNSHARE = ['--pid', '--mount', '--fork', '--mount-proc', '--kill-child']
const readOnly = ['sh', '-c', 'mount -o remount,bind,ro / && exec "$@"', 'sh']
const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']

/** Whether this machine lets us. */
export const hasNamespaces = (): boolean =>
  spawnSync('unshare', [...asRoot, ...UNSHARE, ...readOnly, 'true']).status === 0

export interface ContainerOptions {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  readonly isReadOnly?: boolean
}

export class Container {
  readonly lines: LogLine[] = []
  output = ''
  /** unshare, which ends as its child does. */
  readonly #child: ChildProcess

  /** `command`: as an ENTRYPOINT in exec form. It is killed, and all in it, at the end of the test. */
  constructor(
    t: Teardown,
    command: readonly string[],
    { cwd, env, isReadOnly = false }: ContainerOptions,
  ) {
    const before = isReadOnly ? readOnly : []
    this.#child = spawn('unshare', [...asRoot, ...UNSHARE, ...before, ...command], {
      cwd,
      env: { ...bareEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.output += `${line}\n`
      if (line.startsWith('{')) this.lines.push(JSON.parse(line) as LogLine)
    })
    this.#child.stderr!.on('data', (chunk: Buffer) => (this.output += chunk.toString()))
    t.onTestFinished(async () => {
      signalIfThere(this.#child.pid!, 'SIGKILL') // its child dies with it
      await until('the container is gone', () => this.#ended)
    })
  }

  get url(): string {
    return String(this.lines.find(({ event }) => event === 'listening')?.['url'])
  }

  log(sentence: RegExp): Promise<LogLine> {
    return until(`it says ${sentence}; it said ${this.output}`, () => {
      const found = this.lines.find(({ msg }) => sentence.test(msg))
      if (!found && this.#ended) throw new Error(`it ended:\n${this.output}`)
      return found
    })
  }

  /** As it is known outside. Waits until the process is there. */
  first(): Promise<number> {
    return until('its first process', () => childrenOf(this.#child.pid!)[0])
  }

  /** To its first process, from outside, as docker stop does. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    process.kill(await this.first(), signal)
  }

  /** The exit status of its first process. */
  async exit(): Promise<number | null> {
    await until(`it ends; it said ${this.output}`, () => this.#ended)
    return this.#child.exitCode
  }

  get #ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }
}
