// The parts of systemd that run without it as process 1: its notify socket and its socket activation.
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { signalIfThere } from './process.ts'
import { tempDir, type Teardown } from './temp.ts'
import { until } from './until.ts'

const TOOLS = ['systemd-notify', 'systemd-socket-activate']

export const hasSystemd = (): boolean =>
  TOOLS.every((tool) => spawnSync(tool, ['--version']).status === 0)

/** Reads datagrams of a socket that it inherits, and prints each as a line of JSON. */
const READER = `
  const { readSync } = require('node:fs')
  const buffer = Buffer.alloc(65536)
  for (;;) {
    const text = buffer.toString('utf8', 0, readSync(3, buffer))
    process.stdout.write(JSON.stringify(text) + '\\n')
  }`

/** Stands for systemd's end of NOTIFY_SOCKET: a real datagram socket. */
export class NotifyListener {
  /** Each message: its lines. */
  readonly messages: string[][] = []
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async listen(t: Teardown): Promise<NotifyListener> {
    const listener = new NotifyListener(join(tempDir(t), 'notify'))
    const args = ['--datagram', '--listen', listener.path, process.execPath, '-e', READER]
    const child = spawn('systemd-socket-activate', args, { stdio: ['ignore', 'pipe', 'pipe'] })
    t.onTestFinished(() => signalIfThere(child.pid!, 'SIGKILL'))
    createInterface({ input: child.stdout! }).on('line', (line) =>
      listener.messages.push((JSON.parse(line) as string).split('\n')),
    )
    await new Promise<void>((resolve) =>
      createInterface({ input: child.stderr! }).on('line', (line) => {
        if (line.startsWith('Listening on')) resolve()
      }),
    )
    return listener
  }

  /** The first message from number `from` on that has such a line; resolves with its number. */
  hears(line: RegExp, from = 0): Promise<number> {
    return until(`systemd is told ${line}; it knows ${JSON.stringify(this.messages)}`, () => {
      const at = this.messages.findIndex(
        (lines, n) => n >= from && lines.some((one) => line.test(one)),
      )
      return at < 0 ? undefined : at + 1
    }).then((at) => at - 1)
  }

  /** How many have such a line. */
  count(line: string): number {
    return this.messages.filter((lines) => lines.includes(line)).length
  }
}
