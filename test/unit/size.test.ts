// What Size makes of the machine: how much memory there is, and who has it. The processes are made up; each has a quarter of it.
import { totalmem } from 'node:os'
import { expect, test, vi } from 'vitest'
import { Size } from '../../src/master/size.ts'
import type { WorkerHandle } from '../../src/master/worker-handle.ts'

vi.mock('../../src/cgroup.ts', () => ({ grantedBy: () => ({ memory: Infinity }) }))
vi.mock('../../src/master/memory.ts', () => ({
  ResidentMemory: class {
    latest(pids: readonly number[]): ReadonlyMap<number, number> {
      return new Map(pids.map((pid) => [pid, totalmem() / 4]))
    }
  },
}))

const SCALE = { scaleUpAt: 0.8, scaleUpAfter: 1, scaleDownAfter: 60 }

/** A worker whose loop is always busy. */
const worker = (pid: number, now: number): WorkerHandle =>
  ({ pid, watchdog: { digest: { stale: 0, utilization: 1 }, heardAt: now } }) as never

/** How many workers there should be after three looks at a busy one, and what the log was told. */
function afterThreeLooks(standbys: number): { target: number; told: string[] } {
  const told: string[] = []
  const crew = { ready: [] as WorkerHandle[], standbys: [] as WorkerHandle[] }
  const options = {
    log: { event: (name: string) => void told.push(name) },
    hooks: { run: () => undefined },
    bounds: () => ({ min: 1, max: 4 }),
    sockets: { descriptors: [] },
  }
  const size = new Size(options as never, crew)
  for (const second of [1, 2, 3]) {
    if (size.target > 1) break
    crew.ready = [worker(1, second * 1_000)]
    crew.standbys = Array.from({ length: standbys }, (_, i) => worker(i + 2, second * 1_000))
    size.watch(second * 1_000, SCALE)
  }
  return { target: size.target, told }
}

test('there is one more if the workers leave the memory for it', () => {
  expect(afterThreeLooks(0)).toEqual({ target: 2, told: ['workersChanged'] })
})

test('there is not if standbys have it, and the log is told once', () => {
  expect(afterThreeLooks(2)).toEqual({ target: 1, told: ['noMemoryToScale'] })
})
