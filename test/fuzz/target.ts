// What every target of the fuzzing is: servers that were started for it, a property that must hold for all inputs, and what must hold of
// the servers when all was said.
import fc from 'fast-check'
import { isAlive, openFiles } from '../helpers/process.ts'
import type { Server } from '../helpers/server.ts'
import type { Teardown } from '../helpers/temp.ts'
import { until } from '../helpers/until.ts'
import { memoryOf } from '../helpers/workers.ts'

export interface Opened {
  /** Its inputs, whatever they are, and what fails for some of them. */
  readonly property: fc.IAsyncPropertyWithHooks<unknown[]> | fc.IPropertyWithHooks<unknown[]>
  readonly servers: readonly Server[]
  /** Inputs that once broke it. */
  readonly examples?: unknown[][]
  /** When all was said; throws. */
  readonly end?: () => void | Promise<void>
}

export interface Target {
  /** Read as a promise. */
  readonly name: string
  /** `in-process`: it keeps this process busy, so that nothing else can be waited for. */
  readonly kind: 'servers' | 'in-process'
  /** In the suite. */
  readonly runs: number
  open(t: Teardown): Promise<Opened>
}

/** Of a process: V8 takes what it is given before it collects; bytes. */
const MORE_MEMORY = 60e6
const MORE_FILES = 5

/** Notes how the servers are, warm; answers what throws if they have changed for the worse. */
export function watch({ servers, end }: Opened): () => Promise<void> {
  const isLinux = process.platform === 'linux'
  const weigh = (pid: number): { memory: number; files: number } =>
    isLinux ? { memory: memoryOf(pid), files: openFiles(pid) } : { memory: 0, files: 0 }
  const before = servers.map((server) => ({
    server,
    weights: new Map([server.pid, ...server.pids()].map((pid) => [pid, weigh(pid)])),
  }))
  return async () => {
    for (const { server, weights } of before)
      for (const [pid, { memory, files }] of weights) {
        if (!isAlive(pid)) throw new Error(`process ${pid} is gone: ${server.stderr}`)
        await until(`process ${pid} closed its files`, () => weigh(pid).files <= files + MORE_FILES)
        const grown = weigh(pid).memory - memory
        if (grown > MORE_MEMORY) throw new Error(`process ${pid} grew by ${grown} bytes`)
      }
    await end?.()
  }
}
