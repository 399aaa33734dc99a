// What `supervisor doctor` looks at: the machine, the container, and what the settings make of them. Reads, changes nothing. A
// leaf: runs in the master if there is one, else in the CLI; imported only when asked for.

import { totalmem } from 'node:os'
import { dirname, resolve } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import { besidePidfile } from './control-place.ts'
import { fs } from './builtin.ts'
import { grantedBy, oomKills, workerBounds } from './cgroup.ts'
import type { DoctorFacts } from './doctor.ts'
import type { Settings } from './settings.ts'
import { textAt } from './read-text.ts'

export interface DoctorPlace {
  readonly settings: Settings
  readonly env: NodeJS.ProcessEnv
  /** Where relative paths begin. */
  readonly directory: string
  readonly live?: DoctorFacts['live']
}

export function gatherFacts({ settings, env, directory, live }: DoctorPlace): DoctorFacts {
  return {
    settings,
    today: new Date(),
    node: process.version,
    nodeEnv: settings.env['NODE_ENV'] ?? env['NODE_ENV'],
    uid: process.getuid?.(),
    workers: Math.max(workerBounds(settings.workers).max, live?.status.target ?? 0),
    granted: grantedBy(),
    machineMemory: totalmem(),
    heap: heapOf(settings, env, live),
    openFiles: openFilesOf(textAt('/proc/self/limits')),
    somaxconn: numberIn(textAt('/proc/sys/net/core/somaxconn')),
    stopper: stopperOf(env, live !== undefined),
    isFirst: live !== undefined && process.pid === 1,
    unwritable: unwritableOf(settings, resolve(directory, settings.chdir)),
    certificate: certificateEnd(settings.certfile, resolve(directory, settings.chdir)),
    oomKills: oomKills(),
    live,
  }
}

const HEAP_FLAG = /--max[-_]old[-_]space[-_]size[= ](\d+)/

/** What workers have told, or what a process like this one would have. */
function heapOf(
  settings: Settings,
  env: NodeJS.ProcessEnv,
  live: DoctorFacts['live'],
): DoctorFacts['heap'] {
  const flag =
    HEAP_FLAG.exec(settings.nodeArgs.join(' ')) ??
    HEAP_FLAG.exec(settings.env['NODE_OPTIONS'] ?? env['NODE_OPTIONS'] ?? '')
  const told = (live?.status.workers ?? []).map(({ heapLimit }) => heapLimit ?? 0)
  const own = flag ? Number(flag[1]) * 1024 ** 2 : getHeapStatistics().heap_size_limit
  return { limit: Math.max(...told, 0) || own, isChosen: flag !== null }
}

/** Node has raised the soft limit to the hard one by now. */
export function openFilesOf(limits: string): number | undefined {
  const text = /^Max open files +(\S+)/m.exec(limits)?.[1]
  return text === 'unlimited' ? Infinity : numberIn(text ?? '')
}

/** Nobody tells how long he waits: what is known is his default. */
function stopperOf(env: NodeJS.ProcessEnv, isMaster: boolean): DoctorFacts['stopper'] {
  if (env['KUBERNETES_SERVICE_HOST'])
    return { name: 'Kubernetes', seconds: 30, fix: 'terminationGracePeriodSeconds: N' }
  if (fs.existsSync('/.dockerenv') || fs.existsSync('/run/.containerenv'))
    return {
      name: 'Docker',
      seconds: 10,
      fix: 'docker run --stop-timeout N (compose: stop_grace_period: Ns)',
    }
  if (isMaster && env['INVOCATION_ID'] && process.ppid === 1)
    return { name: 'systemd', seconds: 90, fix: 'TimeoutStopSec=N' }
  return undefined
}

/** Of files that are there they themselves count, of others the directory. */
function unwritableOf(settings: Settings, directory: string): DoctorFacts['unwritable'] {
  const { logFile, accessLog, pidfile, controlSocket } = settings
  const beside = pidfile && controlSocket === 'auto' ? besidePidfile(pidfile) : ''
  const files = [
    ['--log-file', logFile],
    ['--access-log', accessLog],
    ['--pidfile', pidfile],
    [
      '--control-socket',
      controlSocket === 'off' || controlSocket === 'auto' ? beside : controlSocket,
    ],
  ] as const
  return files.flatMap(([setting, name]) => {
    if (name === '' || name === '-') return []
    const path = resolve(directory, name)
    const why = whyNotWritable(fs.existsSync(path) ? path : dirname(path))
    return why === undefined ? [] : [{ setting, path, why }]
  })
}

function certificateEnd(certfile: string, directory: string): number | undefined {
  if (certfile === '') return undefined
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  try {
    return Date.parse(new X509Certificate(fs.readFileSync(resolve(directory, certfile))).validTo)
  } catch (error) {
    // ENOENT, EACCES, or what OpenSSL says of a file that is no certificate: that is the finding
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return Number.NaN
  }
}

function whyNotWritable(path: string): string | undefined {
  try {
    fs.accessSync(path, fs.constants.W_OK)
    return undefined
  } catch (error) {
    // EACCES, ENOENT, EROFS, ENOTDIR: that is the finding
    const { code, message } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    return code === 'ENOENT' ? `there is no directory ${path}` : message
  }
}

const numberIn = (text: string): number | undefined =>
  /^\d+/.test(text) ? Number.parseInt(text, 10) : undefined
