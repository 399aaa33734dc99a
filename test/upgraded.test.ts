// What stays open when a worker leaves: WebSockets and event streams. The app is told first (onShutdown), then they are ended,
// with a FIN and never with a reset; and onShutdown itself, whatever the app does there.
import { EventSource } from 'undici'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { keepAliveClient, RawClient } from './helpers/client.ts'
import { startServer, type Server } from './helpers/server.ts'
import type { Teardown } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

interface Talk {
  readonly socket: WebSocket
  readonly received: string[]
  readonly errors: Error[]
  /** What the end was: the close frame's code, 1006 without one. */
  closed: { code: number; at: number } | undefined
}

/** A WebSocket that has had one echo. */
async function talk(t: Teardown, server: Server): Promise<Talk> {
  const url = server.url.replace(/^http/, 'ws')
  const socket = new WebSocket(url, { rejectUnauthorized: false })
  const self: Talk = { socket, received: [], errors: [], closed: undefined }
  socket.on('message', (data: Buffer) => self.received.push(data.toString()))
  socket.on('error', (error) => self.errors.push(error))
  socket.on('close', (code) => (self.closed = { code, at: performance.now() }))
  t.onTestFinished(() => socket.terminate())
  await until('the WebSocket is open', () => socket.readyState === WebSocket.OPEN || self.closed)
  await echo(self, 'hello')
  return self
}

/** The pid that answered. */
async function echo({ socket, received }: Talk, word: string): Promise<number> {
  socket.send(word)
  const found = await until(`the echo of ${word}`, () =>
    received.find((text) => text.endsWith(` ${word}`)),
  )
  return Number(found.split(' ')[0])
}

const start = (t: Teardown, onShutdown: string, ...flags: string[]): Promise<Server> =>
  startServer(t, 'websockets.mjs', ...flags, { env: { ON_SHUTDOWN: onShutdown } })

describe.each(['http', 'https'])('a WebSocket over %s', { concurrent: true }, (scheme) => {
  const env = { SECURE: scheme === 'https' ? '1' : '' }

  test('gets the close frame that the app sends in onShutdown, and its client finds the new worker', async (t) => {
    const options = { env: { ...env, ON_SHUTDOWN: 'goodbye' } }
    const server = await startServer(t, 'websockets.mjs', '--drain-upgraded', '20', options)
    const talks = await Promise.all([talk(t, server), talk(t, server)])
    const [old] = server.pids()
    server.signal('SIGHUP')
    for (const one of talks) {
      const closed = await until('the WebSocket is closed', () => one.closed)
      expect(closed.code).toBe(1012)
      expect(one.errors).toEqual([])
    }
    await server.log(/^Worker exited \(pid: \d+\) after .*: reload$/)
    expect(await echo(await talk(t, server), 'again')).not.toBe(old)
  })

  test('that the app does not close lives for --drain-upgraded, then ends with a FIN although both sides talk', async (t) => {
    const options = { env }
    const flags = ['--drain-upgraded', '3', '--drain-idle', '0.1']
    const server = await startServer(t, 'websockets.mjs', ...flags, options)
    const chatty = await talk(t, server)
    const quiet = await talk(t, server)
    const [old] = server.pids()
    const chat = setInterval(() => chatty.socket.send('x'.repeat(2_000), () => undefined), 1)
    t.onTestFinished(() => clearInterval(chat))
    const signalled = performance.now()
    server.signal('SIGHUP')
    await server.log(/^Worker exiting/)
    expect(await echo(quiet, 'still there')).toBe(old)
    for (const one of [chatty, quiet]) {
      const closed = await until('the WebSocket is closed', () => one.closed)
      expect(closed.code, 'without a close frame').toBe(1006)
      expect(closed.at - signalled).toBeGreaterThan(2_950)
      expect(one.errors).toEqual([])
    }
    await server.log(/^Worker exited \(pid: \d+\) after .*: reload$/)
    expect(await echo(await talk(t, server), 'again')).not.toBe(old)
  })
})

describe('an event stream', { concurrent: true }, () => {
  test('ends so that an EventSource comes back by itself, to the new worker', async (t) => {
    const server = await start(t, '', '--drain-idle', '0.2')
    const source = new EventSource(`${server.url}/events`)
    t.onTestFinished(() => source.close())
    const pids = new Set<string>()
    source.onmessage = ({ data }) => void (/^\d+$/.test(data) && pids.add(data))
    await until('the first event', () => pids.size === 1)
    server.signal('SIGHUP')
    await until('an event of the new worker', () => pids.size === 2)
    await server.log(/^Worker exited \(pid: \d+\) after .*: reload$/)
    expect([...pids]).toEqual(server.allPids().map(String))
  })

  test('has what the app says in onShutdown, then its last chunk and a FIN', async (t) => {
    const server = await start(t, 'goodbye', '--drain-idle', '0.2', '--no-handover')
    const client = await RawClient.connect(server.url)
    client.send('GET /events HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives(/data: \d+/)
    server.signal('SIGHUP')
    await client.closed()
    expect(client.received).toMatch(/event: bye[^]*\r\n0\r\n\r\n$/)
    expect(client.error).toBeUndefined()
    await server.log(/^Worker exited/)
  })

  test('that nobody reads does not hold up a stop', async (t) => {
    const server = await start(t, '', '--drain-idle', '0.2')
    const client = await RawClient.connect(server.url)
    t.onTestFinished(() => client.destroy())
    client.send('GET /events/flood HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.receives(/data: \d+/)
    client.socket.pause()
    server.signal('SIGTERM')
    const exit = await server.exit()
    expect(exit.code).toBe(0)
    expect(exit.ms, 'it was given time to read').toBeGreaterThan(2_000)
    expect(exit.ms, 'but not --graceful-timeout').toBeLessThan(15_000)
  })
})

describe('onShutdown', { concurrent: true }, () => {
  test("is waited for, before the app's own handler of the signal", async (t) => {
    const server = await start(t, 'waits')
    server.signal('SIGTERM')
    const exit = await server.exit()
    expect(exit.code).toBe(0)
    expect(exit.ms).toBeGreaterThan(650)
    expect(server.output).toEqual(['shutdown is over', "the app's handler"])
  })

  test('that throws is a line in the log; the others are called all the same', async (t) => {
    const server = await start(t, 'throws waits goodbye')
    const { closed, ...rest } = await talk(t, server)
    expect(closed).toBeUndefined()
    server.expectLog(/^The hook onShutdown failed/)
    server.signal('SIGTERM')
    await server.log(
      /^The hook onShutdown failed \(pid:\d+\): Error: no time for goodbyes, at .*websockets\.mjs:\d+/,
    )
    expect(await server.exit()).toMatchObject({ code: 0 })
    expect(server.output).toEqual(['shutdown is over'])
    expect(rest.errors).toEqual([])
  })

  test('that never ends is no matter in a quick stop, and is ended at --graceful-timeout otherwise', async (t) => {
    const quick = await start(t, 'hangs')
    quick.signal('SIGINT')
    expect((await quick.exit()).code, 'nothing had to be killed').toBe(0)
    const server = await start(t, 'hangs', '--graceful-timeout', '1')
    server.expectLog(/was sent SIGKILL/)
    server.signal('SIGTERM')
    expect((await server.exit()).code).toBe(1)
  })

  test('in which the app closes its server costs nobody anything', async (t) => {
    const server = await start(t, 'closes')
    const client = keepAliveClient(server.url)
    t.onTestFinished(() => client.destroy())
    const { localPort, text: old } = await client.get('/pid')
    server.signal('SIGHUP')
    await server.log(/^Worker exited \(pid: \d+\) after .*: reload$/)
    const answer = await client.get('/pid')
    expect(answer.localPort).toBe(localPort)
    expect(answer.text).not.toBe(old)
    expect((await server.get('/')).text, 'a new connection').toBe('hello')
  })
})
