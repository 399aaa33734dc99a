// Watt: one process, whose workers are threads with a socket each. It needs Node 22.19.

import { execFileSync } from 'node:child_process'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { directoryOf, install } from './cache.ts'
import { apps, byCommand, LeftOut, type LaunchOptions, type Peer } from './peer.ts'

const WATT_VERSION = '3.67.0'
/** What lets it run a plain Node app. */
const NODE_VERSION = '3.65.0'
const set = `wattpm-${WATT_VERSION}`
const cli = join(directoryOf(set), 'wattpm', 'bin', 'cli.js')

const NODE = [22, 19] as const

function prepare(node: string): string {
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
  const [major, minor] = version.slice(1).split('.').map(Number)
  if (major! < NODE[0] || (major === NODE[0] && minor! < NODE[1]))
    throw new LeftOut(`it needs Node ${NODE.join('.')}, and this is ${version}`)
  install(set, node, `wattpm@${WATT_VERSION}`, `@platformatic/node@${NODE_VERSION}`)
  return WATT_VERSION
}

/** Stricter than its defaults where a timeout is given: those take five minutes to notice a blocked worker. */
const config = ({ app, workers, port, timeout }: LaunchOptions): object => ({
  $schema: 'https://schemas.platformatic.dev/@platformatic/node/3.0.0.json',
  node: { main: `${app}.cjs` },
  runtime: {
    workers,
    logger: { level: 'info' },
    server: { hostname: '127.0.0.1', port },
    ...(timeout && {
      gracefulShutdown: { runtime: 6_000, application: 5_000 },
      health: {
        enabled: true,
        interval: 1_000,
        gracePeriod: 1_000,
        maxUnhealthyChecks: timeout,
        maxELU: 0.98,
      },
    }),
  },
})

export const peers: readonly Peer[] = [
  {
    name: 'watt',
    title: 'Watt',
    prepare,
    launch: (options) => {
      const { node, dir, app } = options
      writeFileSync(join(dir, 'watt.json'), JSON.stringify(config(options)))
      writeFileSync(join(dir, 'package.json'), '{"name":"bench","version":"1.0.0"}')
      writeFileSync(
        join(dir, `${app}.cjs`),
        `require(${JSON.stringify(join(apps, `${app}.cjs`))})\n`,
      )
      symlinkSync(directoryOf(set), join(dir, 'node_modules'))
      return {
        program: node,
        args: [cli, 'start', dir],
        reload: byCommand(node, (master) => [cli, 'restart', String(master)]),
      }
    },
    lacks: {
      recovery: 'its workers are threads: who kills one kills all',
      recycle: 'by memory alone',
    },
  },
]
