// What the workers' load says about how many there should be: one more, one fewer, or as many as now. Pure: no node, the
// time is an argument (milliseconds).

/** What was seen at one look. */
export interface Load {
  /** Of each ready worker that is known: the share of the time in which its event loop did not wait, 0 to 1. */
  readonly utilization: readonly number[]
  /** Connections that wait to be accepted. */
  readonly queued: number
  /** Bytes. */
  readonly memory: Memory
}

export interface Memory {
  /** Of each ready worker that is known. */
  readonly workers: readonly number[]
  readonly master: number
  /** Of those on standby, together. */
  readonly standbys: number
  /** By the container or the machine. */
  readonly granted: number
}

export interface Rules {
  /** The fewest and the most workers. */
  readonly min: number
  readonly max: number
  /** A mean utilization from here on is too much. */
  readonly upAt: number
  /** For how long before there is one more, or one fewer, ms. */
  readonly upAfter: number
  readonly downAfter: number
}

/** What looks in a row have agreed on. */
export interface Trend {
  readonly is: 'busy' | 'calm' | 'neither'
  /** When that was first seen, ms. */
  readonly since: number
  /** How many looks have seen it. */
  readonly looks: number
}

export interface Decision {
  readonly trend: Trend
  readonly target: number
  /** There is no memory for the one more that is needed. */
  readonly held: boolean
}

export const NO_TREND: Trend = { is: 'neither', since: 0, looks: 0 }

/** One look may be an accident, however short the times are set. */
const LOOKS = 2
/** One fewer must be expected to stay so far below `upAt`, or it would come back soon. */
const CALM = 0.7
/** What must be free when a worker like the others has started. */
const MEMORY = 0.9

/** `target`: how many workers there should be now, all of them ready. */
export function decide(
  before: Trend,
  load: Load,
  target: number,
  rules: Rules,
  now: number,
): Decision {
  const trend = follow(before, judge(load, target, rules), now)
  const lasts = (ms: number): boolean => trend.looks >= LOOKS && now - trend.since >= ms
  if (trend.is === 'busy' && target < rules.max && lasts(rules.upAfter))
    return hasRoom(load.memory)
      ? { trend: NO_TREND, target: target + 1, held: false }
      : { trend, target, held: true }
  if (trend.is === 'calm' && target > rules.min && lasts(rules.downAfter))
    return { trend: NO_TREND, target: target - 1, held: false }
  return { trend, target, held: false }
}

function judge({ utilization, queued }: Load, target: number, { upAt }: Rules): Trend['is'] {
  if (queued > 0) return 'busy'
  if (utilization.length === 0) return 'neither'
  const busy = mean(utilization)
  if (busy >= upAt) return 'busy'
  const withoutOne = target > 1 ? (busy * target) / (target - 1) : Infinity
  return withoutOne < CALM * upAt ? 'calm' : 'neither'
}

const follow = (before: Trend, is: Trend['is'], now: number): Trend =>
  before.is === is ? { ...before, looks: before.looks + 1 } : { is, since: now, looks: 1 }

/** One more is expected to need what the others need on average. */
function hasRoom(memory: Memory): boolean {
  const { workers, granted } = memory
  return workers.length === 0 || inUse(memory) + mean(workers) <= MEMORY * granted
}

/** Of all processes together, bytes. */
export const inUse = ({ workers, master, standbys }: Memory): number =>
  workers.reduce((sum, bytes) => sum + bytes, master + standbys)

/** Of an empty list: 0. */
export const mean = (list: readonly number[]): number =>
  list.reduce((sum, n) => sum + n, 0) / Math.max(1, list.length)
