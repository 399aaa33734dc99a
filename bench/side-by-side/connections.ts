// What grows with the connections: requests a second and p99 while so many ask, and the memory of those that only stay open.

import net from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { pss } from '../proc.ts'
import type { Started } from '../servers.ts'
import type { Dimension, Row, Scale, Subject } from './dimension.ts'
import { load } from './load.ts'

const COUNTS = { quick: [4_000], full: [10, 100, 1_000, 10_000] }
/** None: not measured. */
const OPEN = { quick: 0, full: 10_000 }
const BATCH = 100

const openRows = (n: number): Row[] => {
  const what = `memory of an idle connection, ${n} open`
  return n > 0 ? [{ id: 'open', what, unit: 'kB', better: 'less' }] : []
}

export const connections: Dimension = {
  name: 'connections',
  rounds: { quick: 1, full: 2 },
  rows: (scale) => [
    ...COUNTS[scale.size].flatMap((n): Row[] => [
      { id: `c${n}`, what: `requests/s, ${n} kept connections`, unit: '/s', better: 'more' },
      { id: `c${n}-p99`, what: `p99, ${n} kept connections`, unit: 'ms', better: 'less' },
    ]),
    ...openRows(OPEN[scale.size]),
  ],
  async measure(subject, scale) {
    const figures: Record<string, number> = {}
    const { port } = await subject.server()
    for (const n of COUNTS[scale.size]) {
      const { perSecond, p99 } = await load(port, { connections: n, seconds: scale.seconds })
      figures[`c${n}`] = perSecond
      figures[`c${n}-p99`] = p99
    }
    return OPEN[scale.size] > 0 ? { ...figures, ...(await open(subject, scale)) } : figures
  },
}

const memory = (server: Started): number => server.all().reduce((sum, pid) => sum + pss(pid), 0)

/** Connections that have had one answer each, on a server that has served before. */
async function open(subject: Subject, { size }: Scale): Promise<{ open?: number }> {
  const server = await subject.start({})
  await load(server.port, { connections: 64, seconds: 1 })
  await sleep(1_000)
  const before = memory(server)
  const sockets: net.Socket[] = []
  subject.site.onTestFinished(() => sockets.forEach((socket) => socket.destroy()))
  for (let n = 0; n < OPEN[size]; n += BATCH)
    sockets.push(...(await Promise.all(Array.from({ length: BATCH }, () => answered(server.port)))))
  const kept = sockets.filter((socket) => !socket.destroyed && socket.readable).length
  // Gunicorn closes them after 2 s, others keep only so many.
  return kept < 0.9 * OPEN[size] ? {} : { open: ((memory(server) - before) * 1024) / kept }
}

async function answered(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => socket.destroy()) // ECONNRESET: the server does not keep it, and it is not counted
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => undefined) // the same
  return socket.resume()
}
