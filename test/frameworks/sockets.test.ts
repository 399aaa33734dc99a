// WebSockets and Socket.IO with several workers: the code is that of docs/websockets.md. Connections outlive what is late beside
// them, broadcasts reach the clients of every worker, and at a reload clients hear that they may come back.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { readPage } from '../helpers/pages.ts'
import { startServer } from '../helpers/server.ts'
import type { Teardown } from '../helpers/temp.ts'
import { until, within } from '../helpers/until.ts'
import { directory } from './frameworks.ts'

/** A connection that knows which worker answers, and how it ended. */
class Peer {
  readonly heard: string[] = []
  closed: number | undefined
  readonly #socket: WebSocket

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data) => this.heard.push(String(data)))
    socket.on('close', (code) => (this.closed = code))
    socket.on('error', () => undefined) // 'close' follows, with 1006
  }

  static async connect(t: Teardown, url: string): Promise<Peer> {
    const socket = new WebSocket(url.replace(/^http/, 'ws'))
    t.onTestFinished(() => socket.terminate())
    const peer = new Peer(socket)
    await within(
      'the WebSocket is open',
      new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject)),
    )
    return peer
  }

  /** The pid of the worker. */
  async ask(text: string): Promise<number> {
    this.#socket.send(text)
    const answer = await until(`an answer to ${text}`, () =>
      this.heard.find((one) => one.endsWith(text)),
    )
    return Number(answer.split(' ')[0])
  }
}

describe('ws', () => {
  test.concurrent(
    'connections outlive a late request of their worker, and hear 1012 at a reload',
    async (t) => {
      const server = await startServer(t, 'apps/ws.mjs', '--timeout', '1', { cwd: directory })
      server.expectLog(/^REQUEST TIMEOUT/)
      const peer = await Peer.connect(t, server.url)
      const worker = await peer.ask('before')
      expect(await server.get('/never')).toMatchObject({ status: 504 })
      expect(await peer.ask('after')).toBe(worker)
      server.signal('SIGHUP')
      await until('the WebSocket was closed', () => peer.closed !== undefined)
      expect(peer.closed).toBe(1012)
      const again = await Peer.connect(t, server.url)
      expect(await again.ask('again')).not.toBe(worker)
      await server.log(/^Reload finished/)
    },
  )

  test.concurrent('connections to other workers outlive a worker that is blocked', async (t) => {
    const flags = ['--timeout', '1', '--workers', '2', '--worker-connections', '2']
    const server = await startServer(t, 'apps/ws.mjs', ...flags, { cwd: directory })
    server.expectLog(/^WORKER TIMEOUT/, /^ALERT/)
    const peers = await Promise.all([1, 2, 3].map(() => Peer.connect(t, server.url)))
    const workers = await Promise.all(peers.map((peer) => peer.ask('before')))
    expect(new Set(workers).size, 'no worker takes more than two').toBe(2)
    expect(await server.get('/block')).toMatchObject({ status: 504 })
    const { pid: blocked } = await server.log(/^WORKER TIMEOUT/).then(({ msg }) => ({
      pid: Number(/pid:(\d+)/.exec(msg)?.[1]),
    }))
    for (const [at, peer] of peers.entries())
      if (workers[at] === blocked) await until('it broke off', () => peer.closed !== undefined)
      else expect(await peer.ask('after')).toBe(workers[at])
  })
})

/** What these tests need of socket.io-client, which only `npm run test:frameworks` installs. */
interface Client {
  readonly connected: boolean
  on(event: string, listener: (fact: never) => void): this
  emit(event: string, fact: string): this
  disconnect(): this
}
interface ClientModule {
  io(url: string, options: object): Client
}

class Guest {
  pid = 0
  readonly heard: string[] = []
  readonly left: string[] = []
  readonly #client: Client

  constructor(t: Teardown, url: string, options: object = {}) {
    const { io } = createRequire(import.meta.url)('socket.io-client') as ClientModule
    const often = { reconnectionDelay: 50, reconnectionDelayMax: 200 }
    this.#client = io(url, { transports: ['websocket'], forceNew: true, ...often, ...options })
    this.#client
      .on('welcome', (pid: number) => (this.pid = pid))
      .on('said', (text: string) => this.heard.push(text))
      .on('disconnect', (reason: string) => this.left.push(reason))
    t.onTestFinished(() => void this.#client.disconnect())
  }

  say(text: string): void {
    this.#client.emit('say', text)
  }
}

/** A folder with the files that the page shows. The app listens where --bind says. */
function projectOf(t: Teardown, page: string): string {
  const folder = mkdtempSync(join(directory, 'apps', '.page-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const { file, lines } of readPage(page).blocks) {
    const text = lines.join('\n').replace('listen(8000,', 'listen(Number(process.env.PORT),')
    if (file) writeFileSync(join(folder, file), text)
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  return folder
}

describe('Socket.IO', () => {
  test.concurrent(
    'broadcasts reach the clients of every worker, once, and clients come back after a reload',
    async (t) => {
      const cwd = projectOf(t, 'docs/websockets.md')
      const server = await startServer(t, 'chat.js', '--worker-connections', '2', { cwd })
      const guests = [1, 2, 3].map(() => new Guest(t, server.url))
      const areIn = (): boolean => guests.every(({ pid }) => server.pids().includes(pid))
      await until('all are in', areIn)
      expect(new Set(guests.map(({ pid }) => pid)).size, 'no worker takes more than two').toBe(2)
      // The adapters of two workers know each other only a moment after they have started.
      await until('everybody hears everybody', async () => {
        const text = `hello ${performance.now()}`
        for (const [at, guest] of guests.entries()) guest.say(`${text} from ${at}`)
        return heardOnce(guests, text)
      })
      const old = guests.map(({ pid }) => pid)
      server.signal('SIGHUP')
      await server.log(/^Reload finished/)
      await until(
        'all have come back',
        () => areIn() && guests.every(({ pid }) => !old.includes(pid)),
      )
      for (const { left } of guests) expect(new Set(left)).toEqual(new Set(['transport close']))
      await until('everybody hears everybody again', () => {
        const text = `welcome back ${performance.now()}`
        for (const [at, guest] of guests.entries()) guest.say(`${text} from ${at}`)
        return heardOnce(guests, text)
      })
    },
  )
})

/** Whether each of them hears each of them; throws if somebody hears something twice. */
async function heardOnce(guests: readonly Guest[], text: string): Promise<boolean> {
  const wanted = guests.map((_, at) => `${text} from ${at}`)
  const has = ({ heard }: Guest): boolean => wanted.every((one) => heard.includes(one))
  const heard = await until('they hear each other', () => guests.every(has), 1_000).catch(
    () => false,
  )
  for (const guest of guests)
    for (const one of wanted)
      expect(guest.heard.filter((other) => other === one).length).toBeLessThan(2)
  return Boolean(heard)
}
