// In an upgrade, idle connections move from the old master's workers to the new one's; their clients notice nothing. Where
// the new ones can't take them, the old ones are patient with them.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { keepAliveClient, RawClient } from './helpers/client.ts'
import { GET_PID, startCrowd, usedClient } from './helpers/crowd.ts'
import { isAlive, openFiles, signalIfThere } from './helpers/process.ts'
import { startServer, type Server } from './helpers/server.ts'
import { socketPath, tempDir } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

const IDLE = 64
const UPGRADES = 2

/** USR2 to the master in charge; answers with the pids of the new one's workers when the old one is gone. */
async function upgrade(server: Server): Promise<string[]> {
  const from = server.masters().at(-1)!
  const { length } = server.lines
  const old = server.pids()
  process.kill(from, 'SIGUSR2')
  await server.log(/^In charge, in the place of/, { from: length })
  await until('the old master is gone', () => !isAlive(from))
  return server.pids().flatMap((pid) => (old.includes(pid) ? [] : String(pid)))
}

/** Asks over the connection as it is, for the pid of the worker that has it now. */
async function whoHas(client: RawClient): Promise<string> {
  client.received = ''
  client.send(GET_PID)
  return (await client.receives(/^HTTP\/1.1 200[^]*\r\n\r\n(\d+)$/))[1]!
}

test(`${UPGRADES} upgrades cost busy clients and ${IDLE} idle ones of each address no request and no connection`, async (t) => {
  const flags = ['--workers', '2', '--drain-idle', '20', '--bind', `unix:${socketPath(t)}`]
  const server = await startServer(t, 'hello-export.js', ...flags)
  const { urls } = server
  expect(urls.map((url) => url.split(':')[0]).sort()).toEqual(['http', 'unix'])
  const bases = urls.flatMap((url) => Array.from({ length: IDLE }, () => url))
  const idle = await Promise.all(bases.map((base) => usedClient(t, base)))
  const silent = await Promise.all(urls.map((url) => RawClient.connect(url)))
  t.onTestFinished(() => silent.forEach((client) => client.destroy()))
  const crowds = urls.flatMap((url) => [0, 2, 100].map((think) => startCrowd(t, url, 3, think)))
  const holders = (): Promise<string[]> => Promise.all(idle.map(({ client }) => whoHas(client)))
  const files: number[] = []
  for (let n = 0; n < UPGRADES; n++) {
    await Promise.all(crowds.map((crowd) => crowd.served()))
    const workers = await upgrade(server)
    expect((await holders()).filter((pid) => !workers.includes(pid))).toEqual([])
    await until('both have some', async () => new Set(await holders()).size === 2)
    const [master] = server.masters()
    if (existsSync('/proc/self/fd')) files.push(openFiles(master!))
  }
  const workers = server.pids().map(String)
  for (const client of silent) expect(workers).toContain(await whoHas(client))
  for (const crowd of crowds) {
    await crowd.served()
    await crowd.stop()
    expect(crowd.failures).toEqual([])
    expect(crowd.reconnects()).toBe(0)
  }
  const [master] = server.masters()
  const isAsBefore = (): boolean => !files[0] || openFiles(master!) <= files[0]
  await until('no descriptor was left in the master', isAsBefore)
})

describe.concurrent('connections stay with the old workers, which are patient with them,', () => {
  test('if the new settings say --no-handover', async (t) => {
    const cwd = tempDir(t, { 'app.js': 'module.exports = (req, res) => res.end("hello")' })
    const server = await startServer(t, 'app.js', '--drain-idle', '20', { cwd })
    const client = keepAliveClient(server.url)
    t.onTestFinished(() => client.destroy())
    const { localPort } = await client.get('/')
    writeFileSync(join(cwd, 'supervisor.config.json'), '{ "handover": false }')
    server.signal('SIGUSR2')
    await server.log(/^Worker exiting/)
    const last = await client.get('/')
    expect(last).toMatchObject({ text: 'hello', localPort })
    expect(last.headers.connection).toBe('close')
    expect(await server.left()).toMatchObject({ code: 0 })
    expect((await client.get('/')).headers.connection).toBe('keep-alive')
  })

  test('if the new code does not listen where they came in', async (t) => {
    const [kept, dropped] = [socketPath(t), socketPath(t)]
    const cwd = tempDir(t, { 'app.js': 'module.exports = (_, res) => res.end(`${process.pid}`)' })
    const configure = (...paths: string[]): void => {
      const bind = paths.map((path) => `unix:${path}`)
      writeFileSync(join(cwd, 'supervisor.config.json'), JSON.stringify({ bind, drainIdle: 20 }))
    }
    configure(kept, dropped)
    const server = await startServer(t, 'app.js', { cwd, bind: false })
    const mover = await usedClient(t, `unix:${kept}`)
    const stayer = await usedClient(t, `unix:${dropped}`)
    configure(kept)
    server.signal('SIGUSR2')
    await server.log(/^Worker exiting/)
    await until('one has moved', async () => (await whoHas(mover.client)) !== mover.pid)
    expect(await whoHas(stayer.client)).toBe(stayer.pid)
    stayer.client.destroy()
    expect(await server.left()).toMatchObject({ code: 0 })
    expect(await whoHas(mover.client)).toBe(String(server.pids()[0]))
  })

  test('if the new master dies while they are on their way: nobody is cut off', async (t) => {
    const gate = join(tempDir(t), 'gate')
    const app = `
      const { existsSync } = require('node:fs')
      module.exports = (req, res) => {
        const answer = () => res.end(String(process.pid))
        const look = () => (existsSync(${JSON.stringify(gate)}) ? answer() : setTimeout(look, 10))
        if (req.url === '/gated') console.log('waits')
        if (req.url === '/gated') look()
        else answer()
      }`
    const cwd = tempDir(t, { 'app.js': app })
    const server = await startServer(t, 'app.js', '--drain-idle', '20', { cwd })
    const clients = await Promise.all(Array.from({ length: 12 }, () => usedClient(t, server.url)))
    for (const { client } of clients) client.send('GET /gated HTTP/1.1\r\nHost: a\r\n\r\n')
    await until('all wait', () => server.output.filter((line) => line === 'waits').length === 12)
    const [old] = server.pids()
    server.signal('SIGUSR2')
    await server.log(/^Worker exiting/)
    const heir = server.masters().at(-1)!
    const taker = server.pids().at(-1)!
    const before = existsSync('/proc') ? openFiles(heir) : 0
    process.kill(taker, 'SIGSTOP')
    writeFileSync(gate, '')
    for (const { client } of clients) await client.receives(/\r\n\r\n\d+$/)
    if (before) await until('some are on their way', () => openFiles(heir) > before)
    process.kill(heir, 'SIGKILL')
    signalIfThere(-taker, 'SIGKILL')
    for (const { client } of clients) expect(await whoHas(client)).toBe(String(old))
    for (const { client } of clients) client.destroy()
    expect(await server.left()).toMatchObject({ code: 0 })
  })
})
