// What the container grants: CPUs and memory for `workers: auto`, and how many processes the kernel killed for lack of
// memory. Reads cgroup v1, v2 and both side by side. A leaf, used in the master; imported only when asked.
import { availableParallelism } from 'node:os'
import { posix } from 'node:path'
import { fs } from './builtin.ts'
import type { WorkerCount } from './worker-count.ts'

/** Where to look; the defaults are this process and this machine. */
export interface CgroupPlace {
  /** Default '/proc/self/cgroup'. */
  readonly self?: string
  /** Default '/sys/fs/cgroup'. */
  readonly root?: string
  /** CPUs of the machine that this process may run on; default os.availableParallelism(). */
  readonly cpus?: number
}

/** What one worker should have at least, in bytes. */
const MEMORY_PER_WORKER = 128 * 1024 ** 2
/** v1 says "no limit" with the largest multiple of a page; nothing real comes near. */
const NO_LIMIT = 2 ** 60

/** The number of workers: 'auto' is one for each granted CPU, at most one for each 128 MiB of granted memory, at least 1. */
export const resolveWorkers = (setting: number | 'auto', place: CgroupPlace = {}): number => {
  if (setting !== 'auto') return setting
  const { cpus, memory } = grantedBy(place)
  return Math.max(1, Math.min(Math.ceil(cpus), Math.floor(memory / MEMORY_PER_WORKER)))
}

/** The fewest and the most workers there may be. */
export interface Bounds {
  readonly min: number
  readonly max: number
}

/** What a setting allows: the same number twice, unless it is a range. A range that ends with 'auto' never ends below where it begins. */
export const workerBounds = (setting: WorkerCount, place: CgroupPlace = {}): Bounds => {
  const range = typeof setting === 'object' ? setting : { min: setting, max: setting }
  const min = resolveWorkers(range.min, place)
  return { min, max: Math.max(min, resolveWorkers(range.max, place)) }
}

/** The smallest CPU quota (in CPUs) and memory limit (in bytes, Infinity if none) of this process's cgroup and its parents. */
export const grantedBy = (place: CgroupPlace = {}): { cpus: number; memory: number } => {
  const quotas = [place.cpus ?? availableParallelism()]
  const limits = [Number.POSITIVE_INFINITY]
  for (const directory of directoriesOf('cpu', place)) {
    const [quota, period] = (read(directory, 'cpu.max') ?? v1Quota(directory) ?? '')
      .split(' ')
      .map(Number)
    if (quota && period && quota > 0 && period > 0) quotas.push(quota / period)
  }
  for (const directory of directoriesOf('memory', place)) {
    const limit = Number(read(directory, 'memory.max') ?? read(directory, 'memory.limit_in_bytes'))
    if (limit > 0 && limit < NO_LIMIT) limits.push(limit)
  }
  return { cpus: Math.min(...quotas), memory: Math.min(...limits) }
}

const v1Quota = (directory: string): string | undefined => {
  const quota = read(directory, 'cpu.cfs_quota_us')
  return quota && `${quota} ${read(directory, 'cpu.cfs_period_us')}`
}

/**
 * How many processes of this process's cgroup the kernel has killed for lack of memory since the cgroup was made;
 * undefined where no cgroup counts them. Compare before and after: a rise tells an OOM kill from any other SIGKILL.
 */
export const oomKills = (place: CgroupPlace = {}): number | undefined => {
  for (const directory of directoriesOf('memory', place)) {
    const events = read(directory, 'memory.events') ?? read(directory, 'memory.oom_control')
    const kills = events?.match(/^oom_kill (\d+)$/m)?.[1]
    if (kills !== undefined) return Number(kills)
  }
  return undefined
}

/** The directories that may limit us, our own cgroup first, then its parents. In a container most don't exist: its root does. */
const directoriesOf = (
  controller: 'cpu' | 'memory',
  { self = '/proc/self/cgroup', root = '/sys/fs/cgroup' }: CgroupPlace,
): string[] =>
  (read(self) ?? '').split('\n').flatMap((line) => {
    const [, id, controllers = '', path = '/'] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? []
    const parents = parentsOf(posix.join('/', path))
    // v2 is mounted at the root, or beside the v1 controllers as "unified".
    if (id === '0')
      return parents.flatMap((parent) => [
        posix.join(root, parent),
        posix.join(root, 'unified', parent),
      ])
    if (!controllers.split(',').includes(controller)) return []
    const mounts = new Set([controllers, controller])
    return [...mounts].flatMap((mount) => parents.map((parent) => posix.join(root, mount, parent)))
  })

/** /a/b -> /a/b, /a, / */
const parentsOf = (path: string): string[] =>
  path === '/' ? ['/'] : [path, ...parentsOf(posix.dirname(path))]

const read = (...path: string[]): string | undefined => {
  try {
    return fs.readFileSync(posix.join(...path), 'utf8').trim()
  } catch (error) {
    // ENOENT, EACCES, ENOTDIR: this layout has no such file here, which means no limit and no count.
    if (error instanceof Error && 'code' in error) return undefined
    throw error
  }
}
