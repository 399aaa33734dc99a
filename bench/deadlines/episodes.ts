// A handler that never settles and an event loop that is blocked: what its client, its neighbours and the log see.

import { Episode } from '../../test/helpers/episode.ts'
import type { LogLine, Server } from '../../test/helpers/server.ts'
import { median, spread } from '../report.ts'
import type { Site } from '../site.ts'
import { at, endOf, ours, type Bench, type End } from './bench.ts'

const PATIENCE_MS = 20_000

export async function never({ node, site, report, rounds }: Bench): Promise<void> {
  await site.part(async (t) => {
    const server = await ours(t, node, 'blocking.js', ['--timeout', '2'])
    const pids = (): string => server.pids().join()
    const before = pids()
    const crowd = new Episode(t, server.url, { keepAlive: 10, newConnection: 10, slow: 180 })
    await crowd.goesOn(1)
    const ends: End[] = []
    for (let n = 0; n < rounds; n++) ends.push(await endOf(server.url, '/never', PATIENCE_MS))
    await crowd.goesOn(1)
    await crowd.stop()
    const times = ends.map(({ ms }) => ms / 1000)
    const requests = crowd.clients.reduce((sum, client) => sum + client.ends.length, 0)
    report.add({
      part: 'never',
      what: `answer to a handler that never settles (${[...new Set(ends.map(({ end }) => end))].join(', ')})`,
      bound: '504 at 2.0 to 2.2 s',
      seen: spread(times, 's', 3),
      isMet: ends.every(({ end, ms }) => end === 504 && ms >= 2_000 && ms <= 2_200),
      data: ends,
    })
    report.add({
      part: 'never',
      what: "the worker's pid",
      bound: 'unchanged',
      seen: `${before} before, ${pids()} after`,
      isMet: before === pids(),
    })
    report.add({
      part: 'never',
      what: 'errors among 200 concurrent neighbours',
      bound: '0',
      seen: `${crowd.failures.length} in ${requests} requests${listed(crowd.failures)}`,
      isMet: crowd.failures.length === 0,
      data: crowd.failures,
    })
  })
}

const listed = (failures: readonly string[]): string =>
  failures.length === 0 ? '' : `: ${failures.slice(0, 8).join('; ')}`

interface Blocked {
  readonly culprit: End
  readonly mortem: LogLine
  readonly failures: readonly string[]
  readonly ends: Tally
  /** From the death of the worker until its successor was ready, ms. */
  readonly recovery: number
  /** How long other workers took to boot under the same load, ms. */
  readonly boots: readonly number[]
}

/** How often each kind of client saw each end. */
export type Tally = Record<string, Record<string, number>>

export const CROWD = { keepAlive: 16, newConnection: 8, slow: 8 } as const
const CASES = [
  { what: 'JavaScript, for (;;)', path: '/while', bound: 2.5 },
  { what: 'native code, pbkdf2Sync', path: '/pbkdf2', bound: 3.5 },
] as const

export async function blocked({ node, site, report, rounds }: Bench): Promise<void> {
  for (const { what, path, bound } of CASES) {
    const seen: Blocked[] = []
    for (let n = 0; n < rounds; n++) seen.push(await site.part((t) => blockOnce(t, node, path)))
    const row = { part: 'blocked', data: seen }
    const culprits = seen.map(({ culprit }) => culprit)
    report.add({
      ...row,
      what: `${what}: answer to the culprit (${[...new Set(culprits.map(({ end }) => end))].join(', ')})`,
      bound: `504 by ${bound} s`,
      seen: spread(
        culprits.map(({ ms }) => ms / 1000),
        's',
      ),
      isMet: culprits.every(({ end, ms }) => end === 504 && ms <= bound * 1000),
    })
    const bad = seen.flatMap(({ failures }) => failures.filter((one) => !isOfBlockedWorker(one)))
    const twice = seen.some(({ failures }) => new Set(failures).size < failures.length)
    report.add({
      ...row,
      what: `${what}: ends of ${CROWD.keepAlive} keep-alive, ${CROWD.newConnection} new-connection and ${CROWD.slow} slow clients, ${seen.length} episodes`,
      bound: 'no reset, no hang; 503 once, for those on the blocked worker',
      seen: `${say(merge(seen.map(({ ends }) => ends)))}${listed(bad)}${twice ? '; some twice' : ''}`,
      isMet: bad.length === 0 && !twice,
    })
    const recoveries = seen.map(({ recovery }) => recovery / 1000)
    const boots = seen.flatMap((one) => one.boots).map((ms) => ms / 1000)
    report.add({
      ...row,
      what: `${what}: full capacity back after the worker's death`,
      bound: 'one boot time under the same load',
      seen: `${spread(recoveries, 's')}; a boot takes ${spread(boots, 's')}`,
      isMet: median(recoveries) <= Math.max(...boots),
    })
  }
}

/** A slow request that began before the block is late as well. */
const isOfBlockedWorker = (failure: string): boolean => /: 503$|^slow \d+: 504$/.test(failure)

async function blockOnce(t: Site, node: string, path: string): Promise<Blocked> {
  const server = await ours(t, node, 'blocking.js', ['--workers', '2', '--timeout', '2'])
  const crowd = new Episode(t, server.url, CROWD)
  await crowd.goesOn(2)
  const boots = await bootsUnderLoad(server)
  await crowd.goesOn(2)
  const from = server.lines.length
  const culprit = await endOf(server.url, path, PATIENCE_MS)
  const mortem = await server.log(/^WORKER TIMEOUT/)
  const ready = await server.log(/^Worker ready/, { from })
  await crowd.goesOn(3)
  await crowd.stop()
  return {
    culprit,
    mortem,
    failures: crowd.failures,
    ends: tally(crowd),
    recovery: at(ready) - at(mortem),
    boots,
  }
}

/** A reload boots both workers anew. */
async function bootsUnderLoad(server: Server): Promise<number[]> {
  const from = server.lines.length
  server.signal('SIGHUP')
  await server.log(/^Reload finished/, { from })
  return server.lines
    .slice(from)
    .filter(({ event }) => event === 'workerReady')
    .map((line) => (line['seconds'] as number) * 1000)
}

export function tally({ clients }: Episode): Tally {
  const all: Tally = {}
  for (const { name, ends } of clients)
    for (const end of ends) {
      const kind = (all[name.replace(/ \d+$/, '')] ??= {})
      kind[end] = (kind[end] ?? 0) + 1
    }
  return all
}

function merge(tallies: readonly Tally[]): Tally {
  const all: Tally = {}
  for (const one of tallies)
    for (const [kind, ends] of Object.entries(one))
      for (const [end, times] of Object.entries(ends)) {
        const sums = (all[kind] ??= {})
        sums[end] = (sums[end] ?? 0) + times
      }
  return all
}

/** `keep-alive 5021 x 200, 8 x 503; slow ...` */
export const say = (all: Tally): string =>
  Object.entries(all)
    .map(
      ([kind, ends]) =>
        `${kind} ${Object.entries(ends)
          .map(([end, times]) => `${times} x ${end}`)
          .join(', ')}`,
    )
    .join('; ')
