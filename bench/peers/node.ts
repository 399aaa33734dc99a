// What Node has by itself: one process, and node:cluster in both of its ways to hand out connections.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { apps, bySignal, type Launch, type LaunchOptions, type Peer } from './peer.ts'

const version = (node: string): string =>
  execFileSync(node, ['--version'], { encoding: 'utf8' }).trim().slice(1)

const cluster = (policy: 'rr' | 'none') => {
  return ({ node, app, workers }: LaunchOptions): Launch => ({
    program: node,
    args: [join(apps, 'bare.cjs')],
    env: {
      APP: join(apps, `${app}.cjs`),
      WORKERS: String(workers),
      NODE_CLUSTER_SCHED_POLICY: policy,
    },
    reload: bySignal('SIGHUP'),
  })
}

const NO_RECYCLING = 'its script would have to count'

export const peers: readonly Peer[] = [
  {
    name: 'bare',
    title: 'node:cluster',
    prepare: version,
    launch: cluster('rr'),
    lacks: { recycle: NO_RECYCLING },
  },
  {
    name: 'bare-none',
    title: 'node:cluster, SCHED_NONE',
    prepare: version,
    launch: cluster('none'),
    lacks: { recycle: NO_RECYCLING },
  },
  {
    name: 'single',
    title: 'one process of node',
    prepare: version,
    launch: ({ node, app }) => ({ program: node, args: [join(apps, `${app}.cjs`)] }),
    lacks: {
      workers: 'it is one',
      recovery: 'nobody starts it again',
      reload: 'it has none',
      recycle: 'it has none',
      stop: 'it ends at once',
    },
  },
]
