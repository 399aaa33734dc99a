// What StatsD is told each second, under Gunicorn's names where it has one: what has been added since the last time, and how
// things stand. Pure. Runs in the master.

import { BUCKETS, CLASSES } from '../statistics.ts'
import { restartsIn } from './ledger.ts'
import type { MetricsPicture } from './metrics.ts'

/** Everything that only grows, as it was at some moment. */
export interface Totals {
  readonly counters: ReadonlyMap<string, number>
  /** Requests by bucket of their duration. */
  readonly durations: readonly number[]
}

export interface LineStyle {
  /** Before every name, with a dot between them; '' for none. */
  readonly prefix: string
  /** Of DogStatsD, `env:prod,team:web`; '' for none. */
  readonly tags: string
}

export const NOTHING: Totals = { counters: new Map(), durations: [] }

export function totalsOf({ series, counters, meter }: MetricsPicture): Totals {
  const event = (name: string): number => counters.get(name) ?? 0
  const totals = new Map<string, number>([
    ['requests', sum(series.flatMap(({ buckets }) => buckets))],
    ...CLASSES.map((one): [string, number] => {
      const ofClass = series.filter(({ labels }) => labels.status === one)
      return [`request.status.${one}`, sum(ofClass.flatMap(({ buckets }) => buckets))]
    }),
    ['request.slow', event('requestSlow')],
    ['timeouts', sum(TIMEOUTS.map(event))],
    ['restarts', sum([...restartsIn(counters).values()])],
    ['log.warning', meter.levels.warning],
    ['log.error', meter.levels.error],
    ['log.critical', meter.levels.critical],
  ])
  const durations = Array.from({ length: BUCKETS.length + 1 }, (_, n) =>
    sum(series.map(({ buckets }) => buckets[n] ?? 0)),
  )
  return { counters: totals, durations }
}

/** Lines of the protocol, without line ends. */
export function statsdLines(
  before: Totals,
  now: Totals,
  { status }: Pick<MetricsPicture, 'status'>,
  style: LineStyle,
): string[] {
  const lines = [...now.counters].flatMap(([name, total]) => {
    const added = total - (before.counters.get(name) ?? 0)
    return added > 0 ? [`${name}:${added}|c`] : []
  })
  now.durations.forEach((total, bucket) => {
    const added = total - (before.durations[bucket] ?? 0)
    if (added > 0) lines.push(`request.duration:${middleOf(bucket)}|ms${rate(added)}`)
  })
  // while an old master finishes, a new one tells how things stand
  if (status.state !== 'stopping') lines.push(...gaugesOf(status))
  const head = style.prefix === '' ? '' : `${style.prefix}.`
  const tail = style.tags === '' ? '' : `|#${style.tags}`
  return lines.map((line) => head + line + tail)
}

const gaugesOf = ({ ready, queued, inFlight }: MetricsPicture['status']): string[] =>
  Object.entries({ workers: ready, backlog: queued, in_flight: inFlight }).map(
    ([name, value]) => `${name}:${value}|g`,
  )

/** Datagrams: as many whole lines as fit into `most` bytes, at least one. */
export function packetsOf(lines: readonly string[], most: number): string[] {
  const packets: string[] = []
  for (const line of lines) {
    const last = packets.at(-1)
    const longer = last === undefined ? line : `${last}\n${line}`
    if (last === undefined || Buffer.byteLength(longer) > most) packets.push(line)
    else packets[packets.length - 1] = longer
  }
  return packets
}

const TIMEOUTS = ['requestTimeout', 'workerTimeout', 'workerInterrupted', 'workerSilent']

const sum = (numbers: readonly number[]): number => numbers.reduce((one, other) => one + other, 0)

/** Of a bucket, ms; of the last one its lower bound. */
function middleOf(bucket: number): number {
  const from = BUCKETS[bucket - 1] ?? 0
  const to = BUCKETS[bucket] ?? from
  return Math.round(((from + to) / 2) * 1e6) / 1e3
}

/** One line stands for all of them, as if it were a sample. */
const rate = (count: number): string =>
  count === 1 ? '' : `|@${Number((1 / count).toPrecision(9))}`
