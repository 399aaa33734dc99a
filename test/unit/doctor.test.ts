// What `supervisor doctor` says of a machine and its settings: each check, with the facts just this and just that side of it.
import { expect, test } from 'vitest'
import { NODE_ENDS, examine, type DoctorFacts, type Finding } from '../../src/doctor.ts'
import { gatherFacts, openFilesOf } from '../../src/doctor-facts.ts'
import { loadConfig } from '../../src/config.ts'
import type { ServerStatus, WorkerStatus } from '../../src/control-protocol.ts'

const { settings } = await loadConfig({ env: {}, cwd: '/' })
const GB = 1024 ** 3

/** Nothing to say. */
const healthy: DoctorFacts = {
  settings,
  today: new Date('2026-11-23'),
  node: 'v24.11.0',
  nodeEnv: 'production',
  uid: 1000,
  workers: 4,
  granted: { cpus: 4, memory: 8 * GB },
  machineMemory: 16 * GB,
  heap: { limit: GB, isChosen: false },
  openFiles: 65_536,
  somaxconn: 4096,
  stopper: undefined,
  isFirst: false,
  unwritable: [],
  certificate: undefined,
  oomKills: 0,
  live: undefined,
}

const worker = (facts: Partial<WorkerStatus>): WorkerStatus =>
  ({ state: 'ready', rss: 100 * 1024 ** 2, ...facts }) as WorkerStatus

const live = (
  facts: { workers?: WorkerStatus[]; crashes?: number } & Partial<ServerStatus>,
): DoctorFacts['live'] => {
  const { workers = [worker({}), worker({})], crashes = 0, ...status } = facts
  const all = { target: 2, ready: 2, reload: { state: 'none' }, workers, ...status }
  return { status: all as ServerStatus, crashes }
}

const set = (some: Partial<DoctorFacts['settings']>): Partial<DoctorFacts> => ({
  settings: { ...settings, ...some },
})

const docker = {
  name: 'Docker',
  seconds: 10,
  fix: 'docker run --stop-timeout N (compose: stop_grace_period: Ns)',
}

const cases: [what: string, facts: Partial<DoctorFacts>, check: string, expected: string][] = [
  ['a certificate that is over', { certificate: Date.parse('2026-11-22') }, 'certificate', 'wrong'],
  ['one that soon is', { certificate: Date.parse('2026-12-01') }, 'certificate', 'advice'],
  ['one that is good', { certificate: Date.parse('2027-02-01') }, 'certificate', 'fine'],
  ['one that cannot be read', { certificate: Number.NaN }, 'certificate', 'wrong'],
  ['a Node that is not maintained', { node: 'v20.20.2' }, 'node', 'advice'],
  ['a Node that soon is not', { node: 'v22.1.0', today: new Date('2027-01-01') }, 'node', 'advice'],
  ['a Node that nobody knows yet', { node: 'v99.0.0' }, 'node', 'fine'],
  ['no NODE_ENV', { nodeEnv: undefined }, 'mode', 'advice'],
  ['--reload in production', set({ reload: true }), 'development', 'advice'],
  ['root', { uid: 0 }, 'rights', 'advice'],
  ['root whose workers are not', { uid: 0, ...set({ user: 'www-data' }) }, 'rights', 'fine'],
  ['one worker for four CPUs', { workers: 1 }, 'workers', 'advice'],
  ['one worker for one', { workers: 1, granted: { cpus: 1, memory: GB * 8 } }, 'workers', 'fine'],
  [
    'ten workers for four',
    { workers: 10, granted: { cpus: 4, memory: 99 * GB }, machineMemory: 99 * GB },
    'workers',
    'advice',
  ],
  ['more heap than memory, by V8', { granted: { cpus: 4, memory: 4 * GB } }, 'memory', 'advice'],
  ['the same, chosen', { workers: 8, heap: { limit: GB, isChosen: true } }, 'memory', 'wrong'],
  ['the same, recycled before', { workers: 8, ...set({ maxMemory: '80%' }) }, 'memory', 'fine'],
  ['a machine without limits', { granted: { cpus: 4, memory: Infinity } }, 'memory', 'fine'],
  ['processes that were killed', { oomKills: 2 }, 'killed', 'advice'],
  ['few files', { openFiles: 1024 }, 'files', 'advice'],
  ['unlimited files', { openFiles: Infinity }, 'files', 'fine'],
  [
    'fewer than connections',
    { openFiles: 1024, ...set({ workerConnections: 1000 }) },
    'files',
    'wrong',
  ],
  ['enough for them', { openFiles: 1024, ...set({ workerConnections: 500 }) }, 'files', 'fine'],
  ['a short queue of the kernel', { somaxconn: 128 }, 'backlog', 'advice'],
  ['keep-alive as in Node', set({ keepAlive: 5 }), 'keepAlive', 'advice'],
  ['no keep-alive', set({ keepAlive: 0 }), 'keepAlive', 'advice'],
  ['a stop that takes longer than Docker waits', { stopper: docker }, 'stop', 'advice'],
  ['one that does not', { stopper: docker, ...set({ gracefulTimeout: 8 }) }, 'stop', 'fine'],
  ['process 1 of a container', { isFirst: true }, 'init', 'advice'],
  ['no timeout', set({ timeout: 0 }), 'timeout', 'advice'],
  ['no control socket', set({ controlSocket: 'off' }), 'control', 'advice'],
  [
    'a failed reload',
    { live: live({ reload: { state: 'failed', error: 'x' } }) },
    'reload',
    'wrong',
  ],
  ['crashes', { live: live({ crashes: 1 }) }, 'crashes', 'advice'],
  ['none', { live: live({}) }, 'crashes', 'fine'],
  [
    'a blocked worker',
    { live: live({ workers: [worker({ state: 'blocked' })] }) },
    'serving',
    'wrong',
  ],
  ['a worker that boots', { live: live({ ready: 1 }) }, 'serving', 'advice'],
  [
    'memory that is nearly full',
    { live: live({ workers: [worker({ rss: 7.5 * GB })] }) },
    'used',
    'wrong',
  ],
  [
    'a log that cannot be written',
    { unwritable: [{ setting: '--log-file', path: '/x', why: 'EACCES' }] },
    'writing',
    'wrong',
  ],
]

test('a machine and settings without a fault are fine', () => {
  const findings = examine({ ...healthy, live: live({}) })
  expect(findings.filter(({ level }) => level !== 'fine')).toEqual([])
  expect(findings.length).toBeGreaterThan(12)
})

test('the fix for a short stop has the time that it needs', () => {
  const found = examine({ ...healthy, stopper: docker }).find(({ check }) => check === 'stop')
  expect(found!.fix).toMatch(
    /--stop-timeout 35 \(compose: stop_grace_period: 35s\), or --graceful-timeout 8/,
  )
})

test.each(cases)('%s', (_, facts, check, expected) => {
  const found = examine({ ...healthy, ...facts }).find((one) => one.check === check)
  expect(found?.level).toBe(expected)
  if (expected === 'fine') return
  expect(found!.fix, 'there is something to do').toMatch(/\S/)
  expect(found!.why).toMatch(/\S/)
  const others = examine({ ...healthy, ...facts }).filter((one: Finding) => one.level !== 'fine')
  expect(
    others.map((one) => one.check),
    'and nothing else',
  ).toEqual([check])
})

test('what is wrong comes first, what is fine last', () => {
  const facts = { ...healthy, uid: 0, openFiles: 10, ...set({ workerConnections: 100 }) }
  const levels = examine(facts).map(({ level }) => level)
  expect(levels.slice(0, 3)).toEqual(['wrong', 'advice', 'fine'])
})

test('every Node that the tests run on has an end', () => {
  expect(Object.keys(NODE_ENDS)).toContain(String(Number.parseInt(process.versions.node, 10)))
})

test('the limit of open files is read as the kernel writes it', () => {
  const limits = (n: string): string =>
    `Limit                     Soft Limit           Hard Limit           Units     \nMax open files            ${n}                20000                files     \n`
  expect([limits('1024'), limits('unlimited'), ''].map(openFilesOf)).toEqual([
    1024,
    Infinity,
    undefined,
  ])
})

test('the heap is that of the flag, wherever it stands, or else V8 tells', () => {
  const heapFor = (nodeArgs: string[], env: NodeJS.ProcessEnv): DoctorFacts['heap'] =>
    gatherFacts({ settings: { ...settings, nodeArgs }, env, directory: '/' }).heap
  const half = { limit: 512 * 1024 ** 2, isChosen: true }
  expect(heapFor(['--max-old-space-size=512'], {})).toEqual(half)
  expect(heapFor([], { NODE_OPTIONS: '--max_old_space_size 512' })).toEqual(half)
  expect(heapFor([], {}).isChosen).toBe(false)
  expect(heapFor([], {}).limit).toBeGreaterThan(0)
})
