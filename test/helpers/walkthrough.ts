// Does what a page says, from its top to its end, in a new project with the package in its node_modules.
import { chmodSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { request } from './client.ts'
import { hasProgram } from './command.ts'
import { checkout, type Block } from './pages.ts'
import { bareEnvironment } from './server.ts'
import { tempDir, type Teardown } from './temp.ts'
import { Terminal, type Numbers } from './terminal.ts'

/** The ports that pages use; each becomes a free one. */
const PORTS = ['8000', '8080', '1233', '9100']
/** Below those that systems give out for port 0, so that no other test gets one of ours. */
const [FIRST_PORT, LAST_PORT] = [20_000, 30_000]

interface WalkOptions {
  /** A directory of the checkout whose files the project has; default none. */
  readonly files?: string
  /** npx costs four times what `supervisor --version` does, and finds what PATH begins with: it can be left out. */
  readonly npx: 'as typed' | 'left out'
}

export class Walkthrough {
  readonly #t: Teardown
  readonly #dir: string
  readonly #ports: ReadonlyMap<string, string>
  /** What the server's terminal has taught. */
  #numbers: Numbers = new Map()
  readonly #env: Record<string, string>
  readonly #npx: 'as typed' | 'left out'
  #server: Terminal | undefined
  #status: number | null | undefined

  private constructor(
    t: Teardown,
    { npx, files }: WalkOptions,
    ports: ReadonlyMap<string, string>,
  ) {
    this.#t = t
    this.#dir = files ? projectOf(t, files) : newProject(t)
    this.#ports = ports
    this.#npx = npx
    const { PATH = '', ...bare } = bareEnvironment()
    const bin = join(this.#dir, 'node_modules', '.bin')
    this.#env = {
      ...bare,
      PATH: [bin, dirname(process.execPath), PATH, standIns(t, PATH)].join(':'),
      TZ: 'UTC',
      npm_config_update_notifier: 'false',
      // A page shows a terminal, and there is none.
      SUPERVISOR_LOG_FORMAT: 'text',
      // Where a server listens that is told nothing.
      HOST: '127.0.0.1',
      PORT: ports.get('8000') ?? '',
    }
  }

  static async begin(t: Teardown, options: WalkOptions): Promise<Walkthrough> {
    const ports = new Map<string, string>()
    for (const port of PORTS) ports.set(port, String(await freePort()))
    return new Walkthrough(t, options, ports)
  }

  async follow(block: Block): Promise<void> {
    const lines = block.lines.map((line) => this.#here(line))
    if (block.file) writeFileSync(join(this.#dir, block.file), `${lines.join('\n')}\n`)
    switch (block.language) {
      case 'console':
        for (const { command, output } of entriesOf(lines)) await this.#type(command, output)
        return
      case 'text':
        return this.#watch(lines)
      case 'diff':
        for (const script of scriptsOf(lines)) await this.#serveAndStop(script)
        return
      case 'ini':
        return this.#runUnit(lines)
      case 'dockerfile':
        return this.#runContainer(lines)
    }
  }

  /** Ctrl-C for the server that still runs; it must stop cleanly. */
  async end(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server || server.hasEnded) return
    server.pressCtrlC()
    await server.ends()
    mustHaveStopped(server)
  }

  async #type(command: string, output: readonly string[]): Promise<void> {
    if (command === 'echo $?') return mustBe(output, [String(this.#status)])
    if (isServer(command)) await this.end()
    const terminal = this.#run(command)
    if (!isServer(command)) {
      await terminal.ends()
      this.#status = terminal.status
      // What a client prints teaches no pids: any worker may have answered.
      return terminal.prints(output, this.#onlyPorts())
    }
    this.#numbers = this.#onlyPorts()
    await terminal.settles()
    this.#status = terminal.status
    this.#server = terminal
    await this.#watch(output)
  }

  #onlyPorts(): Numbers {
    return new Map([...this.#ports.values()].map((port) => [port, port]))
  }

  #run(command: string): Terminal {
    // Its tests run when `npm ci` has been done.
    const [, script] = /^npm ci && (.+)$/.exec(command) ?? []
    const cwd = script === undefined ? this.#dir : checkout
    const typed = this.#withPids(script ?? command)
    const line = this.#npx === 'as typed' ? typed : typed.replace(/\bnpx (?=supervisor )/, '')
    return new Terminal(this.#t, ['sh', '-c', line], { cwd, env: this.#env })
  }

  #withPids(command: string): string {
    if (!/\bkill\b/.test(command)) return command
    return command.replace(/(?<!:)\b\d{4,}\b/g, (pid) => {
      const real = this.#numbers.get(pid)
      if (real === undefined) throw new Error(`${command}: no server has shown the pid ${pid}`)
      return real
    })
  }

  async #watch(lines: readonly string[]): Promise<void> {
    const server = this.#server
    if (!server) throw new Error(`no server runs that could print ${lines.join('\n')}`)
    const interrupt = lines.indexOf('^C')
    if (interrupt === -1) return server.prints(lines, this.#numbers)
    await server.prints(lines.slice(0, interrupt), this.#numbers)
    server.pressCtrlC()
    await server.prints(lines.slice(interrupt + 1), this.#numbers)
    await server.ends()
    mustHaveStopped(server)
  }

  /** Gunicorn's command lines: each must serve, with as many workers as it says. */
  async #serveAndStop(script: string): Promise<void> {
    await this.#type(script, [])
    const server = this.#server!
    const count = /(?:-w|--workers) (\d+)/.exec(script)?.[1] ?? '2'
    const ready = server.lines.find((line) => line.includes('Server is ready'))
    if (!ready?.includes(`ready: ${count} worker`)) throw new Error(`not ready${server.story}`)
    const url = /Listening at: (\S+)/.exec(server.lines.join('\n'))?.[1] ?? ''
    const { status, text } = await request(url, '/seed')
    mustBe([status, text], [200, 'GET /seed\n'])
    await this.end()
  }

  /** As systemd would: the command itself, a reload, and SIGTERM to the main process. */
  async #runUnit(lines: readonly string[]): Promise<void> {
    const unit = new Map(lines.map((line) => line.split(/=(.*)/, 2) as [string, string]))
    const words = (unit.get('ExecStart') ?? '').split(' ') as [string, ...string[]]
    const cwd = unit.get('WorkingDirectory') ?? ''
    const server = await this.#service(words, cwd)
    const reload = (unit.get('ExecReload') ?? '').replace('/bin/kill', 'kill')
    const env = { ...this.#env, MAINPID: String(server.pid) }
    await new Terminal(this.#t, ['sh', '-c', reload], { cwd, env }).ends()
    await server.prints(['[2026-11-23 04:34:59 +0000] [4820] [INFO] Reload finished...'], new Map())
    await terminate(server)
  }

  /** As Docker would: ENTRYPOINT and CMD, then SIGTERM. */
  async #runContainer(lines: readonly string[]): Promise<void> {
    const words = ['ENTRYPOINT', 'CMD'].flatMap((name) => {
      const list = lines.find((line) => line.startsWith(`${name} [`))
      return JSON.parse(list?.slice(name.length) ?? '[]') as string[]
    })
    await terminate(await this.#service(words as [string, ...string[]], this.#dir))
  }

  async #service(words: readonly [string, ...string[]], cwd: string): Promise<Terminal> {
    await this.end()
    const server = new Terminal(this.#t, words, { cwd, env: this.#env })
    await server.settles()
    if (server.hasEnded) throw new Error(`it ended before it was ready${server.story}`)
    return server
  }

  /** With our ports and our directory. */
  #here(line: string): string {
    let here = line.replaceAll('/srv/shop', this.#dir)
    for (const [port, free] of this.#ports)
      here = here.replace(new RegExp(`(?<![\\d.])${port}(?![\\d.])`, 'g'), free)
    return here
  }
}

const isServer = (command: string): boolean =>
  /\bsupervisor start\b|\bnpm start\b|\bnode serve\b/.test(command)

/** `$ command` and the lines that follow it. */
function entriesOf(lines: readonly string[]): { command: string; output: string[] }[] {
  const entries: { command: string; output: string[] }[] = []
  for (const line of lines) {
    const command = /^\$ (.+)$/.exec(line)?.[1]
    if (command) entries.push({ command, output: [] })
    else if (entries.length > 0) entries.at(-1)!.output.push(line)
    else throw new Error(`output before the first command: ${line}`)
  }
  return entries
}

/** For each added line of a diff a script: the unchanged lines of its paragraph, then it. */
export function scriptsOf(lines: readonly string[]): string[] {
  const unchanged = lines.filter((line) => line.startsWith('  ')).map((line) => line.trim())
  const added = lines.filter((line) => line.startsWith('+ ')).map((line) => line.slice(2))
  return added.map((line) => [...unchanged, line].join('\n'))
}

async function terminate(server: Terminal): Promise<void> {
  process.kill(server.pid, 'SIGTERM')
  await server.ends()
  mustBe(server.status, 0)
  mustHaveStopped(server)
}

function mustHaveStopped(server: Terminal): void {
  const last = server.lines.find((line) => line.includes('Stopped after'))
  if (!last || last.includes('had to be killed'))
    throw new Error(`it did not stop cleanly${server.story}`)
}

function mustBe(actual: unknown, expected: unknown): void {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (is !== should) throw new Error(`it is ${is}; the page says ${should}`)
}

/** An ES module project whose node_modules has this checkout, some frameworks and Node's types. */
export function newProject(t: Teardown): string {
  const manifest = { name: 'shop', private: true, type: 'module' }
  const dir = tempDir(t, { 'package.json': JSON.stringify(manifest) })
  mkdirSync(join(dir, 'node_modules', '.bin'), { recursive: true })
  symlinkSync(checkout, join(dir, 'node_modules', 'nodicorn'))
  symlinkSync('../nodicorn/dist/cli.cjs', join(dir, 'node_modules', '.bin', 'supervisor'))
  for (const name of ['express', 'fastify', 'hono', 'koa', 'prom-client', '@types'])
    symlinkSync(join(checkout, 'node_modules', name), join(dir, 'node_modules', name))
  return dir
}

/** The same with the files of a directory of the checkout. */
export function projectOf(t: Teardown, files: string): string {
  const dir = newProject(t)
  // what somebody has left there who tried it
  const isOurs = (path: string): boolean => !/\/(node_modules|var|sessions)$/.test(path)
  cpSync(join(checkout, files), dir, { recursive: true, filter: isOurs })
  return dir
}

const CURL = `#!/usr/bin/env node
const { values, positionals } = require('node:util').parseArgs({
  options: {
    header: { type: 'string', short: 'H', multiple: true, default: [] },
    'data-binary': { type: 'string' },
  },
  allowPositionals: true,
})
const file = values['data-binary']?.slice(1)
const headers = Object.fromEntries(values.header.map((line) => line.split(': ')))
const options = { method: file ? 'POST' : 'GET', headers }
require('node:http')
  .request('http://' + positionals[0], options, (res) => res.pipe(process.stdout))
  .on('error', (error) => {
    console.error(error.message)
    process.exitCode = 52
  })
  .end(file && require('node:fs').readFileSync(file))
`

/** A directory with a small curl for machines that have none. */
function standIns(t: Teardown, path: string): string {
  const dir = tempDir(t)
  if (!hasProgram('curl', path)) {
    writeFileSync(join(dir, 'curl'), CURL)
    chmodSync(join(dir, 'curl'), 0o755)
  }
  return dir
}

export async function freePort(): Promise<number> {
  const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT))
  const isFree = await new Promise<boolean>((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '0.0.0.0', () => probe.close(() => resolve(true)))
  })
  return isFree ? port : freePort()
}
