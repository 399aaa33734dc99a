// What every target of the fuzzing is: servers that were started for it, a property that must hold for all inputs, and what must hold of
// the servers when all was said.
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { filesOf, isAlive, openFiles } from '../helpers/process.ts'
import { cli, type Server } from '../helpers/server.ts'
import { tempDir, type Teardown } from '../helpers/temp.ts'
import { until } from '../helpers/until.ts'
import { memoryOf } from '../helpers/workers.ts'

export interface Opened {
  /** Its inputs, whatever they are, and what fails for some of them. */
  readonly property: fc.IAsyncPropertyWithHooks<unknown[]> | fc.IPropertyWithHooks<unknown[]>
  readonly servers: readonly Server[]
  /** By which their control sockets are found. */
  readonly env?: Readonly<Record<string, string>>
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

/** Resident, of a process, bytes. Much of it is no leak: since Node 24 new objects may take three times 32 MB before V8 collects them. */
const MORE_MEMORY = 130e6
/** Of a worker after a collection, bytes: what code and its statistics take as it gets warm. */
const MORE_HEAP = 2e6
const MORE_FILES = 5

interface Weight {
  readonly memory: number
  readonly files: number
}

const isLinux = process.platform === 'linux'

const weigh = (pid: number): Weight =>
  isLinux ? { memory: memoryOf(pid), files: openFiles(pid) } : { memory: 0, files: 0 }

/** Bytes on the heap of the first worker when all that nobody needs is collected. */
async function heapOf(t: Teardown, server: Server, more: Opened['env']): Promise<number> {
  const cwd = tempDir(t)
  const args = [cli, 'heap', '0', '--pid', String(server.pid)]
  await promisify(execFile)(process.execPath, args, { cwd, env: { ...process.env, ...more } })
  const text = readFileSync(join(cwd, readdirSync(cwd)[0]!), 'utf8')
  const { snapshot, nodes } = JSON.parse(text) as Snapshot
  const { node_fields: fields } = snapshot.meta
  let sum = 0
  for (let at = fields.indexOf('self_size'); at < nodes.length; at += fields.length)
    sum += nodes[at]!
  return sum
}

interface Snapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: readonly string[] } }
  readonly nodes: readonly number[]
}

async function mustBeHeld(pid: number, name: string, { memory, files }: Weight): Promise<void> {
  const isHeld = (): boolean => {
    const now = weigh(pid)
    return now.files <= files + MORE_FILES && now.memory <= memory + MORE_MEMORY
  }
  await until(`${name} is what it was`, isHeld).catch((cause: unknown) => {
    const [was, is] = [{ files, memory }, weigh(pid)].map((one) => JSON.stringify(one))
    throw new Error(`${name} was ${was}, is ${is}: ${filesOf(pid)}`, { cause })
  })
}

/** Notes how the servers are, warm; answers what throws if they have changed for the worse. */
export async function watch(
  t: Teardown,
  { servers, env, end }: Opened,
): Promise<() => Promise<void>> {
  const before = await Promise.all(
    servers.map(async (server) => ({
      server,
      heap: await heapOf(t, server, env),
      weights: new Map([server.pid, ...server.pids()].map((pid) => [pid, weigh(pid)])),
    })),
  )
  return async () => {
    for (const { server, heap, weights } of before) {
      for (const [pid, weight] of weights) {
        if (!isAlive(pid)) throw new Error(`process ${pid} is gone: ${server.stderr}`)
        const name = pid === server.pid ? 'the master' : `worker ${pid}`
        await mustBeHeld(pid, name, weight)
      }
      const grown = (await heapOf(t, server, env)) - heap
      if (grown > MORE_HEAP) throw new Error(`the heap of the worker grew by ${grown} bytes`)
    }
    await end?.()
  }
}
