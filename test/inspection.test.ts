// What a worker can be asked whatever it is at: its stack, a CPU profile, a heap snapshot. Asked by a program that uses the
// library, of real workers that idle, run, and stand still in JavaScript and in native code.
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { StackAnswer } from '../src/inspection.ts'
import { RawClient } from './helpers/client.ts'
import { startInspectable, type Inspectable } from './helpers/inspect.ts'
import { fixtures, type Server } from './helpers/server.ts'
import { tempDir } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

/** `blocking.js:12`: where a fixture says `name stands here`. */
function standsAt(file: string, name: string): string {
  const lines = readFileSync(join(fixtures, file), 'utf8').split('\n')
  return `${file}:${lines.findIndex((line) => line.endsWith(`// ${name} stands here`)) + 1}`
}

/** Sends a request that is not answered before the test ends. */
function send(server: Server, path: string): void {
  server.get(path).catch(() => undefined) // ECONNRESET: its worker is ended with the test
}

/** Sends a request and waits until its handler stands still. */
async function block(server: Server, path: string): Promise<void> {
  send(server, path)
  await server.prints(/^blocking/)
}

/** Its only worker is stuck for good, and would hold up the end of the test. */
async function endStuck({ server }: Inspectable): Promise<void> {
  server.expectLog(/was ended by SIGKILL/)
  const [pid] = server.pids()
  process.kill(pid!, 'SIGKILL')
  await server.log(/was ended by SIGKILL/)
}

/** Its stack, if it is idle at this moment. */
async function whenIdle(ask: Inspectable['ask']): Promise<StackAnswer | undefined> {
  const answer = await ask({ type: 'stack' })
  return answer.state === 'idle' ? answer : undefined
}

interface CpuProfile {
  readonly nodes: readonly { id: number; callFrame: { functionName: string; url: string } }[]
  readonly samples: readonly number[]
}

/** The function that has the most samples. */
function hottest(file: string): string {
  const { nodes, samples } = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile
  const hits = new Map<string, number>()
  const names = new Map(nodes.map(({ id, callFrame }) => [id, callFrame.functionName]))
  for (const id of samples) hits.set(names.get(id)!, (hits.get(names.get(id)!) ?? 0) + 1)
  return [...hits].sort(([, a], [, b]) => b - a)[0]![0]
}

describe('the stack', () => {
  test('of an idle worker is empty, whatever its handlers wait for', async (t) => {
    const { server, ask } = await startInspectable(t, 'hello.js')
    const idle = await until('it has done what a start brings', () => whenIdle(ask))
    expect(idle).toEqual({ state: 'idle', still: 0, stack: [], oldest: [] })
    const client = await RawClient.connect(server.url)
    t.onTestFinished(() => client.destroy())
    client.send('GET /never?one HTTP/1.1\r\nHost: a\r\n\r\n')
    const waiting = await until('the request is there', async () => {
      const answer = await whenIdle(ask)
      return answer?.oldest.length === 1 ? answer : undefined
    })
    expect(waiting).toMatchObject({ stack: [], oldest: [{ method: 'GET', url: '/never?one' }] })
    expect(waiting.request).toBeUndefined()
  })

  test.for([
    ['an endless loop', '/while', 'spinForever'],
    ['an endless loop after an await', '/after-await', 'spinForever'],
    ['an endless loop of promises', '/microtasks', 'starveTimers'],
  ] as const)('of %s has its line and its request', async ([, path, name], t) => {
    const inspectable = await startInspectable(t, 'blocking.js')
    const { server, ask } = inspectable
    await block(server, `${path}?secret=1`)
    const answer = await ask({ type: 'stack' })
    expect(answer.state).toBe('running')
    // an async function that is just being resumed stands, for V8, at its first line
    const line = path === '/microtasks' ? 'blocking\\.js:(26|28)' : standsAt('blocking.js', name)
    expect(answer.stack.join('\n')).toMatch(new RegExp(`at .*${name} .*/${line}:`))
    expect(answer.request).toMatchObject({ method: 'GET', url: `${path}?secret=1` })
    expect(answer.request?.id).toMatch(/^[\w-]{36}$/)
    const later = await until('the loop stands still', async () => {
      const again = await ask({ type: 'stack' })
      return again.still > 1 ? again : undefined
    })
    expect(later.request?.id).toBe(answer.request?.id)
    await endStuck(inspectable)
  })

  test('of native code is not to be had, and the answer says so', async (t) => {
    const inspectable = await startInspectable(t, 'blocking.js')
    const { server, ask } = inspectable
    const file = join(tempDir(t), 'app.heapsnapshot')
    send(server, '/pbkdf2')
    const answer = await until('it is in native code', async () => {
      const now = await ask({ type: 'stack' })
      return now.state === 'native' ? now : undefined
    })
    expect(answer).toMatchObject({ stack: [], oldest: [{ method: 'GET', url: '/pbkdf2' }] })
    const [pid] = server.pids()
    for (const question of [
      { type: 'heap', file },
      { type: 'profile', seconds: 1, file },
    ]) {
      const what = question.type === 'heap' ? 'heap snapshot' : 'CPU profile'
      expect(await inspectable.refusal(question)).toEqual({
        code: 'NO_INSPECTION',
        message: `no ${what} of worker ${pid}: its main thread is in native code, or gets no processor, and does not answer`,
      })
      expect(existsSync(file)).toBe(false)
    }
    await endStuck(inspectable)
  })

  test('of a TypeScript app has the lines of the source', async (t) => {
    const inspectable = await startInspectable(t, 'blocking.ts')
    send(inspectable.server, '/while')
    const answer = await until('it runs', async () => {
      const now = await inspectable.ask({ type: 'stack' })
      return now.state === 'running' ? now : undefined
    })
    expect(answer.stack.join('\n')).toMatch(standsAt('blocking.ts', 'spinForever'))
    await endStuck(inspectable)
  })

  test('is answered next to what stops the code of a request that blocks', async (t) => {
    const settings = { blocked: 'interrupt', routes: { '/while': { timeout: 3 } } }
    const { server, ask } = await startInspectable(t, 'blocking.js', settings)
    server.expectLog(/^WORKER TIMEOUT .*; interrupted, /)
    const [pid] = server.pids()
    const blocked = server.get('/while')
    await server.prints(/^blocking/)
    expect((await ask({ type: 'stack' }, pid)).state).toBe('running')
    const interrupted = until('it is interrupted', async () => {
      // refused while that is at work, and when its worker is gone
      await ask({ type: 'stack' }, pid).catch(() => undefined)
      return server.lines.some(({ event }) => event === 'workerInterrupted')
    })
    expect((await blocked).status).toBe(504)
    await interrupted
    expect((await server.get('/')).text).toBe('hello')
  })
})

describe('a CPU profile', () => {
  test('names the function that a stuck worker is in, and nobody else may read it', async (t) => {
    const inspectable = await startInspectable(t, 'blocking.js')
    const { server, ask, refusal } = inspectable
    const file = join(tempDir(t), 'app.cpuprofile')
    await block(server, '/while')
    const answer = ask({ type: 'profile', seconds: 2, file })
    await until('it has begun', () => existsSync(file))
    expect((await refusal({ type: 'stack' })).message).toMatch(/: it is being looked into already$/)
    const { samples, ...rest } = await answer
    expect(samples).toBeGreaterThan(10)
    expect(rest).toEqual({ file, bytes: statSync(file).size })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(hottest(file)).toBe('spinForever')
    await server.log(/^The CPU profile of worker \(pid:\d+\) is in .*app\.cpuprofile$/)
    expect((await ask({ type: 'stack' })).state, 'it is free again').toBe('running')
    await endStuck(inspectable)
  })

  test('of a worker that dies meanwhile is an error, and leaves no file', async (t) => {
    const inspectable = await startInspectable(t, 'hello.js')
    const [pid] = inspectable.server.pids()
    const file = join(tempDir(t), 'app.cpuprofile')
    const refused = inspectable.refusal({ type: 'profile', seconds: 100, file })
    await until('it has begun', () => existsSync(file))
    await endStuck(inspectable)
    expect(await refused).toEqual({
      code: 'NO_INSPECTION',
      message: `no CPU profile of worker ${pid}: it ended before it answered`,
    })
    expect(existsSync(file)).toBe(false)
  })
})

test('a heap snapshot is whole, and its worker serves on, although a request is late when it is done', async (t) => {
  const { server, ask } = await startInspectable(t, 'large-heap.js', { timeout: 0.6 })
  server.expectLog(/^REQUEST TIMEOUT/)
  const [pid] = server.pids()
  const file = join(tempDir(t), 'app.heapsnapshot')
  const late = server.get('/never')
  const { bytes, seconds } = await ask({ type: 'heap', file })
  expect(seconds).toBeGreaterThan(0)
  expect(statSync(file)).toMatchObject({ size: bytes, mode: 0o100600 })
  const { snapshot, nodes, strings } = JSON.parse(readFileSync(file, 'utf8')) as {
    snapshot: { node_count: number; meta: { node_fields: string[] } }
    nodes: number[]
    strings: string[]
  }
  expect(nodes).toHaveLength(snapshot.node_count * snapshot.meta.node_fields.length)
  expect(strings).toContain('ballast')
  expect((await late).status).toBe(504)
  expect((await server.get('/pid')).text).toBe(String(pid))
  const line = await server.log(
    /^The heap snapshot of worker .* which stood still for \d.* s, is in /,
  )
  expect(line).toMatchObject({ worker: pid, file, bytes })
  expect(server.allPids()).toEqual([pid])
})

test('bad questions are refused in a sentence, and hurt neither file nor worker', async (t) => {
  const { server, refusal, ask } = await startInspectable(t, 'hello.js')
  const [pid] = server.pids()
  const dir = tempDir(t)
  const [there, missing] = [join(dir, 'there'), join(dir, 'missing', 'app.cpuprofile')]
  writeFileSync(there, 'precious')
  const cases = [
    [{ type: 'heap', file: there }, 'NO_INSPECTION', `${there} exists already`],
    [{ type: 'profile', seconds: 1, file: missing }, 'NO_INSPECTION', 'ENOENT: no such file'],
    [{ type: 'heap', file: 'app.heapsnapshot' }, 'BAD_COMMAND', 'is not the absolute path'],
    [{ type: 'profile', seconds: 0, file: join(dir, 'a') }, 'BAD_COMMAND', 'takes 0.1 to 300'],
    [{ type: 'profile', file: join(dir, 'a') }, 'BAD_COMMAND', 'takes 0.1 to 300 seconds'],
    [{ type: 'secrets' }, 'BAD_COMMAND', 'not "secrets"'],
  ] as const
  for (const [question, code, text] of cases) {
    const refused = await refusal(question)
    expect(refused.code).toBe(code)
    expect(refused.message).toContain(text)
  }
  expect(await refusal({ type: 'stack' }, 1)).toEqual({
    code: 'BAD_COMMAND',
    message: '1 is not the pid of a worker',
  })
  expect(readFileSync(there, 'utf8')).toBe('precious')
  await until('it is free', () => whenIdle(ask))
  expect((await server.get('/pid')).text).toBe(String(pid))
})
