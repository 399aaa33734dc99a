// Tries once whether this node's connections can be moved: a server and a client of our own, one request, off its socket,
// back into the server, another request. Runs in every worker, after its boot.

import { EventEmitter } from 'node:events'
import net from 'node:net'
import { http } from '../builtin.ts'
import {
  detach,
  idleSockets,
  isAtRest,
  isPlain,
  learnProperties,
  takeBack,
  type Door,
} from './raw-connection.ts'

/** On a busy machine a dozen turns of the loop can take long, ms. */
const PATIENCE_MS = 5_000
const REQUEST = 'GET / HTTP/1.1\r\nHost: drill\r\n\r\n'

/** Why connections can't be moved, or undefined if they can. Never rejects. */
export async function drill(): Promise<string | undefined> {
  const server = http().createServer((_req, res) => res.end('drilled'))
  server.emit = EventEmitter.prototype.emit // nobody else is to hear of it, our own hooks included
  const client = new net.Socket()
  const limit = AbortSignal.timeout(PATIENCE_MS)
  try {
    await exercise(server, client, limit)
    return undefined
  } catch (error) {
    return limit.aborted ? 'the trial did not end' : (error as Error).message
  } finally {
    client.destroy()
    server.close()
    server.closeAllConnections()
  }
}

async function exercise(
  server: import('node:http').Server,
  client: net.Socket,
  signal: AbortSignal,
): Promise<void> {
  server.listen({ port: 0, host: '127.0.0.1', exclusive: true })
  await once(server, 'listening', signal)
  const door = (server as unknown as { _handle: Door })._handle
  client.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  const [socket] = (await once(server, 'connection', signal)) as [net.Socket]
  await converse(client, signal)
  learnProperties(socket)
  must(idleSockets(server).includes(socket), 'an idle connection is not known as idle')
  must(isPlain(socket, server, server) && isAtRest(socket), 'an idle connection is not at rest')
  await move(socket, door, signal)
  must((await connectionsOf(server)) === 1, 'a moved connection is counted wrongly')
  await converse(client, signal)
}

async function move(socket: net.Socket, door: Door, signal: AbortSignal): Promise<void> {
  const closed = once(socket, 'close', signal)
  const detached = detach(socket)
  must((socket as { _handle?: unknown })._handle === null, 'a socket keeps its handle')
  await closed
  must((socket as { parser?: unknown }).parser === null, 'a parser is not freed')
  takeBack(detached, door)
}

async function converse(client: net.Socket, signal: AbortSignal): Promise<void> {
  client.write(REQUEST)
  let answer = ''
  while (!answer.endsWith('drilled')) answer += String((await once(client, 'data', signal))[0])
  await new Promise(setImmediate) // the server has noticed the end of its response
}

function must(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise)
}

const once = (emitter: EventEmitter, event: string, signal: AbortSignal): Promise<unknown[]> =>
  EventEmitter.once(emitter, event, { signal })

const connectionsOf = (server: net.Server): Promise<number> =>
  new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )
