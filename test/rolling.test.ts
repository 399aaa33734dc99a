// What holds at every moment of a reload, whatever else goes on: who is there, from outside; which code answers; how long a
// request may take; how many may ask for it at once.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { keepAliveClient } from './helpers/client.ts'
import { startLoad } from './helpers/load.ts'
import { childrenOf, isAlive, zombieChildrenOf } from './helpers/process.ts'
import { startServer, type Server } from './helpers/server.ts'
import { tempDir, type Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'
import { extremes } from './helpers/workers.ts'

/** Answers its pid and the versions of both of its files: at once, or after as many ms as the path says. */
const APP = `
const { version } = require('./lib.js')
require('node:http').createServer((req, res) => {
  const ms = Number(req.url.slice(1))
  if (ms > 0) console.log('request started')
  setTimeout(() => res.end(process.pid + ' ' + VERSION + ' ' + version), ms)
}).listen(0, '127.0.0.1')
`

/** `deploy` writes the next version of both files. */
function deployable(t: Teardown): { cwd: string; deploy: (version: number) => void } {
  const cwd = tempDir(t)
  const deploy = (version: number): void => {
    writeFileSync(join(cwd, 'lib.js'), `exports.version = ${version}`)
    writeFileSync(join(cwd, 'app.js'), `const VERSION = ${version}\n${APP}`)
  }
  deploy(1)
  return { cwd, deploy }
}

async function reload(server: Server): Promise<void> {
  const from = server.lines.length
  server.signal('SIGHUP')
  await server.log(/^Reload finished after/, { from })
}

/** Clients that ask on and on; `stop` answers all that they were told, as [pid, version of app.js, of lib.js]. */
function asking(server: Server): { told: number[][]; stop: () => Promise<number[][]> } {
  const told: number[][] = []
  let goesOn = true
  const run = async (keepsConnection: boolean): Promise<void> => {
    const client = keepAliveClient(server.url)
    while (goesOn) {
      const { text } = await (keepsConnection ? client.get('/') : server.get('/'))
      told.push(text.split(' ').map(Number))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    client.destroy()
  }
  const running = Promise.all([true, true, true, false, false].map(run))
  const stop = async (): Promise<number[][]> => {
    goesOn = false
    await running
    return told
  }
  return { told, stop }
}

describe('a reload', { concurrent: true }, () => {
  test('never mixes old and new code in a worker, and once it is finished all answers are of the new', async (t) => {
    const { cwd, deploy } = deployable(t)
    const server = await startServer(t, 'app.js', '--workers', '3', { cwd })
    const clients = asking(server)
    const finishedAt: number[] = []
    for (const version of [2, 3]) {
      deploy(version)
      await reload(server)
      finishedAt.push(clients.told.length)
      await until('many more were told', () => clients.told.length > finishedAt.at(-1)! + 50)
    }
    const told = await clients.stop()
    expect(told.filter(([, app, lib]) => app !== lib)).toEqual([])
    const versionsOf = (pid: number): number[] => [
      ...new Set(told.filter(([p]) => p === pid).map(([, version]) => version!)),
    ]
    const inOrderOfBirth = server.allPids().map(versionsOf)
    for (const versions of inOrderOfBirth) expect(versions.length, 'one each').toBeLessThan(2)
    expect(inOrderOfBirth.flat()).toEqual(inOrderOfBirth.flat().sort())
    // those under way when it finished may have begun before
    const later = told.slice(finishedAt[1]! + 25)
    expect(new Set(later.map(([, version]) => version))).toEqual(new Set([3]))
  })

  test('lets a request of ten seconds finish on its old worker, and waits for it', async (t) => {
    const { cwd, deploy } = deployable(t)
    const flags = ['--workers', '2', '--drain-idle', '0.3']
    const server = await startServer(t, 'app.js', ...flags, { cwd })
    const old = server.pids()
    const long = server.get('/10000')
    await server.prints(/^request started/)
    deploy(2)
    server.signal('SIGHUP')
    await until('the new code serves', async () => / 2 2$/.test((await server.get('/')).text))
    const [pid, ...versions] = (await long).text.split(' ').map(Number)
    expect(versions).toEqual([1, 1])
    expect(old).toContain(pid)
    const { msg } = await server.log(/^Reload finished after/)
    expect(Number(/after ([\d.]+) s/.exec(msg)?.[1])).toBeGreaterThan(5)
    await until('the old ones are gone', () => old.filter(isAlive).length === 0)
  })

  test('amid recycling under load has never fewer ready workers than asked for, and one more alive at most', async (t) => {
    const flags = ['--workers', '3', '--max-requests', '80', '--max-requests-jitter', '80']
    const server = await startServer(t, 'hello.js', ...flags)
    const load = startLoad(t, server.url)
    await load.everyoneServed()
    let most = 0
    for (let round = 0; round < 2; round++) {
      const from = server.lines.length
      server.signal('SIGHUP')
      await until('the reload is over', () => {
        most = Math.max(most, childrenOf(server.pid).filter(isAlive).length)
        return server.lines.slice(from).some(({ event }) => event === 'reloaded')
      })
      await load.everyoneServed()
    }
    await server.logTimes(/^Worker exited .*: max-requests$/, 1)
    await load.stop()
    expect(load.failures).toEqual([])
    expect(extremes(server.lines)).toEqual({ fewestReady: 3, mostAlive: 4 })
    expect(most, 'as the system sees it').toBe(4)
  })

  test('that is asked for again and again from two sides ends, leaves no zombie, and the next one works', async (t) => {
    const { cwd, deploy } = deployable(t)
    const flags = ['--workers', '2', '--drain-idle', '0.3']
    const server = await startServer(t, 'app.js', ...flags, { cwd })
    const load = startLoad(t, server.url, { keepAlive: 4, newConnections: 4 })
    const side = async (ms: number): Promise<void> => {
      for (let n = 0; n < 8; n++) {
        server.signal('SIGHUP')
        await new Promise((resolve) => setTimeout(resolve, ms))
      }
    }
    await Promise.all([side(70), side(110)])
    deploy(2)
    server.signal('SIGHUP')
    await until('all of the new code serves', async () => {
      const answers = await Promise.all(Array.from({ length: 6 }, () => server.get('/')))
      return answers.every(({ text }) => / 2 2$/.test(text))
    })
    const last = (): string | undefined =>
      server.lines.findLast(({ event }) => event === 'reloading' || event === 'reloaded')?.event
    await until('no reload is under way', () => last() === 'reloaded')
    await load.stop()
    expect(load.failures).toEqual([])
    expect(server.pids()).toHaveLength(2)
    expect(zombieChildrenOf(server.pid)).toEqual([])
    const count = (name: string): number => server.lines.filter((l) => l.event === name).length
    expect(count('reloaded'), 'of sixteen, and the last one').toBeLessThan(9)
    expect(extremes(server.lines)).toEqual({ fewestReady: 2, mostAlive: 3 })
  })
})
