// This server.

import { join } from 'node:path'
import { ownVersion } from '../report.ts'
import { cli } from '../variants.ts'
import { apps, bySignal, type Peer } from './peer.ts'

export const peers: readonly Peer[] = [
  {
    name: 'ours',
    title: 'Nodicorn',
    prepare: ownVersion,
    launch: ({ node, app, workers, flags, timeout, recycleAfter }) => ({
      program: node,
      args: [
        ...[cli, 'start', join(apps, `${app}.cjs`), '--workers', String(workers)],
        ...(timeout ? ['--timeout', String(timeout), '--graceful-timeout', '5'] : []),
        ...(recycleAfter
          ? ['--max-requests', `${recycleAfter}`, '--max-requests-jitter', `${recycleAfter}`]
          : []),
        ...flags,
      ],
      reload: bySignal('SIGHUP'),
    }),
  },
]
