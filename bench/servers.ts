// The contestants of a benchmark: the same application on bare node:cluster and on ours, started, measured and ended.

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const cli = fileURLToPath(new URL('../dist/cli.cjs', import.meta.url))
const dir = mkdtempSync(join(tmpdir(), 'nodicorn-bench-'))

const app = join(dir, 'app.cjs')
writeFileSync(
  app,
  `const http = require('node:http')
http.createServer((req, res) => res.end('hello')).listen(Number(process.env.PORT), '127.0.0.1')
`,
)

/** What people write themselves: 15 lines of node:cluster. */
const bare = join(dir, 'bare.cjs')
writeFileSync(
  bare,
  `const cluster = require('node:cluster')
const WORKERS = 2

if (cluster.isPrimary) {
  for (let n = 0; n < WORKERS; n++) cluster.fork()
  cluster.on('exit', (worker, code, signal) => {
    if (worker.exitedAfterDisconnect) return
    console.error('worker', worker.process.pid, 'ended with', signal ?? code)
    cluster.fork()
  })
  process.on('SIGTERM', () => process.exit())
} else {
  require(${JSON.stringify(app)})
}
`,
)

export type Contestant = 'bare' | 'ours'

const commands: Record<Contestant, string[]> = {
  bare: [bare],
  ours: [cli, 'start', app, '--workers', '2', '--log-file', join(dir, 'log')],
}

export interface Started {
  readonly child: ChildProcess
  readonly port: number
  /** From the spawn to the first 200, ms. */
  readonly bootMs: number
}

export interface Reloading extends Started {
  /** Resolves when so many reloads have finished since the start. */
  reloaded(times: number): Promise<void>
}

let port = 20_000 + (process.pid % 10_000)

export async function start(who: Contestant, node: string): Promise<Started> {
  const at = ++port
  const began = performance.now()
  const child = spawn(node, commands[who], {
    env: { ...process.env, PORT: String(at) },
    stdio: 'ignore',
  })
  while (!(await answers(at))) await new Promise((resolve) => setTimeout(resolve, 1))
  return { child, port: at, bootMs: performance.now() - began }
}

export async function stop({ child }: Started): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}

const answers = (at: number): Promise<boolean> =>
  new Promise((resolve) => {
    const request = http.get({ port: at, host: '127.0.0.1', agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200))
    })
    request.on('error', () => resolve(false)) // ECONNREFUSED: not yet
  })

/** Proportional set size of one process, MB. */
export function pss(pid: number): number {
  const kb = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]
  return Number(kb) / 1024
}

/** Ours with more flags, and with an eye on its log. */
export async function startWith(flags: readonly string[], node: string): Promise<Reloading> {
  const at = ++port
  const log = join(dir, `log-${at}`)
  const began = performance.now()
  const child = spawn(
    node,
    [cli, 'start', app, '--workers', '2', '--log-format', 'json', '--log-file', log, ...flags],
    { env: { ...process.env, PORT: String(at) }, stdio: 'ignore' },
  )
  while (!(await answers(at))) await new Promise((resolve) => setTimeout(resolve, 1))
  const count = (): number => readFileSync(log, 'utf8').split('"event":"reloaded"').length - 1
  return {
    child,
    port: at,
    bootMs: performance.now() - began,
    async reloaded(times) {
      while (count() < times) await new Promise((resolve) => setTimeout(resolve, 20))
    },
  }
}
