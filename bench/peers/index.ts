// All the servers that can be compared: those of each file of this folder. Ours is the first, Node's own come next.

import { readdirSync } from 'node:fs'
import { LeftOut, type Peer } from './peer.ts'

const FIRST = ['nodicorn.ts', 'node.ts']
const files = readdirSync(new URL('.', import.meta.url)).filter((file) => file.endsWith('.ts'))
const sorted = [...FIRST, ...files.filter((file) => !FIRST.includes(file)).sort()]
const modules = (await Promise.all(
  sorted.filter((file) => file !== 'index.ts').map((file) => import(`./${file}`)),
)) as { peers?: readonly Peer[] }[]

export const peers: readonly Peer[] = modules.flatMap((module) => module.peers ?? [])

/** Throws when there is none of that name. */
export function peerOf(name: string): Peer {
  const found = peers.find((peer) => peer.name === name)
  if (found) return found
  throw new Error(`${name} is none of ${peers.map((peer) => peer.name).join(', ')}`)
}

export interface Choice {
  readonly present: readonly { readonly peer: Peer; readonly version: string }[]
  readonly leftOut: readonly { readonly title: string; readonly why: string }[]
}

/** Who of these can be had here, ready to be launched. */
export function choose(wanted: readonly Peer[], node: string): Choice {
  const present: Choice['present'][number][] = []
  const leftOut: Choice['leftOut'][number][] = []
  for (const peer of wanted)
    try {
      present.push({ peer, version: peer.prepare(node) })
    } catch (error) {
      if (!(error instanceof LeftOut)) throw error
      leftOut.push({ title: peer.title, why: error.message })
    }
  return { present, leftOut }
}
