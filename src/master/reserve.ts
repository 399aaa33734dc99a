// The part of the plan that is about standbys: whom to promote, whom to drop, how many to start. Pure: no node, no clock.

import { standsBy } from './lifecycle.ts'
import type { PlanInput, WorkerView } from './plan.ts'

export class Reserve {
  readonly #input: PlanInput
  #left: WorkerView[]
  /** On their way out, but still there. */
  #leaving: number

  constructor(input: PlanInput) {
    this.#input = input
    this.#leaving = input.workers.filter((w) => w.state === 'dropped').length
    this.#left = input.workers.filter((w) => standsBy(w.state))
  }

  /**
   * Who is promoted into the slot. `in-order`: only one that has booted, and with the wanted code; its predecessor serves until
   * then. `urgent`: nobody serves there, so one of an older generation is better than none, and so is one that still boots.
   */
  take(slot: number, need: 'in-order' | 'urgent'): WorkerView | undefined {
    const fresh = this.#left.filter((w) => this.#isFresh(w))
    const booted = (w: WorkerView): boolean => w.state === 'standby'
    const fit = fresh.filter(booted)
    const lesser = need === 'urgent' ? [...this.#left.filter(booted), ...fresh] : []
    const found = fit.find((w) => w.slot === slot) ?? fit[0] ?? lesser[0]
    this.#left = this.#left.filter((w) => w !== found)
    return found
  }

  /** Ids of those that are not needed: too many, of an older generation, or in a slot that belongs to the pool by now. */
  drop(): number[] {
    const { standby, target } = this.#input
    const inPlace = this.#left.filter((w) => w.slot >= target)
    const best = (these: WorkerView[]): WorkerView[] => these.sort(bootedFirst).slice(0, standby)
    const fresh = best(inPlace.filter((w) => this.#isFresh(w)))
    // until the new code has proved itself, the old one may be needed again
    const old = this.#isProved ? [] : inPlace.filter((w) => !this.#isFresh(w))
    const kept = [...fresh, ...best(old.filter((w) => w.state === 'standby'))]
    const dropped = this.#left.filter((w) => !kept.includes(w))
    this.#left = kept
    this.#leaving += dropped.length
    return dropped.map((w) => w.id)
  }

  /** Slots to start standbys in. `room`: how many may live beyond the target and those on standby. After drop(). */
  refill(room: number): { warm: number[]; wakeAt: number } {
    const { workers, now, notBefore } = this.#input
    const slots = workers.some((w) => w.state === 'booting') ? [] : this.#freeSlots(room)
    const due = (slot: number): number => notBefore.get(slot) ?? 0
    return {
      warm: slots.filter((slot) => due(slot) <= now),
      wakeAt: Math.min(...slots.map(due).filter((at) => at > now)),
    }
  }

  #freeSlots(room: number): number[] {
    const { workers, target } = this.#input
    const taken = new Set(workers.filter((w) => w.state !== 'gone').map((w) => w.slot))
    const slots: number[] = []
    const missing = this.#missing(room)
    for (let slot = target; slots.length < missing; slot++) if (!taken.has(slot)) slots.push(slot)
    return slots
  }

  /** The first one with new code is the canary: it boots in the room that a replacement would have, and alone. */
  #missing(room: number): number {
    const { standby } = this.#input
    const fresh = this.#left.filter((w) => this.#isFresh(w)).length
    const allowed = standby - this.#left.length - this.#leaving + (fresh === 0 ? room : 0)
    return Math.min(allowed, (this.#isProved ? standby : Math.min(standby, 1)) - fresh)
  }

  /** One with the wanted code has booted, and is still there. */
  get #isProved(): boolean {
    const inPool = this.#input.workers.filter((w) => w.state === 'ready')
    const booted = this.#left.filter((w) => w.state === 'standby')
    return [...inPool, ...booted].some((w) => this.#isFresh(w))
  }

  #isFresh({ generation }: WorkerView): boolean {
    return generation >= this.#input.oldest
  }
}

const bootedFirst = (a: WorkerView, b: WorkerView): number =>
  Number(b.state === 'standby') - Number(a.state === 'standby') || a.slot - b.slot
