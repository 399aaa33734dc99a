// Load from outside this process: wrk where there is one, else autocannon.

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { apps, versionOf } from '../peers/peer.ts'

export interface Load {
  /** Default `/`. */
  readonly path?: string
  readonly connections: number
  readonly seconds: number
  /** A connection for each request. */
  readonly fresh?: boolean
  /** 10 kB. */
  readonly post?: boolean
}

export interface Outcome {
  readonly perSecond: number
  /** ms. */
  readonly p99: number
  readonly requests: number
  /** Sockets that failed, and answers that were no 2xx. */
  readonly failures: number
}

const run = promisify(execFile)
// `wrk --version` ends with 1, as if it were a mistake.
const hasWrk = await run('wrk', ['-v']).then(
  () => true,
  (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
)
const require = createRequire(import.meta.url)

export const generator = hasWrk ? 'wrk' : `autocannon ${versionOf(require.resolve('autocannon'))}`

/** Ports whose server has served: V8 has compiled it, and Ruby has its objects. */
const warm = new Set<number>()
const WARM_UP: Load = { connections: 32, seconds: 1 }

/** For a server's first load there is another one before, which does not count. */
export async function load(port: number, options: Load): Promise<Outcome> {
  if (!warm.has(port)) {
    warm.add(port)
    await load(port, WARM_UP)
  }
  const url = `http://127.0.0.1:${port}${options.post ? '/post' : (options.path ?? '/')}`
  const outcome = await (hasWrk ? wrk : autocannon)(url, options)
  if (outcome.requests === 0) throw new Error('no answer')
  return outcome
}

async function wrk(url: string, { connections, seconds, fresh, post }: Load): Promise<Outcome> {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '--timeout', '10s']
  if (fresh) args.push('-H', 'Connection: close')
  if (post) args.push('-s', join(apps, 'post.lua'))
  const { stdout } = await run('wrk', [...args, url], { timeout: seconds * 1000 + 60_000 })
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? 0)
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/
  return {
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p99: inMs(/^ +99%\s+(\S+)/m.exec(stdout)?.[1] ?? ''),
    requests: number(/(\d+) requests in/),
    failures:
      number(/Non-2xx or 3xx responses: (\d+)/) +
      (socketErrors.exec(stdout)?.slice(1) ?? []).reduce((sum, n) => sum + Number(n), 0),
  }
}

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 }

function inMs(text: string): number {
  const [, number, unit] = /^([\d.]+)(us|ms|s|m)$/.exec(text) ?? []
  return unit === undefined ? NaN : Number(number) * UNITS[unit]!
}

/** As much of its JSON as is read here. */
interface Result {
  readonly requests: { readonly average: number; readonly total: number }
  readonly latency: { readonly p99: number }
  readonly errors: number
  readonly non2xx: number
}

async function autocannon(url: string, options: Load): Promise<Outcome> {
  const { connections, seconds, fresh, post } = options
  const args = ['-j', '-n', '-c', String(connections), '-d', String(seconds)]
  if (fresh) args.push('-H', 'Connection=close')
  if (post) args.push('-m', 'POST', '-b', 'x'.repeat(10_000))
  const program = require.resolve('autocannon')
  const { stdout } = await run(process.execPath, [program, ...args, url])
  const { requests, latency, errors, non2xx } = JSON.parse(stdout) as Result
  return {
    perSecond: requests.average,
    p99: latency.p99,
    requests: requests.total,
    failures: errors + non2xx,
  }
}
