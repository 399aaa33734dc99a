// What is compared: each file of this folder that gives a dimension is one, and main.ts has the list of them.

import type { Feature } from '../peers/peer.ts'
import type { Started, StartOptions } from '../servers.ts'
import type { Site } from '../site.ts'

export interface Scale {
  readonly size: 'quick' | 'full'
  /** Of one load, seconds. */
  readonly seconds: number
}

export interface Row {
  readonly id: string
  readonly what: string
  readonly unit: string
  readonly better: 'more' | 'less'
}

/** One server of one peer, while a round of a dimension is measured on it. */
export interface Subject {
  readonly name: string
  /** Ends with this round. */
  readonly site: Site
  /** With two workers; started for the first who asks, and used by all rounds. */
  server(): Promise<Started>
  /** Another one of the same peer, which ends with this round. */
  start(options: StartOptions): Promise<Started>
}

export interface Dimension {
  /** For `--rows`. */
  readonly name: string
  rows(scale: Scale): readonly Row[]
  readonly rounds: Readonly<Record<Scale['size'], number>>
  /** All peers at the same time, which is for what hardly takes CPU; default one after the other. */
  readonly atOnce?: boolean
  /** Who lacks it is left out, with the peer's reason. */
  readonly needs?: Feature
  /** A figure for each row, or for those that could be had. Throws with a reason, which is told, if there is none. */
  measure(subject: Subject, scale: Scale): Promise<Readonly<Record<string, number>>>
}
