// PM2 in cluster mode: a daemon of its own for each server.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { directoryOf, install } from './cache.ts'
import { apps, byCommand, type Peer } from './peer.ts'

export const PM2_VERSION = '7.0.4'

const set = `pm2-${PM2_VERSION}`
const pm2 = join(directoryOf(set), 'pm2', 'bin', 'pm2')

/** Throws LeftOut when the registry cannot be reached. */
const prepare = (node: string): string => {
  install(set, node, `pm2@${PM2_VERSION}`)
  return PM2_VERSION
}

export const peers: readonly Peer[] = [
  {
    name: 'pm2',
    title: 'PM2 cluster',
    prepare,
    launch: ({ node, port, dir, app, workers, flags, timeout }) => {
      const env = { ...process.env, PM2_HOME: dir, PORT: String(port) }
      const tell = (...args: string[]) => byCommand(node, () => [pm2, ...args], env)
      const pidFile = join(dir, 'pm2.pid')
      const file = join(apps, `${app}.cjs`)
      return {
        program: node,
        args: [
          ...[pm2, 'start', file, '-i', String(workers), '--name', 'bench'],
          ...(timeout ? ['--kill-timeout', '5000'] : []),
          ...flags,
        ],
        env: { PM2_HOME: dir },
        master: () => (existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0),
        reload: tell('reload', 'bench'),
        terminate: tell('stop', 'bench'),
        end: tell('kill'),
        logs: [join(dir, 'pm2.log')],
      }
    },
    lacks: { recycle: 'by memory alone' },
  },
]
