// Asks one of this worker's own servers for a path, on a connection that nobody else can be given: it comes through a door on
// the loopback that is open for this one, so the server sees a real socket. Runs in every worker with `readyCheck`.

import { EventEmitter } from 'node:events'
import net from 'node:net'
import { http } from '../builtin.ts'

/** The status of its answer. Rejects with the connection's error. */
export async function ask(server: net.Server, path: string): Promise<number> {
  const plain = await connectTo(server)
  const speaksHttp1 = 'keepAliveTimeout' in server
  const socket =
    'setSecureContext' in server
      ? process.getBuiltinModule('node:tls').connect({
          socket: plain,
          rejectUnauthorized: false,
          servername: 'localhost',
          ALPNProtocols: [speaksHttp1 ? 'http/1.1' : 'h2'],
        })
      : plain
  try {
    return await (speaksHttp1 ? askHttp1(socket, path) : askHttp2(socket, path))
  } finally {
    socket.destroy()
  }
}

/** HTTP/1, HTTP/2, and nothing that speaks neither. */
export const canAsk = (server: net.Server): boolean =>
  'keepAliveTimeout' in server ||
  server.listenerCount('request') > 0 ||
  server.listenerCount('stream') > 0

async function connectTo(server: net.Server): Promise<net.Socket> {
  const door = net.createServer({ allowHalfOpen: true, noDelay: true })
  // not the emit that our hooks watch: this one is no server of the application
  door.emit = EventEmitter.prototype.emit.bind(door) as typeof door.emit
  door.maxConnections = 1
  door.on('connection', (socket) => server.emit('connection', socket))
  try {
    // exclusive: else node:cluster would share it with the other workers
    door.listen({ host: '127.0.0.1', port: 0, exclusive: true })
    await once(door, 'listening')
    const socket = net.connect((door.address() as net.AddressInfo).port, '127.0.0.1')
    // not before it is accepted: closing the door would reset it
    await Promise.all([once(socket, 'connect'), once(door, 'connection')])
    return socket
  } finally {
    door.close()
  }
}

const once = (emitter: EventEmitter, event: string): Promise<void> =>
  new Promise((resolve, reject) => {
    emitter.once(event, resolve)
    emitter.on('error', reject)
  })

const HOST = 'localhost'
const USER_AGENT = 'nodicorn-ready-check'

function askHttp1(socket: net.Socket, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { host: HOST, 'user-agent': USER_AGENT, connection: 'close' }
    const request = http().request({ path, headers, createConnection: () => socket })
    request.on('response', (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    request.on('error', reject)
    request.end()
  })
}

function askHttp2(socket: net.Socket, path: string): Promise<number> {
  const { connect } = process.getBuiltinModule('node:http2')
  return new Promise((resolve, reject) => {
    const session = connect(`http://${HOST}`, { createConnection: () => socket })
    session.on('error', reject)
    const stream = session.request({ ':path': path, 'user-agent': USER_AGENT })
    stream.on('response', (headers) => resolve(Number(headers[':status'])))
    stream.on('error', reject)
    stream.end()
  })
}
