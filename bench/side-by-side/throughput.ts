// Requests a second and their 99th percentile: few and many connections, kept and new ones, small and large answers, POSTs.

import type { Dimension, Row, Scale } from './dimension.ts'
import { load, type Load } from './load.ts'

interface Case extends Omit<Load, 'seconds'> {
  readonly id: string
  readonly what: string
  readonly isQuick?: boolean
}

const cases: readonly Case[] = [
  { id: 'kept-1', what: '5 bytes, 1 kept connection', connections: 1 },
  { id: 'kept-64', what: '5 bytes, 64 kept connections', connections: 64, isQuick: true },
  { id: 'kept-512', what: '5 bytes, 512 kept connections', connections: 512 },
  { id: 'new-1', what: '5 bytes, new connections, one at a time', connections: 1, fresh: true },
  {
    id: 'new-64',
    what: '5 bytes, new connections, 64 at a time',
    connections: 64,
    fresh: true,
    isQuick: true,
  },
  {
    id: 'new-512',
    what: '5 bytes, new connections, 512 at a time',
    connections: 512,
    fresh: true,
  },
  { id: '10k', what: '10 kB, 64 kept connections', path: '/10k', connections: 64 },
  { id: '1m', what: '1 MB, 64 kept connections', path: '/1m', connections: 64, isQuick: true },
  { id: 'post', what: 'POST of 10 kB, 64 kept connections', post: true, connections: 64 },
]

const casesOf = ({ size }: Scale): readonly Case[] =>
  cases.filter(({ isQuick }) => size === 'full' || isQuick)

export const throughput: Dimension = {
  name: 'throughput',
  rounds: { quick: 1, full: 3 },
  rows: (scale) =>
    casesOf(scale).flatMap(({ id, what }): Row[] => [
      { id, what: `requests/s, ${what}`, unit: '/s', better: 'more' },
      { id: `${id}-p99`, what: `p99, ${what}`, unit: 'ms', better: 'less' },
    ]),
  async measure(subject, scale) {
    const { port } = await subject.server()
    const figures: Record<string, number> = {}
    for (const one of casesOf(scale)) {
      const { perSecond, p99 } = await load(port, { ...one, seconds: scale.seconds })
      figures[one.id] = perSecond
      figures[`${one.id}-p99`] = p99
    }
    return figures
  },
}
