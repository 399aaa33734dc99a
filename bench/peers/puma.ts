// Puma, as it is on the path. Without preload, as its phased restart needs.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { apps, bySignal, versionOnPath, type Peer } from './peer.ts'

export const peers: readonly Peer[] = [
  {
    name: 'puma',
    title: 'Puma',
    prepare: () => versionOnPath('puma'),
    launch: ({ port, dir, app, workers, flags, timeout }) => {
      const lines = [
        'preload_app! false',
        'threads 16, 16',
        `workers ${workers}`,
        'environment "production"',
        ...(timeout
          ? ['worker_check_interval 1', `worker_timeout ${timeout}`, 'force_shutdown_after 5']
          : []),
      ]
      const config = join(dir, 'puma.rb')
      writeFileSync(config, `${lines.join('\n')}\n`)
      const args = ['-C', config, '-b', `tcp://127.0.0.1:${port}`, ...flags]
      return {
        program: 'puma',
        args: [...args, join(apps, `${app}.ru`)],
        reload: bySignal('SIGUSR1'),
      }
    },
    lacks: { recycle: 'it has none' },
  },
]
