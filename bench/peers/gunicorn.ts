// Gunicorn, as it is on the path: with a process for each request, and with 16 threads for those that wait.

import {
  apps,
  bySignal,
  versionOnPath,
  type Launch,
  type LaunchOptions,
  type Peer,
} from './peer.ts'

const launch =
  (...ofKind: string[]) =>
  ({ port, app, workers, flags, timeout, recycleAfter }: LaunchOptions): Launch => ({
    program: 'gunicorn',
    args: [
      ...['--workers', String(workers), '--bind', `127.0.0.1:${port}`, '--chdir', apps],
      ...(timeout ? ['--timeout', String(timeout), '--graceful-timeout', '5'] : []),
      ...(recycleAfter
        ? ['--max-requests', `${recycleAfter}`, '--max-requests-jitter', `${recycleAfter}`]
        : []),
      ...flags,
      ...ofKind,
      `${app}:app`,
    ],
    env: { PYTHONDONTWRITEBYTECODE: '1' },
    reload: bySignal('SIGHUP'),
  })

const prepare = (): string => versionOnPath('gunicorn')

export const peers: readonly Peer[] = [
  {
    name: 'gunicorn',
    title: 'Gunicorn gthread',
    prepare,
    launch: launch('-k', 'gthread', '--threads', '16'),
  },
  {
    name: 'gunicorn-sync',
    title: 'Gunicorn sync',
    prepare,
    launch: launch(),
    onlyIfNamed: true,
  },
]
