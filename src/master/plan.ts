// What runs and what should run -> whom to start and whom to retire: boot, crash, reload, recycling and scaling are all
// this one difference. Pure: no node, the time is an argument (milliseconds).

import { isServing, type State } from './lifecycle.ts'

export interface WorkerView {
  readonly id: number
  readonly slot: number
  readonly generation: number
  readonly state: State
  /** It is to be replaced: it was recycled. */
  readonly leaving: boolean
  /** It drains, and its requests were given longer than gracefulTimeout: nobody should wait for it. */
  readonly lingering: boolean
}

export interface PlanInput {
  readonly workers: readonly WorkerView[]
  /** How many workers there should be; their slots are 0 to target - 1. */
  readonly target: number
  /** Workers of an older generation are to be replaced. */
  readonly oldest: number
  /** How many workers may live above the target while some are being replaced. */
  readonly surge: number
  /** For slots that back off after crashes: when they may start again. */
  readonly notBefore: ReadonlyMap<number, number>
  readonly now: number
}

export interface Plan {
  /** Slots to start a worker in. */
  readonly spawn: readonly number[]
  /** Ids of workers to drain. */
  readonly retire: readonly number[]
  /** When to plan again although nothing happened. */
  readonly wakeAt: number | undefined
}

/** A slot without a worker is filled at once; a stale worker leaves only when its replacement is ready. */
export function plan(input: PlanInput): Plan {
  const spawn: number[] = []
  const retire: number[] = input.workers
    .filter((w) => isServing(w.state) && w.slot >= input.target)
    .map((w) => w.id)
  let wakeAt = Infinity
  let room = roomForReplacements(input)
  for (let slot = 0; slot < input.target; slot++) {
    const { fresh, stale } = occupants(input, slot)
    const superfluous = fresh.some((w) => w.state === 'ready') ? stale : stale.slice(1)
    retire.push(...superfluous.map((w) => w.id))
    if (fresh.length > 0 || (stale.length > 0 && room < 1)) continue
    const notBefore = input.notBefore.get(slot) ?? 0
    if (notBefore > input.now) wakeAt = Math.min(wakeAt, notBefore)
    else {
      spawn.push(slot)
      if (stale.length > 0) room--
    }
  }
  return { spawn, retire, wakeAt: wakeAt === Infinity ? undefined : wakeAt }
}

function occupants(
  { workers, oldest }: PlanInput,
  slot: number,
): { fresh: WorkerView[]; stale: WorkerView[] } {
  const here = workers.filter((w) => w.slot === slot && isServing(w.state))
  const isFresh = (w: WorkerView): boolean => w.generation >= oldest && !w.leaving
  return { fresh: here.filter(isFresh), stale: here.filter((w) => !isFresh(w)).sort(bestFirst) }
}

/** Reloads that overtake each other leave several stale workers in a slot: one is enough to serve, a ready one and the newest. */
const bestFirst = (a: WorkerView, b: WorkerView): number =>
  Number(b.state === 'ready') - Number(a.state === 'ready') || b.generation - a.generation

/** Replacements that may boot now: `surge` above the target, those still draining included, but not (up to `target`) those that linger. */
function roomForReplacements({ workers, target, surge }: PlanInput): number {
  const lingering = workers.filter((w) => w.state === 'draining' && w.lingering).length
  const alive = workers.filter((w) => w.state !== 'gone').length - Math.min(lingering, target)
  return Math.max(0, target + surge - Math.max(alive, target))
}

/** Seconds to wait before the n-th start in a row after crashes: 0, 1, 2, 4 ... up to `max`. */
export const backOff = (crashes: number, max: number): number =>
  crashes <= 1 ? 0 : Math.min(max, 2 ** Math.min(crashes - 2, 30))
