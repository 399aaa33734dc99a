// How many connections wait to be accepted, read from tables as the kernel writes them, and from the kernel itself.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { expect, test } from 'vitest'
import { queuedConnections, queuedIn } from '../../src/master/accept-queue.ts'
import { until } from '../helpers/until.ts'

const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:0000000C 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 00000000:07E8 00000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 17 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F40 0100007F:B230 01 00000000:00000063 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
`

test.each([
  ['the socket asked for', ['4711'], 12],
  ['all of several', ['4711', '17'], 13],
  ['none of somebody else', ['1'], 0],
  ['not the bytes that a connection has yet to read', ['4712'], 0],
] as [string, string[], number][])('counts %s', (_, inodes, queued) => {
  expect(queuedIn(TABLE, new Set(inodes))).toBe(queued)
})

/** Listens on descriptor 3 and then stands still. */
const NEVER_ACCEPTS = `require('node:net').createServer().listen({ fd: 3 }, () => {
  require('node:fs').writeSync(1, 'listening')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})`

test('the kernel tells of connections that nobody accepts', async (t) => {
  const handle = bound()
  t.onTestFinished(() => handle.close())
  expect(queuedConnections([handle.fd]), 'not even listening').toBe(0)
  const child = spawn(process.execPath, ['-e', NEVER_ACCEPTS], {
    stdio: ['ignore', 'pipe', 'inherit', handle.fd],
  })
  t.onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout!, 'data')
  expect(queuedConnections([handle.fd])).toBe(0)
  const name = { port: 0 }
  handle.getsockname(name)
  for (let n = 1; n <= 3; n++) {
    const client = net.connect(name.port, '127.0.0.1')
    t.onTestFinished(() => void client.destroy())
    await once(client, 'connect')
  }
  const expected = process.platform === 'linux' ? 3 : 0
  await until('all three wait', () => queuedConnections([handle.fd]) === expected)
})

interface Handle {
  readonly fd: number
  getsockname(out: { port: number }): number
  close(): void
}

const bound = (): Handle =>
  (
    net as unknown as { _createServerHandle: (...where: (string | number)[]) => Handle }
  )._createServerHandle('127.0.0.1', 0, 4)
