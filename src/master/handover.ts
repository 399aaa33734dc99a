// The way of an idle connection from one worker to another, here or, in an upgrade, at the next master: whom it is given to,
// who has it, and what if that one dies. And who is asked to give some away because others have fewer. Runs in the master,
// beside its loop: nothing here starts or ends workers.

import type { Log } from '../log.ts'
import type { Connection, FromHandover } from '../protocol.ts'
import { surpluses } from './fair-share.ts'
import type { Party, Passage } from './passage.ts'
import type { Roll } from './roll.ts'
import type { Handle } from './sockets.ts'
import type { WorkerHandle } from './worker-handle.ts'

/** How long the workers' counts may settle before they are compared, ms; and again, ever later, while nothing comes of it. */
const BALANCE_MS = 100
const BALANCE_MAX_MS = 10_000
/** A connection that no worker has been free to take for so long goes back: its giver can serve it meanwhile, ms. */
const LIMBO_MS = 1_000
/** A worker whose loop stood still for so long when it was last heard of is given nothing; an idle one may seem to for 0.6 s. */
const STALE_SECONDS = 1
/** A new master died, and its workers follow within so long: until then one of them may have the connection, ms. */
const ORPHANS_MS = 2_000

interface Parcel extends Connection {
  readonly giver: Party
  /** Open here until it has arrived somewhere: should the taker die before, there is nothing lost. */
  readonly handle: Handle
  readonly since: number
  readonly refusedBy: Set<Party>
  taker: Party | undefined
}

export class Handover {
  readonly #log: Log
  readonly #roll: Pick<Roll, 'oldest'>
  readonly #ready: () => readonly WorkerHandle[]
  readonly #passage: Passage
  /** By our own numbers; those without a taker wait, first come first served. */
  readonly #parcels = new Map<number, Parcel>()
  /** The last number each giver used: `gave` with another one means that the handle before it was lost. */
  readonly #lastGive = new WeakMap<Party, number>()
  readonly #moved = new WeakMap<Party, number>()
  #seq = 0
  #limbo: NodeJS.Timeout | undefined
  #balance: NodeJS.Timeout | undefined
  #pause = BALANCE_MS
  #failure: string | undefined

  constructor(
    log: Log,
    roll: Pick<Roll, 'oldest'>,
    ready: () => readonly WorkerHandle[],
    passage: Passage,
  ) {
    this.#log = log
    this.#roll = roll
    this.#ready = ready
    this.#passage = passage
    passage.hear = (party, message, handle) => this.hear(party, message, handle)
    passage.onLost = (successor) =>
      void setTimeout(() => this.#leave(successor), ORPHANS_MS).unref()
  }

  hear(party: Party, message: FromHandover, handle: unknown): void {
    switch (message.type) {
      case 'give':
        this.#lastGive.set(party, message.seq)
        if (handle) this.#accept(party, message, handle as Handle)
        else party.tell({ type: 'given', seq: message.seq, taken: false })
        return
      case 'gave':
        if (this.#lastGive.get(party) !== message.seq)
          party.tell({ type: 'given', seq: message.seq, taken: false })
        return
      case 'taken':
        return this.#answered(party, message.seq, message.taken)
      case 'load':
        party.connections = message.connections
        return this.#counted()
      case 'handover-fails':
        return this.#fails(message.why)
    }
  }

  /** Its channel is closed, all that it said was heard. */
  gone(worker: WorkerHandle): void {
    const connections = this.#moved.get(worker)
    if (connections) this.#log.event('handedOver', { ...worker.facts, connections })
    this.#leave(worker)
  }

  /** It takes no more of what it was sent. */
  #leave(taker: Party): void {
    for (const parcel of this.#parcels.values())
      if (parcel.taker === taker) {
        parcel.refusedBy.add(taker)
        parcel.taker = undefined
      }
    this.#send()
  }

  #accept(giver: Party, { seq, key, served }: Connection, handle: Handle): void {
    const since = performance.now()
    const parcel = { giver, seq, key, served, handle, since, refusedBy: new Set([giver]) }
    this.#parcels.set(++this.#seq, { ...parcel, taker: undefined })
    this.#send()
  }

  #send(): void {
    const busy = new Set([...this.#parcels.values()].map(({ taker }) => taker))
    for (const [seq, parcel] of this.#parcels) {
      if (parcel.taker) continue
      const takers = this.#takersOf(parcel)
      if (takers.length === 0) this.#finish(seq, parcel, false)
      // one at a time, so that no more than one waits for a worker whose loop stands still; a master's does not
      const free = takers.filter((taker) => taker === this.#passage.successor || !busy.has(taker))
      const [taker] = free.sort((a, b) => a.connections - b.connections)
      if (!taker) continue
      parcel.taker = taker
      busy.add(taker)
      const { key, served, handle } = parcel
      taker.tell({ type: 'take', seq, key, served }, handle)
      taker.tell({ type: 'sent', seq })
    }
    this.#watchLimbo()
  }

  /** What came from an old master ends here, or goes back: who should answer it if this one is replaced as well? */
  #takersOf({ giver, refusedBy }: Parcel): Party[] {
    const { successor, predecessor } = this.#passage
    const own: Party[] = this.#takers()
    const all = own.length === 0 && successor && giver !== predecessor ? [successor] : own
    return all.filter((taker) => !refusedBy.has(taker))
  }

  /** Of the newest code: no client is sent back to an older one, unless there is nothing else. */
  #takers(): WorkerHandle[] {
    const staying = this.#ready().filter(({ reason }) => reason === undefined)
    const awake = staying.filter(({ watchdog }) => (watchdog.digest?.stale ?? 0) < STALE_SECONDS)
    const able = awake.length > 0 ? awake : staying
    const fresh = able.filter(({ generation }) => generation >= this.#roll.oldest)
    return fresh.length > 0 ? fresh : able
  }

  #answered(taker: Party, seq: number, taken: boolean): void {
    const parcel = this.#parcels.get(seq)
    if (parcel?.taker !== taker) return
    if (taken) this.#finish(seq, parcel, true)
    else {
      parcel.refusedBy.add(taker)
      parcel.taker = undefined
    }
    this.#send()
  }

  #finish(seq: number, { giver, taker, handle, seq: theirs }: Parcel, taken: boolean): void {
    this.#parcels.delete(seq)
    handle.close()
    giver.tell({ type: 'given', seq: theirs, taken })
    if (!taken || !taker) return
    giver.connections--
    taker.connections++
    this.#moved.set(giver, (this.#moved.get(giver) ?? 0) + 1)
  }

  /** What waits for a free taker does not wait for long. */
  #watchLimbo(): void {
    const waits = [...this.#parcels.values()].some(({ taker }) => !taker)
    if (!waits || this.#limbo) return
    this.#limbo = setTimeout(() => {
      this.#limbo = undefined
      const now = performance.now()
      for (const [seq, parcel] of this.#parcels)
        if (!parcel.taker && now - parcel.since >= LIMBO_MS) this.#finish(seq, parcel, false)
      this.#watchLimbo()
    }, LIMBO_MS).unref()
  }

  /** A round that is far off, because nothing came of the last ones, is brought forward. */
  #counted(): void {
    if (this.#pause !== BALANCE_MS || !this.#balance) this.#balanceSoon()
  }

  #balanceSoon(pause = BALANCE_MS): void {
    clearTimeout(this.#balance)
    this.#pause = pause
    this.#balance = setTimeout(() => this.#share(), pause).unref()
  }

  #share(): void {
    this.#balance = undefined
    if (this.#parcels.size > 0) return this.#balanceSoon()
    const takers = this.#takers()
    const surplus = surpluses(takers.map(({ connections }) => connections))
    if (surplus.every((count) => count === 0)) return
    for (const [at, count] of surplus.entries())
      if (count > 0) takers[at]!.tell({ type: 'share', count })
    // those it has too many of may all be busy just now
    this.#balanceSoon(Math.min(this.#pause * 2, BALANCE_MAX_MS))
  }

  /** The same Node and the same code fail alike in every worker: once is enough. */
  #fails(why: string): void {
    if (this.#failure === why) return
    this.#failure = why
    this.#log.event('handoverFails', { node: process.version, why })
  }
}
