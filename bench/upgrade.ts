// What upgrades (USR2) cost clients: closed loops over TCP and a unix socket, kept connections and new ones, while the master is
// replaced again and again, by one Node and another in turn. Clients with kept connections that say nothing meanwhile, too.
// Prints the failed requests, and the connections that clients had to open again.
// `npm run bench:upgrade -- --node /path/to/one --node /path/to/another [--upgrades 10]`

import { execFileSync, spawn } from 'node:child_process'
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { CountingAgent } from '../test/helpers/crowd.ts'
import { isAlive, signalIfThere } from '../test/helpers/process.ts'
import { tempDir } from '../test/helpers/temp.ts'
import { apps } from './servers.ts'
import { run, type Site } from './site.ts'
import { cli } from './variants.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', multiple: true, default: [process.execPath] },
    upgrades: { type: 'string', default: '10' },
  },
})
const nodes = values.node
const upgrades = Number(values.upgrades)
/** Ms between an answer and the next request of the same client. */
const THINK = [0, 2, 100]
const CLIENTS_OF_EACH = 4
/** Clients at each address that speak only after each upgrade. */
const IDLE = 64
/** Ms between two upgrades. */
const PAUSE = 500
/** Nobody takes longer, ms. */
const PATIENCE = 60_000

interface Tally {
  answered: number
  /** Connections beyond the first one of a client that keeps it. */
  reconnects: number
  readonly errors: Map<string, number>
}
const empty = (): Tally => ({ answered: 0, reconnects: 0, errors: new Map() })
type Address = { readonly port: number; readonly host: string } | { readonly socketPath: string }

let isRunning = true

/** Resolves with what went wrong, or undefined. */
function once(address: Address, agent: http.Agent | false): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = http.request({ ...address, agent }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('error', (error) => resolve(error.message))
      response.on('end', () =>
        resolve(text === 'hello' ? undefined : `${response.statusCode} ${text}`),
      )
    })
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    request.end()
  })
}

async function client(
  address: Address,
  keeps: boolean,
  think: number,
  tally: Tally,
): Promise<void> {
  const agent = keeps && new CountingAgent({ keepAlive: true, maxSockets: 1 })
  while (isRunning) {
    count(await once(address, agent), tally)
    await sleep(think)
  }
  if (!agent) return
  tally.reconnects += agent.opened - 1
  agent.destroy()
}

function count(wrong: string | undefined, tally: Tally): void {
  if (wrong === undefined) tally.answered++
  else tally.errors.set(wrong, (tally.errors.get(wrong) ?? 0) + 1)
}

/** They have their connections when it resolves. `speak`: each of them, once. */
async function idleClients(
  address: Address,
  tally: Tally,
): Promise<{ speak: () => Promise<void>; end: () => void }> {
  const options = { keepAlive: true, maxSockets: 1 }
  const agents = Array.from({ length: IDLE }, () => new CountingAgent(options))
  const speak = async (): Promise<void> => {
    const answers = await Promise.all(agents.map((agent) => once(address, agent)))
    for (const wrong of answers) count(wrong, tally)
  }
  await speak()
  const end = (): void => {
    tally.reconnects = agents.reduce((sum, { opened }) => sum + opened - 1, 0)
    for (const agent of agents) agent.destroy()
  }
  return { speak, end }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE
  while (!condition())
    if (performance.now() > end) throw new Error(`not within ${PATIENCE} ms: ${what}`)
    else await sleep(10)
}

/** Starts it where its settings file says which Node is next; it ends with `site`. */
function begin(site: Site): { dir: string; log: () => string; master: () => number } {
  const dir = tempDir(site)
  const log = (): string => readFileSync(join(dir, 'log'), 'utf8')
  const pidfile = join(dir, 'pid')
  const master = (): number => (existsSync(pidfile) ? Number(readFileSync(pidfile, 'utf8')) : 0)
  const out = openSync(join(dir, 'log'), 'a')
  const flags = ['--workers', '2', '--pidfile', pidfile, '--log-format', 'json']
  const binds = ['--bind', '127.0.0.1:0', '--bind', `unix:${join(dir, 'app.sock')}`]
  const app = join(apps, 'upgraded.cjs')
  spawn(nodes[0]!, [cli, 'start', app, ...flags, ...binds], {
    cwd: dir,
    stdio: ['ignore', out, out],
    detached: true,
  })
  site.onTestFinished(async () => {
    const pid = master()
    if (pid > 0) signalIfThere(pid, 'SIGTERM')
    await until('it has stopped', () => pid === 0 || !isAlive(pid))
  })
  return { dir, log, master }
}

async function measure(site: Site): Promise<number> {
  const { dir, log, master } = begin(site)
  await until('it serves', () => existsSync(join(dir, 'log')) && log().includes('"serverReady"'))
  const port = Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(log())![1])
  const addresses: Address[] = [{ port, host: '127.0.0.1' }, { socketPath: join(dir, 'app.sock') }]
  const tallies: [string, Tally][] = []
  const tallyOf = (address: Address, how: string): Tally => {
    const tally = empty()
    tallies.push([`${'port' in address ? 'TCP' : 'unix'}, ${how}`, tally])
    return tally
  }
  const idle = await Promise.all(
    addresses.map((address) => idleClients(address, tallyOf(address, `${IDLE} idle connections`))),
  )
  const clients = addresses.flatMap((address) =>
    [true, false].flatMap((keeps) =>
      THINK.flatMap((think) => {
        const how = `${keeps ? 'kept' : 'new'} connections, think ${think} ms`
        const tally = tallyOf(address, how)
        return Array.from({ length: CLIENTS_OF_EACH }, () => client(address, keeps, think, tally))
      }),
    ),
  )
  const seconds: number[] = []
  for (let n = 1; n <= upgrades; n++) {
    await sleep(PAUSE)
    const node = nodes[n % nodes.length]!
    writeFileSync(join(dir, 'supervisor.config.json'), JSON.stringify({ node }))
    const old = master()
    const began = performance.now()
    process.kill(old, 'SIGUSR2')
    await until('a new master is in charge', () => master() !== old)
    seconds.push((performance.now() - began) / 1000)
    await until('the old one is gone', () => !isAlive(old))
    await Promise.all(idle.map(({ speak }) => speak()))
  }
  await sleep(PAUSE)
  isRunning = false
  await Promise.all(clients)
  for (const { end } of idle) end()
  return report(tallies, seconds)
}

function report(tallies: readonly [string, Tally][], seconds: readonly number[]): number {
  const versions = nodes.map((node) =>
    execFileSync(node, ['--version'], { encoding: 'utf8' }).trim(),
  )
  const sum = tallies.reduce((n, [, { answered }]) => n + answered, 0)
  const failed = tallies
    .flatMap(([, { errors }]) => [...errors.values()])
    .reduce((a, b) => a + b, 0)
  const reconnects = tallies.reduce((n, [, tally]) => n + tally.reconnects, 0)
  const slowest = Math.max(...seconds).toFixed(1)
  console.log(
    `${upgrades} upgrades, ${versions.join(' <-> ')}: ${sum} answered, ${failed} failed, ${reconnects} reconnects; in charge after ${slowest} s at most`,
  )
  for (const [what, { answered, reconnects: again, errors }] of tallies) {
    const list = [...errors].map(([error, n]) => `${n} x ${error}`).join(', ')
    console.log(`  ${what}: ${answered} answered, ${again} reconnects ${list}`)
  }
  return failed > 0 ? 1 : 0
}

await run(measure)
