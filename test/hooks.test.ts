// The hooks of a settings file: who calls which, with what, and that none of them can harm the server.
import { execFile } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { overHttp2, timeoutsOf, wantTimeouts } from './helpers/deadlines.ts'
import { bareEnvironment, cli, fixtures, spawnServer, startServer } from './helpers/server.ts'
import type { LogLine, Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

interface Call {
  readonly hook: string
  /** The pid of the process that made it. */
  readonly by: number
  readonly frozen: boolean
  readonly facts: Record<string, unknown>
}

/** Writes each call to stdout. */
const SAY = `
const tell = (hook, facts) =>
  console.log('hook ' + JSON.stringify({ hook, by: process.pid, frozen: Object.isFrozen(facts), facts }))
const say = (hook) => (facts) => tell(hook, facts)
`

const MASTERS =
  'onStarting onReload whenReady preFork workerAbort childExit nworkersChanged onAlert onExit'
const WORKERS = 'postFork postWorkerInit preRequest postRequest workerInt workerExit'
const ALL = [...MASTERS.split(' '), ...WORKERS.split(' ')]

/** Entries for an object of hooks that say that they were called. */
const saying = (names: readonly string[]): string =>
  names.map((name) => `${name}: say('${name}'),`).join(' ')

/** A settings file with these entries. */
const hooksFile = (t: Teardown, entries: string, name = 'supervisor.config.mjs'): string => {
  const file = join(tempDir(t, { [name]: textOf(entries) }), name)
  return file
}

const textOf = (entries: string): string => `${SAY}\nexport default { ${entries} }\n`

const callsOf = (server: Server, hook?: string): Call[] =>
  server.output
    .filter((line) => line.startsWith('hook '))
    .map((line) => JSON.parse(line.slice(5)) as Call)
    .filter((call) => hook === undefined || call.hook === hook)

/** Waits until so many calls of the hook were made. */
const called = (server: Server, hook: string, times = 1): Promise<Call[]> =>
  until(`${hook} was called ${times} times`, () => {
    const calls = callsOf(server, hook)
    return calls.length >= times ? calls : undefined
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; ${server.output.join('\n')}`)
  })

const failuresOf = (server: Server, hook?: string): LogLine[] =>
  server.lines.filter((l) => l.event === 'hookFailed' && (hook === undefined || l.hook === hook))

describe('the life of a server calls', { concurrent: true }, () => {
  test('each hook where it belongs, in its order, with frozen facts', async (t) => {
    const file = hooksFile(t, `workers: 2, ${saying(ALL)}`)
    const server = await startServer(t, 'hello.js', '-c', file, '--name', 'shop')
    await called(server, 'whenReady')
    await called(server, 'postWorkerInit', 2)
    const pids = server.allPids()
    await server.get('/pid')
    await called(server, 'postRequest')
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })

    const calls = callsOf(server)
    expect(calls.filter(({ frozen }) => !frozen)).toEqual([])
    const masters = calls.filter(({ by }) => by === server.pid).map(({ hook }) => hook)
    expect(masters.slice(0, 5)).toEqual([
      'onStarting',
      'nworkersChanged',
      'preFork',
      'preFork',
      'whenReady',
    ])
    expect(masters.slice(5, 7)).toEqual(['onReload', 'preFork'])
    expect(masters.at(-1)).toBe('onExit')
    expect(masters.filter((hook) => hook === 'childExit')).toHaveLength(4)
    const first = calls.filter(({ by }) => by === pids[0]).map(({ hook }) => hook)
    expect(first.slice(0, 2)).toEqual(['postFork', 'postWorkerInit'])
    expect(first.at(-1)).toBe('workerExit')
    for (const { by, hook } of calls)
      expect([hook, by === server.pid]).toEqual([hook, MASTERS.split(' ').includes(hook)])

    const factsOf = (hook: string): unknown => calls.find((one) => one.hook === hook)?.facts
    const self = { name: 'shop', pid: server.pid }
    expect(factsOf('onStarting')).toMatchObject({ ...self, workers: 2 })
    expect(factsOf('nworkersChanged')).toEqual({ to: 2 })
    expect(factsOf('preFork')).toEqual({ slot: 0, generation: 1 })
    expect(factsOf('whenReady')).toMatchObject({ ...self, urls: server.urls, workers: pids })
    expect(factsOf('onReload')).toEqual({ generation: 2, workers: 2 })
    const inSlot0 = calls.find(({ hook, by }) => hook === 'postFork' && by === pids[0])
    expect(inSlot0?.facts).toEqual({ pid: pids[0], slot: 0 })
    expect(factsOf('childExit')).toMatchObject({
      code: 0,
      signal: null,
      reason: 'reload',
      generation: 1,
    })
    expect(factsOf('onExit')).toEqual({ ...self, exit: 0, killed: 0, upgraded: false })
    expect(factsOf('workerAbort')).toBeUndefined()
  })

  test('postRequest with how each request ended', async (t) => {
    const routes = `routes: { '/nev*': { timeout: 0.3 } }`
    const file = hooksFile(t, `${routes}, ${saying(['preRequest', 'postRequest'])}`)
    const server = await startServer(t, 'hello.js', '-c', file)
    wantTimeouts(server)
    await server.get('/nope?x=1', { headers: { 'x-request-id': 'id-1' } })
    await server.get('/never', { headers: { 'x-request-id': 'id-2' } })
    const left = new AbortController()
    const leaving = server.get('/slow?ms=60000', {
      headers: { 'x-request-id': 'id-3' },
      signal: left.signal,
    })
    await server.prints(/^request started$/)
    left.abort()
    await expect(leaving).rejects.toThrow()
    const ends = (await called(server, 'postRequest', 3)).map(({ facts }) => facts)
    const seconds = expect.any(Number) as number
    expect(ends).toEqual([
      { method: 'GET', url: '/nope?x=1', id: 'id-1', status: 404, seconds, outcome: 'finished' },
      {
        method: 'GET',
        url: '/never',
        id: 'id-2',
        route: '/nev*',
        status: 504,
        seconds,
        outcome: 'timeout',
      },
      {
        method: 'GET',
        url: '/slow?ms=60000',
        id: 'id-3',
        status: 499,
        seconds,
        outcome: 'aborted',
      },
    ])
    expect(ends[1]!.seconds).toBeGreaterThan(0.29)
    expect(callsOf(server, 'preRequest').map(({ facts }) => facts)).toEqual([
      { method: 'GET', url: '/nope?x=1', id: 'id-1' },
      { method: 'GET', url: '/never', id: 'id-2', route: '/nev*' },
      { method: 'GET', url: '/slow?ms=60000', id: 'id-3' },
    ])
  })

  test('nworkersChanged when the number of workers changes', async (t) => {
    const server = await startServer(t, 'hello.js', '-c', hooksFile(t, saying(['nworkersChanged'])))
    server.signal('SIGTTIN')
    await called(server, 'nworkersChanged', 2)
    server.signal('SIGTTOU')
    const calls = await called(server, 'nworkersChanged', 3)
    expect(calls.map(({ facts }) => facts)).toEqual([
      { to: 1 },
      { from: 1, to: 2 },
      { from: 2, to: 1 },
    ])
  })

  test('workerInt when a stop is quick, and workerExit then too', async (t) => {
    const names = ['workerInt', 'workerExit', 'onExit']
    const server = await startServer(t, 'hello.js', '-c', hooksFile(t, saying(names)))
    server.signal('SIGINT')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(callsOf(server).map(({ hook }) => hook)).toEqual(names)
  })

  test('workerExit of a worker that ends by itself, with its status', async (t) => {
    const file = hooksFile(t, saying(['workerExit', 'childExit']))
    const server = await startServer(t, 'hello.js', '-c', file)
    server.expectLog(/exited with code 7/)
    await server.get('/exit?code=7').catch((error: unknown) => expect(error).toBeDefined())
    const [exit] = await called(server, 'workerExit')
    expect(exit!.facts).toMatchObject({ pid: server.allPids()[0], slot: 0, code: 7 })
    const [child] = await called(server, 'childExit')
    expect(child!.facts).toMatchObject({ code: 7, signal: null, reason: 'crash' })
  })

  test('workerAbort and childExit in the master when an event loop is blocked', async (t) => {
    const file = hooksFile(t, saying(['workerAbort', 'childExit', 'workerExit']))
    const server = await startServer(t, 'blocks.js', '-c', file, '--timeout', '0.5')
    server.expectLog(/^WORKER TIMEOUT/)
    expect((await server.get('/forever')).status).toBe(504)
    const [pid] = server.allPids()
    const [abort] = await called(server, 'workerAbort')
    expect(abort).toMatchObject({ by: server.pid, frozen: true })
    expect(abort!.facts).toMatchObject({
      pid,
      slot: 0,
      reason: 'timeout',
      culprit: { method: 'GET', url: '/forever' },
      certain: true,
      neighbours: 0,
    })
    expect(String(abort!.facts.stack)).toMatch(/blocks\.js:\d+/)
    const [child] = await called(server, 'childExit')
    expect(child!.facts).toMatchObject({ pid, code: null, signal: 'SIGKILL', reason: 'timeout' })
    expect(callsOf(server, 'workerExit'), 'a blocked loop can call nothing').toEqual([])
  })

  test('workerAbort for a worker that fell silent', async (t) => {
    const file = hooksFile(t, saying(['workerAbort', 'childExit']))
    const flags = ['--stall-timeout', '0.5', '--log-level', 'debug']
    const server = await startServer(t, 'hello.js', '-c', file, ...flags)
    server.expectLog(/^WORKER TIMEOUT/)
    await server.log(/in flight/) // its watchdog has spoken
    const [pid] = server.allPids()
    process.kill(pid!, 'SIGSTOP')
    const [abort] = await called(server, 'workerAbort')
    expect(abort!.facts).toMatchObject({ pid, reason: 'silent', stack: null, certain: false })
    expect(abort!.facts.seconds).toBeGreaterThan(2)
    const [child] = await called(server, 'childExit')
    expect(child!.facts).toMatchObject({ pid, reason: 'silent' })
  })

  test('onAlert with what the log says', async (t) => {
    const file = hooksFile(t, saying(['onAlert']))
    const flags = ['--timeout', '0.3', '--alert-timeouts', '2 in 60s', '--name', 'shop']
    const server = await startServer(t, 'hello.js', '-c', file, ...flags)
    wantTimeouts(server)
    await Promise.all([server.get('/never'), server.get('/never')])
    const [alert] = await called(server, 'onAlert')
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string
    expect(alert!.facts).toEqual({ event: 'alert', app: 'shop', timeouts: 2, seconds: 60, time })
  })

  test('onExit when the start failed', async (t) => {
    const server = spawnServer(t, 'throw-at-boot.js', '-c', hooksFile(t, saying(['onExit'])))
    server.expectLog(/failed to boot/)
    expect(await server.exit()).toMatchObject({ code: 3 })
    const [stop] = callsOf(server, 'onExit')
    expect(stop!.facts).toMatchObject({ exit: 3, error: expect.stringMatching(/boot/) as string })
  })
})

const typescript = `
import { setTimeout as sleep } from 'node:timers/promises'

interface Note { readonly slot: number }
const note = (hook: string, facts: Note): void =>
  console.log('hook ' + JSON.stringify({ hook, by: process.pid, frozen: Object.isFrozen(facts), facts }))

export default async () => ({
  workers: 1,
  postFork: async (worker: Note): Promise<void> => {
    await sleep(50)
    note('postFork', worker)
  },
  preRequest(request: { url: string }): void {
    if (request.url === '/fail') throw new TypeError('as asked')
  },
})
`

describe('a settings file', { concurrent: true }, () => {
  for (const ending of ['ts', 'mts'])
    test(`in TypeScript (.${ending}), exporting an async function, has hooks as any other`, async (t) => {
      const name = `supervisor.config.${ending}`
      const file = join(tempDir(t, { [name]: typescript }), name)
      const server = await startServer(t, 'hello.js', '-c', file)
      expect(callsOf(server, 'postFork')[0]?.facts).toEqual({ pid: server.allPids()[0], slot: 0 })
      server.expectLog(/^The hook preRequest failed/)
      expect((await server.get('/fail')).status).toBe(404)
      const line = await server.log(/^The hook preRequest failed \(pid:\d+\): TypeError: as asked/)
      expect(line.msg, 'where').toContain(`/${name}`)
      expect(line.msg.length, 'and not the file itself').toBeLessThan(200)
    })

  test('is run by the workers only if it has hooks for them', async (t) => {
    const text = `console.log('run by ' + process.pid)\n${textOf('onStarting() {}, workers: 2')}`
    const file = join(tempDir(t, { 'c.mjs': text }), 'c.mjs')
    const server = await startServer(t, 'hello.js', '-c', file)
    expect(server.output).toEqual([`run by ${server.pid}`])
    writeFileSync(file, text.replace('onStarting', 'preRequest'))
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    const runs = server.allPids().slice(2)
    for (const pid of runs) await server.prints(new RegExp(`^run by ${pid}$`))
  })

  test('gives its new hooks to the master and to new workers at a reload', async (t) => {
    const file = hooksFile(t, saying(['onReload', 'preRequest', 'onExit']))
    const server = await startServer(t, 'hello.js', '-c', file)
    await server.get('/')
    await called(server, 'preRequest')
    const after = { onReload: 'newReload', preRequest: 'newRequest', onExit: 'newExit' }
    const entries = Object.entries(after).map(([hook, name]) => `${hook}: say('${name}')`)
    writeFileSync(file, textOf(entries.join(', ')))
    server.signal('SIGHUP')
    await server.log(/^Reload finished/)
    await server.get('/')
    await called(server, 'newRequest')
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(callsOf(server).map(({ hook }) => hook)).toEqual([
      'preRequest',
      'newReload',
      'newRequest',
      'newExit',
    ])
  })

  test('that a worker cannot run fails a start and a check, and takes a reload back', async (t) => {
    const good = textOf('preRequest() {}')
    const text = `import cluster from 'node:cluster'\nif (cluster.isWorker) throw new Error('not here')\n${good}`
    const file = join(tempDir(t, { 'c.mjs': text }), 'c.mjs')
    const failing = spawnServer(t, 'hello.js', '-c', file)
    failing.expectLog(/not here/)
    expect(await failing.exit()).toMatchObject({ code: 2 })
    await failing.log(/c\.mjs: Error: not here \(line 2\)/)
    expect(failing.stderr, 'said once').toBe('')
    expect(await command('check', 'hello.js', '-c', file)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^supervisor: \S+c\.mjs: Error: not here \(line 2\)\n$/,
      ) as string,
    })

    writeFileSync(file, good)
    expect(await command('check', 'hello.js', '-c', file)).toMatchObject({ code: 0, stderr: '' })
    const server = await startServer(t, 'hello.js', '-c', file)
    server.expectLog(/not here/)
    writeFileSync(file, text)
    server.signal('SIGHUP')
    await server.log(/^Reload failed, the old workers go on: .*not here/)
    expect((await server.get('/pid')).text).toBe(String(server.allPids()[0]))
  })

  test('is shown with its hooks by "supervisor config"', async (t) => {
    const file = hooksFile(t, 'onExit() {}, preRequest() {}')
    const table = await command('config', '-c', file)
    expect(table.stdout).toMatch(/^onExit +hook \(master\) +\S+supervisor\.config\.mjs$/m)
    expect(table.stdout).toMatch(/^preRequest +hook \(worker\) +\S+supervisor\.config\.mjs$/m)
    const json = JSON.parse((await command('config', '--json', '-c', file)).stdout) as {
      hooks: unknown
    }
    expect(json.hooks).toEqual({
      onExit: { runsIn: 'master', source: file },
      preRequest: { runsIn: 'worker', source: file },
    })
  })

  test.for([
    ['preRequest: 5', 'preRequest is 5; it must be a function'],
    ['onExit: null', 'onExit is null; it must be a function'],
    ['preRequst() {}', 'preRequst is not a known hook; did you mean preRequest?'],
    ['pre_request() {}', 'pre_request is not a known hook; did you mean preRequest?'],
    ['on_exit() {}', 'on_exit is not a known hook; did you mean onExit?'],
  ])('with the hook %s is refused', async ([entries, complaint], t) => {
    const file = hooksFile(t, entries!)
    const { code, stderr } = await command('start', 'hello.js', '-c', file)
    expect([code, stderr]).toEqual([2, `supervisor: ${file}: ${complaint}\n`])
  })
})

/** A command that ends by itself. */
const command = (...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    const options = { cwd: fixtures, env: bareEnvironment() }
    execFile(process.execPath, [cli, ...words], options, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    )
  })

describe('the server waits for', { concurrent: true }, () => {
  test('onStarting, and only then starts its workers', async (t) => {
    const slow = `onStarting: async (facts) => { await new Promise((r) => setTimeout(r, 300)); tell('onStarting', facts) }`
    const file = hooksFile(t, `${slow}, ${saying(['preFork'])}`)
    const server = await startServer(t, 'hello.js', '-c', file)
    expect(callsOf(server).map(({ hook }) => hook)).toEqual(['onStarting', 'preFork'])
  })

  test('an onStarting without end only for --boot-timeout', async (t) => {
    const file = hooksFile(t, 'onStarting: () => new Promise(() => undefined)')
    const server = await startServer(t, 'hello.js', '-c', file, '--boot-timeout', '5')
    server.expectLog(/^The hook onStarting failed: it has not ended within 5 s$/)
    await server.log(/^The hook onStarting failed: it has not ended within 5 s$/)
    expect((await server.get('/')).text).toBe('hello')
  })

  test('an onStarting without end no longer when it is told to stop', async (t) => {
    const pidfile = join(tempDir(t), 'pid')
    const file = hooksFile(
      t,
      `onStarting: (facts) => { tell('onStarting', facts); return new Promise(() => undefined) }`,
    )
    const server = spawnServer(t, 'hello.js', '-c', file, '--pidfile', pidfile)
    await called(server, 'onStarting')
    server.signal('SIGHUP') // waits
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(server.allPids(), 'workers').toEqual([])
    expect(existsSync(pidfile)).toBe(false)
  })

  test('postFork, and only then loads the application', async (t) => {
    const file = hooksFile(
      t,
      `postFork: async () => { await new Promise((r) => setTimeout(r, 200)); process.env.FROM_HOOK = 'was first' }`,
    )
    const app = `
      const seen = process.env.FROM_HOOK
      module.exports = (req, res) => res.end(seen)`
    const dir = tempDir(t, { 'app.js': app })
    const server = await startServer(t, join(dir, 'app.js'), '-c', file)
    expect((await server.get('/')).text).toBe('was first')
  })

  test('workerExit and onExit, but not for what they leave open', async (t) => {
    const slow = (hook: string): string =>
      `${hook}: async (facts) => { setInterval(() => undefined, 1000); await new Promise((r) => setTimeout(r, 300)); tell('${hook}', facts) }`
    const server = await startServer(
      t,
      'hello.js',
      '-c',
      hooksFile(t, `${slow('workerExit')}, ${slow('onExit')}`),
    )
    server.signal('SIGTERM')
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(callsOf(server).map(({ hook }) => hook)).toEqual(['workerExit', 'onExit'])
  })

  test('a workerExit without end so little that even a quick stop is clean', async (t) => {
    const file = hooksFile(t, 'workerExit: () => new Promise(() => undefined)')
    const server = await startServer(t, 'hello.js', '-c', file)
    server.expectLog(/^The hook workerExit failed \(pid:\d+\): it has not ended within 1 s$/)
    server.signal('SIGINT')
    expect(await server.exit()).toMatchObject({ code: 0 })
    await server.log(/^The hook workerExit failed/)
  })
})

describe('a hook that fails', { concurrent: true }, () => {
  for (const [how, body] of [
    ['throws', `() => { throw new RangeError('broken') }`],
    ['rejects', `async () => { await null; throw new RangeError('broken') }`],
    ['throws no error', `() => { throw Object.create(null) }`],
  ] as const)
    test(`and ${how} is logged each time and harms nobody, whichever it is`, async (t) => {
      const hooks = [...ALL, 'timeoutAnswer'].map((name) => `${name}: ${body}`).join(', ')
      const file = hooksFile(t, `timeout: 0.5, alertTimeouts: '1 in 60s', ${hooks}`)
      const server = await startServer(t, 'blocks.js', '-c', file)
      server.expectLog(/^The hook \w+ failed/, /^WORKER TIMEOUT/)
      wantTimeouts(server)
      expect((await server.get('/')).text).toBe('hello')
      const late = await server.get('/never')
      expect([late.status, late.text]).toEqual([504, 'Gateway Timeout: no response within 0.5 s\n'])
      expect((await server.get('/forever')).status).toBe(504)
      await server.logTimes(/^Worker ready/, 2)
      server.signal('SIGHUP')
      await server.log(/^Reload finished/)
      expect((await server.get('/')).text).toBe('hello')
      server.signal('SIGINT')
      expect(await server.exit()).toMatchObject({ code: 0 })
      const failed = new Set(failuresOf(server).map(({ hook }) => hook))
      expect([...failed].sort()).toEqual([...ALL, 'timeoutAnswer'].sort())
      expect(failuresOf(server, 'onReload')).toHaveLength(1)
      expect(failuresOf(server, 'preFork')).toHaveLength(3)
      const [starting] = failuresOf(server, 'onStarting')
      if (how !== 'throws no error')
        expect(starting).toMatchObject({
          error: 'RangeError: broken',
          stack: expect.arrayContaining([
            expect.stringMatching(/supervisor\.config\.mjs:\d+:\d+\)?$/) as string,
          ]) as string[],
        })
    })

  test('later than anybody waits, in a timer or a promise of the master, does not end the server', async (t) => {
    const file = hooksFile(
      t,
      `whenReady() {
        setTimeout(() => { throw new Error('in a timer') }, 10)
        void Promise.reject(new Error('in a promise'))
      }`,
    )
    const server = await startServer(t, 'hello.js', '-c', file)
    server.expectLog(/^The hook \(one of the master\) failed: Error: in a (timer|promise)/)
    await server.log(/Error: in a timer, at .*supervisor\.config\.mjs/)
    await server.log(/Error: in a promise, at .*supervisor\.config\.mjs/)
    expect((await server.get('/')).text).toBe('hello')
    expect(server.stderr).toBe('')
  })

  test('at every request does not flood the log, which says how many are left out', async (t) => {
    const file = hooksFile(t, `preRequest() { throw new Error('again') }`)
    const server = await startServer(t, 'hello.js', '-c', file)
    server.expectLog(/^The hook preRequest failed/)
    let asked = 0
    await until('a line says that others were left out', async () => {
      for (const { status } of await Promise.all(Array.from({ length: 50 }, () => server.get('/'))))
        expect(status).toBe(200)
      asked += 50
      return failuresOf(server).some(({ omitted }) => Number(omitted) > 0)
    })
    const said = failuresOf(server)
    const omitted = said.reduce((sum, line) => sum + Number(line.omitted ?? 0), 0)
    expect(said.length + omitted).toBeLessThanOrEqual(asked)
    expect(said.length).toBeLessThan(asked)
    expect(said.at(-1)!.msg).toMatch(/again/)
  })
})

describe('timeoutAnswer', { concurrent: true }, () => {
  const custom = `timeout: 0.4, timeoutAnswer(request) {
    tell('timeoutAnswer', request)
    switch (request.url) {
      case '/never?json':
        return { body: JSON.stringify({ late: request.id }), contentType: 'application/problem+json', headers: { 'Retry-After': '7', 'X-Request-Id': 'other' } }
      case '/never?text': return { body: 'zu spät' }
      case '/never?promise': return Promise.reject(new Error('no'))
      case '/never?length': return { body: 'x', headers: { 'Content-Length': '5' } }
      case '/never?split': return { body: 'x', headers: { a: 'b\\r\\nc: d' } }
      case '/never?number': return { body: 5 }
    }
  }`

  test('is the answer to a late request', async (t) => {
    const server = await startServer(t, 'hello.js', '-c', hooksFile(t, custom))
    wantTimeouts(server)
    const headers = { 'x-request-id': 'id-9', accept: 'application/json' }
    const [json, text, ours] = await Promise.all([
      server.get('/never?json', { headers }),
      server.get('/never?text'),
      server.get('/never'),
    ])
    expect([json.status, json.text]).toEqual([504, '{"late":"id-9"}'])
    expect(json.headers).toMatchObject({
      'content-type': 'application/problem+json',
      'retry-after': '7',
      'x-request-id': 'other',
      connection: 'close',
    })
    expect([text.status, text.text]).toEqual([504, 'zu spät'])
    expect(text.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(ours.text, 'undefined leaves it to us').toMatch(/^Gateway Timeout: no response/)
    const asked = callsOf(server, 'timeoutAnswer').find(({ facts }) => facts.id === 'id-9')
    expect(asked).toMatchObject({ frozen: true, by: server.allPids()[0] })
    expect(asked!.facts).toEqual({
      method: 'GET',
      url: '/never?json',
      id: 'id-9',
      timeout: 0.4,
      accept: 'application/json',
    })
  })

  test('that is no answer is logged, and ours is given', async (t) => {
    const server = await startServer(t, 'hello.js', '-c', hooksFile(t, custom))
    wantTimeouts(server)
    server.expectLog(/^The hook timeoutAnswer failed/)
    const bad = ['promise', 'length', 'split', 'number']
    const answers = await Promise.all(bad.map((how) => server.get(`/never?${how}`)))
    for (const { status, text } of answers)
      expect([status, text]).toEqual([504, 'Gateway Timeout: no response within 0.4 s\n'])
    await server.log(/timeoutAnswer failed .*: it answered a promise, and there is no time/)
    await server.log(/timeoutAnswer failed .*: TypeError: it may not set the header content-length/)
    await server.log(/timeoutAnswer failed .*: TypeError: Invalid character in header content/)
    await server.log(/timeoutAnswer failed .*: TypeError: it answered no text as body/)
    expect((await server.get('/pid')).text).toBe(String(server.allPids()[0]))
    expect(timeoutsOf(server)).toHaveLength(4)
  })

  test('works over HTTP/2', async (t) => {
    const file = hooksFile(
      t,
      `timeout: 0.4, timeoutAnswer: () => ({ body: 'later', headers: { a: 'b' } })`,
    )
    const server = await startServer(t, 'frameworks/h2c-server.js', '-c', file)
    wantTimeouts(server)
    const session = http2.connect(server.url)
    t.onTestFinished(() => session.destroy())
    expect(await overHttp2(session, '/never')).toEqual({ status: 504, text: 'later' })
  })
})

test('what the application starts with the flags of its worker calls no hooks', async (t) => {
  const app = `
    const { fork } = require('node:child_process')
    const { Worker } = require('node:worker_threads')
    if (process.send && process.env.CHILD) process.send('child')
    else module.exports = (req, res) => {
      const thread = new Worker('require("node:worker_threads").parentPort.postMessage("thread")', { eval: true })
      thread.once('message', (one) => {
        const child = fork(__filename, { env: { ...process.env, CHILD: '1' } })
        child.once('message', (other) => res.end(one + ' ' + other))
      })
    }`
  const dir = tempDir(t, { 'app.js': app })
  const file = hooksFile(t, saying(['postFork', 'postWorkerInit']))
  const server = await startServer(t, join(dir, 'app.js'), '-c', file)
  expect((await server.get('/')).text).toBe('thread child')
  await called(server, 'postWorkerInit')
  expect(callsOf(server).map(({ hook }) => hook)).toEqual(['postFork', 'postWorkerInit'])
})
