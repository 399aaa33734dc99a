// Runs dimensions on peers, round by round in alternating order, so that a slow minute of the machine hits all of them.

import type { Choice } from '../peers/index.ts'
import type { Peer } from '../peers/peer.ts'
import { start, type Started } from '../servers.ts'
import type { Site } from '../site.ts'
import type { Dimension, Scale, Subject } from './dimension.ts'
import type { Measured } from './table.ts'

/** The same app for all: bench/apps/peer.*. */
const APP = 'peer'

export interface Plan {
  readonly site: Site
  readonly node: string
  readonly scale: Scale
  /** Default: what each dimension says. */
  readonly rounds?: number
  readonly present: Choice['present']
  /** Is told what could not be had. */
  note(text: string): void
}

/** Those who serve all rounds of all dimensions. */
export class Field {
  readonly #plan: Plan
  readonly #servers = new Map<string, Promise<Started>>()

  constructor(plan: Plan) {
    this.#plan = plan
  }

  async measure(dimension: Dimension): Promise<readonly Measured[]> {
    const { scale, present, note, rounds = dimension.rounds[scale.size] } = this.#plan
    const all = present.map(({ peer }) => peer)
    const lack = (peer: Peer): string | undefined => peer.lacks?.[dimension.needs ?? 'stop']
    const able = dimension.needs ? all.filter((peer) => lack(peer) === undefined) : all
    for (const peer of all)
      if (!able.includes(peer)) note(`${dimension.name}: ${peer.title}: ${lack(peer)}`)
    const rows = dimension
      .rows(scale)
      .map((row) => ({ ...row, figures: {} as Record<string, number[]> }))
    const one = (peer: Peer): Promise<void> =>
      this.#round(dimension, peer, (id, value) => {
        const row = rows.find((candidate) => candidate.id === id)!
        ;(row.figures[peer.name] ??= []).push(value)
      })
    for (let n = 0; n < rounds; n++)
      if (dimension.atOnce) await Promise.all(able.map(one))
      else for (const peer of n % 2 ? [...able].reverse() : able) await one(peer)
    return rows
  }

  async #round(
    dimension: Dimension,
    peer: Peer,
    add: (id: string, value: number) => void,
  ): Promise<void> {
    const { site, scale, note } = this.#plan
    try {
      const figures = await site.part((part) => dimension.measure(this.#subject(peer, part), scale))
      for (const [id, value] of Object.entries(figures)) add(id, value)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      note(`${dimension.name}: ${peer.title}: ${(code ?? message).split('\n')[0]!.slice(0, 200)}`)
    }
  }

  #subject({ name }: Peer, part: Site): Subject {
    const { site, node } = this.#plan
    return {
      name,
      site: part,
      start: (options) => start(part, name, node, { app: APP, ...options }),
      server: () => {
        const server = this.#servers.get(name) ?? start(site, name, node, { app: APP })
        this.#servers.set(name, server)
        return server
      },
    }
  }
}
