// What runs and what should run -> whom to start and whom to retire: boot, crash, reload, recycling and scaling are all
// this one difference. Pure: no node, the time is an argument (milliseconds).

import { isServing, type State } from './lifecycle.ts'
import { Reserve } from './reserve.ts'

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
  /** How many booted workers to keep outside the pool; their slots are from target on. */
  readonly standby: number
  /** For slots that back off after crashes: when they may start again. */
  readonly notBefore: ReadonlyMap<number, number>
  readonly now: number
}

export interface Plan {
  /** Slots to start a worker in. */
  readonly spawn: readonly number[]
  /** Slots to start a standby in. */
  readonly warm: readonly number[]
  /** Standbys that join the pool, and in which slot. */
  readonly promote: readonly Promotion[]
  /** Ids of workers to drain. */
  readonly retire: readonly number[]
  /** When to plan again although nothing happened. */
  readonly wakeAt: number | undefined
}

export interface Promotion {
  readonly id: number
  readonly slot: number
}

/** A slot without a worker is filled at once, by a standby if there is one; a stale worker leaves only when its replacement is ready. */
export function plan(input: PlanInput): Plan {
  const spawn: number[] = []
  const promote: Promotion[] = []
  const retire: number[] = input.workers
    .filter((w) => isServing(w.state) && w.slot >= input.target)
    .map((w) => w.id)
  const reserve = new Reserve(input)
  let wakeAt = Infinity
  let room = roomForReplacements(input)
  for (let slot = 0; slot < input.target; slot++) {
    const { fresh, stale } = occupants(input, slot)
    const superfluous = fresh.some((w) => w.state === 'ready') ? stale : stale.slice(1)
    retire.push(...superfluous.map((w) => w.id))
    if (fresh.length > 0 || (stale.length > 0 && room < 1)) continue
    const notBefore = input.notBefore.get(slot) ?? 0
    if (notBefore > input.now) {
      wakeAt = Math.min(wakeAt, notBefore)
      continue
    }
    const standby = reserve.take(slot, stale.length > 0 ? 'in-order' : 'urgent')
    if (standby) promote.push({ id: standby.id, slot })
    else if (stale.length > 0 && input.standby > 0)
      continue // its successor boots as a standby
    else spawn.push(slot)
    if (stale.length > 0) room--
  }
  retire.push(...reserve.drop())
  const isFilling = spawn.length + promote.length > 0
  const refill = isFilling ? { warm: [], wakeAt: Infinity } : reserve.refill(room)
  wakeAt = Math.min(wakeAt, refill.wakeAt)
  const { warm } = refill
  return { spawn, warm, promote, retire, wakeAt: wakeAt === Infinity ? undefined : wakeAt }
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

/**
 * Replacements that may boot now: `surge` above the target, those still draining included, but not (up to `target`) those that
 * linger. Standbys have room of their own.
 */
function roomForReplacements({ workers, target, surge }: PlanInput): number {
  const lingering = workers.filter((w) => w.state === 'draining' && w.lingering).length
  const inPool = workers.filter((w) => !OUTSIDE.includes(w.state))
  const alive = inPool.length - Math.min(lingering, target)
  return Math.max(0, target + surge - Math.max(alive, target))
}

const OUTSIDE: readonly State[] = ['warming', 'standby', 'dropped', 'gone']

/** Seconds to wait before the n-th start in a row after crashes: 0, 1, 2, 4 ... up to `max`. */
export const backOff = (crashes: number, max: number): number =>
  crashes <= 1 ? 0 : Math.min(max, 2 ** Math.min(crashes - 2, 30))
