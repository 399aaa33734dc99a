// What `workers: auto` makes of a container's limits, in directory trees that look like /sys/fs/cgroup.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { grantedBy, oomKills, resolveWorkers, workerBounds } from '../../src/cgroup.ts'

const made: string[] = []
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true })
})

/** A machine of 16 CPUs whose /proc/self/cgroup and /sys/fs/cgroup hold the given texts. */
const machine = (self: string, files: Record<string, string>) => {
  const directory = mkdtempSync(join(tmpdir(), 'nodicorn-cgroup-'))
  made.push(directory)
  writeFileSync(join(directory, 'self'), self)
  for (const [path, text] of Object.entries(files)) {
    const file = join(directory, 'cgroup', path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `${text}\n`)
  }
  return { self: join(directory, 'self'), root: join(directory, 'cgroup'), cpus: 16 }
}

const MB = 1024 ** 2
const V2 = '0::/app\n'
const V1 = '5:cpu,cpuacct:/app\n4:memory:/app\n'
const HYBRID = '4:memory:/app\n1:cpu:/app\n0::/\n'

const cases: [string, string, Record<string, string>, number][] = [
  ['no cgroup at all', '', {}, 16],
  ['v2 without limits', V2, { 'app/cpu.max': 'max 100000', 'app/memory.max': 'max' }, 16],
  ['v2, two CPUs', V2, { 'app/cpu.max': '200000 100000' }, 2],
  ['v2, half a CPU', V2, { 'app/cpu.max': '50000 100000' }, 1],
  ['v2, two and a half CPUs', V2, { 'app/cpu.max': '250000 100000' }, 3],
  ['v2, memory for three', V2, { 'app/memory.max': String(400 * MB) }, 3],
  ['v2, too little memory for one', V2, { 'app/memory.max': String(64 * MB) }, 1],
  [
    'v2, the parent grants less',
    '0::/slice/app\n',
    { 'slice/app/cpu.max': '800000 100000', 'slice/cpu.max': '300000 100000' },
    3,
  ],
  [
    'v2 in a container, where the path is not visible',
    '0::/host/id\n',
    { 'cpu.max': '400000 100000' },
    4,
  ],
  ['v2 with a path above the root', '0::/../../x\n', { 'cpu.max': '400000 100000' }, 4],
  [
    'v1',
    V1,
    {
      'cpu,cpuacct/app/cpu.cfs_quota_us': '150000',
      'cpu,cpuacct/app/cpu.cfs_period_us': '100000',
      'memory/app/memory.limit_in_bytes': '9223372036854771712',
    },
    2,
  ],
  [
    'v1 without a quota',
    V1,
    { 'cpu/app/cpu.cfs_quota_us': '-1', 'cpu/app/cpu.cfs_period_us': '100000' },
    16,
  ],
  ['v1, memory for five', V1, { 'memory/memory.limit_in_bytes': String(700 * MB) }, 5],
  [
    'v1 beside an empty v2',
    HYBRID,
    {
      'unified/cgroup.procs': '1',
      'cpu/app/cpu.cfs_quota_us': '300000',
      'cpu/app/cpu.cfs_period_us': '100000',
    },
    3,
  ],
  ['v2 beside v1', HYBRID, { 'unified/cpu.max': '700000 100000' }, 7],
]
test.each(cases)('auto: %s', (_, self, files, workers) => {
  expect(resolveWorkers('auto', machine(self, files))).toBe(workers)
})

test('a number stays as it is, whatever the container grants', () => {
  expect(resolveWorkers(9, machine(V2, { 'app/cpu.max': '100000 100000' }))).toBe(9)
})

test('a range goes up to what is granted, if it says so, and never below where it begins', () => {
  const two = machine(V2, { 'app/cpu.max': '200000 100000' })
  expect(workerBounds({ min: 1, max: 'auto' }, two)).toEqual({ min: 1, max: 2 })
  expect(workerBounds({ min: 4, max: 'auto' }, two)).toEqual({ min: 4, max: 4 })
  expect(workerBounds({ min: 2, max: 8 }, two)).toEqual({ min: 2, max: 8 })
  expect(workerBounds('auto', two)).toEqual({ min: 2, max: 2 })
  expect(workerBounds(5, two)).toEqual({ min: 5, max: 5 })
})

test('this machine grants at least some of a CPU and some memory', () => {
  const { cpus, memory } = grantedBy()
  expect(cpus).toBeGreaterThan(0)
  expect(memory).toBeGreaterThan(MB)
})

test.each([
  ['v2', V2, { 'app/memory.events': 'low 0\noom 3\noom_kill 2\noom_group_kill 0' }, 2],
  ['v1', V1, { 'memory/app/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 7' }, 7],
  [
    'a v1 too old to count',
    V1,
    { 'memory/app/memory.oom_control': 'oom_kill_disable 0' },
    undefined,
  ],
  ['no cgroup', '', {}, undefined],
] as [string, string, Record<string, string>, number | undefined][])(
  'OOM kills are counted: %s',
  (_, self, files, kills) => {
    expect(oomKills(machine(self, files))).toBe(kills)
  },
)
