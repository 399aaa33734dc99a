// What a server's workers did, told by its log, and ways to reach one of them on purpose.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { keepAliveClient, type Answer, type RequestOptions } from './client.ts'
import type { LogLine, Server } from './server.ts'
import type { Teardown } from './temp.ts'
import { until } from './until.ts'

export interface WorkerClient {
  /** The worker that its connection leads to. */
  readonly pid: number
  get(path: string, options?: RequestOptions): Promise<Answer>
  destroy(): void
}

/** A kept-alive connection to each of the server's `count` workers, which stay there with `--no-rebalance`. */
export async function clientOfEach(
  t: Teardown,
  server: Server,
  count: number,
): Promise<WorkerClient[]> {
  const found = new Map<number, WorkerClient>()
  t.onTestFinished(() => found.forEach((client) => client.destroy()))
  await until(`a connection to each of ${count} workers`, async () => {
    const batch = await Promise.all(Array.from({ length: 8 }, () => connect(server)))
    for (const client of batch)
      if (found.has(client.pid)) client.destroy()
      else found.set(client.pid, client)
    return found.size >= count
  })
  return [...found.values()]
}

async function connect(server: Server): Promise<WorkerClient> {
  const client = keepAliveClient(server.url)
  return { ...client, pid: Number((await client.get('/pid')).text) }
}

/** Of the fixture grandchild.js: the pids of so many workers' children. */
export async function grandchildrenOf(server: Server, count: number): Promise<number[]> {
  const found = new Set<number>()
  await until(`${count} grandchildren are known`, async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => server.get('/grandchild')))
    for (const { text } of answers) found.add(Number(text))
    return found.size >= count
  })
  return [...found]
}

/** Slots of the workers that were started, in this order. */
export const slotsBooted = (server: Server): number[] =>
  server.lines.filter(({ event }) => event === 'booting').map(({ slot }) => slot as number)

/** From the first "Server is ready" to the stop: the fewest workers that were ready, and the most that were alive. */
export function extremes(lines: readonly LogLine[]): { fewestReady: number; mostAlive: number } {
  const alive = new Set<unknown>()
  const ready = new Set<unknown>()
  let [fewestReady, mostAlive] = [Infinity, 0]
  let isUp = false
  for (const { event, worker } of lines) {
    if (event === 'stopping') break
    if (event === 'booting') alive.add(worker)
    if (event === 'workerReady') ready.add(worker)
    if (event === 'workerExiting') ready.delete(worker)
    if (event === 'workerExited' || event === 'workerCrashed') alive.delete(worker)
    isUp ||= event === 'serverReady'
    if (!isUp) continue
    fewestReady = Math.min(fewestReady, ready.size)
    mostAlive = Math.max(mostAlive, alive.size)
  }
  return { fewestReady, mostAlive }
}

/** Connections the process holds although the other end closed them; Linux only, elsewhere 0. */
export function closeWaits(pid: number): number {
  if (process.platform !== 'linux') return 0
  const ours = socketsOf(pid)
  return ['tcp', 'tcp6']
    .flatMap((table) => readFileSync(`/proc/net/${table}`, 'utf8').trim().split('\n').slice(1))
    .map((row) => row.trim().split(/\s+/))
    .filter((row) => row[3] === '08' && ours.has(row[9] ?? '')).length
}

const socketsOf = (pid: number): Set<string> =>
  new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
      } catch (error) {
        // ENOENT: closed since the directory was read.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
        throw error
      }
    }),
  )

/** Resident memory in bytes; Linux only. */
export function memoryOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}
