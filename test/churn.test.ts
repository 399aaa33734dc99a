// Precision and cleanliness in numbers: a thousand deadlines, and 200,000 requests of every kind that leave nothing behind.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { RawClient, request } from './helpers/client.ts'
import { digestSays, expectUnharmed, wantTimeouts } from './helpers/deadlines.ts'
import { openFiles } from './helpers/process.ts'
import { startServer, type Server } from './helpers/server.ts'
import { tempDir } from './helpers/temp.ts'
import { until } from './helpers/until.ts'

test('of 1,000 deadlines none comes early, and they come in time', async (t) => {
  const timeouts = [0.5, 0.8, 1.1, 1.4, 1.7]
  const routes = Object.fromEntries(timeouts.map((timeout, n) => [`/w/${n}`, { timeout }]))
  const log = join(tempDir(t), 'access.log')
  const server = await startServer(t, 'late.mjs', '--access-log', log, { config: { routes } })
  wantTimeouts(server)
  const answers = await Promise.all(
    Array.from({ length: 1_000 }, (_, n) => server.get(`/w/${n % 5}?ms=60000`)),
  )
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([504]))
  server.signal('SIGTERM')
  await server.exit() // which writes the rest of the access log
  // Measured where the deadlines are kept: what this process is late by is not the server's.
  const late = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { url: string; seconds: number })
    .map(({ url, seconds }) => seconds - timeouts[Number(url[3])]!)
    .sort((a, b) => a - b)
  expect(late).toHaveLength(1_000)
  expect(late[0], 'never early').toBeGreaterThanOrEqual(0)
  // 0.1 on a quiet machine.
  expect(late[990], 'p99').toBeLessThan(0.5)
}, 60_000)

const repeat = async (times: number, act: () => Promise<unknown>): Promise<void> => {
  for (let n = 0; n < times; n++) await act()
}
const together = (clients: number, act: () => Promise<unknown>): Promise<unknown> =>
  Promise.all(Array.from({ length: clients }, act))

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const never = GET.replace('/', '/never')

/** `batches` of 500 requests, each batch in one piece. */
async function pipeline(server: Server, batches: number): Promise<void> {
  const client = await RawClient.connect(server.url)
  await repeat(batches, async () => {
    client.received = ''
    client.send(GET.repeat(500))
    await until('500 answers', () => client.received.split('\r\n\r\nhello').length > 500)
  })
  client.destroy()
}

/** Requests that are left alone: whole ones, half ones, pipelined ones. */
async function abandon(server: Server, bytes: string): Promise<void> {
  const client = await RawClient.connect(server.url)
  client.send(bytes)
  await request(server.url, '/')
  client.destroy()
}

async function upgrade(server: Server): Promise<void> {
  const client = await RawClient.connect(server.url)
  client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
  await client.receives(/101 Switching/)
  client.send('echo')
  await client.receives(/echo$/)
  client.destroy()
}

async function expectContinue(server: Server): Promise<void> {
  const client = await RawClient.connect(server.url)
  client.send('POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n')
  client.send('Expect: 100-continue\r\nConnection: close\r\n\r\n')
  await client.receives(/^HTTP\/1\.1 100 Continue/)
  client.send('body')
  await client.receives(/received 4/)
  client.destroy()
}

test('200,000 requests of every kind end with every place free', async (t) => {
  const server = await startServer(t, 'late.mjs', '--log-level', 'debug', '--timeout', '60')
  const pid = server.pids()[0]!
  await digestSays(server, { inFlight: 0, connections: 0 })
  const filesBefore = process.platform === 'linux' ? openFiles(pid) : 0
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
  const kept = (method: string, path: string, body?: string) => () =>
    request(server.url, path, { method, agent, ...(body && { body }) })
  await Promise.all([
    together(4, () => pipeline(server, 97)), // 194,000
    together(8, () => repeat(250, kept('GET', '/'))),
    together(4, () => repeat(250, kept('HEAD', '/'))),
    together(4, () => repeat(250, kept('POST', '/early', 'x'.repeat(100_000)))),
    together(4, () => repeat(100, () => abandon(server, never))),
    together(4, () => repeat(100, () => abandon(server, never + never + GET + never))),
    together(2, () => repeat(50, () => abandon(server, 'POST /upload HTTP/1.1\r\nHost: a\r\n'))),
    together(2, () => repeat(50, () => abandon(server, GET + 'GET /ne'))),
    together(4, () => repeat(50, () => upgrade(server))),
    together(4, () => repeat(50, () => expectContinue(server))),
  ])
  agent.destroy()
  await digestSays(server, { inFlight: 0, connections: 0, orphans: 0, timeouts: 0, untracked: 0 })
  if (process.platform === 'linux') expect(openFiles(pid)).toBeLessThanOrEqual(filesBefore)
  await expectUnharmed(server)
  server.signal('SIGTERM')
  const exit = await server.exit()
  expect([exit.code, exit.ms < 5_000]).toEqual([0, true])
}, 180_000)
