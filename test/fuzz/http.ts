// Bytes at the port of an application that is exported, and of one that listens by itself. What each of them is told must be what RFC 9112
// makes of the bytes, or nothing; the same for both, and in whatever pieces the bytes come.
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import { request } from '../helpers/client.ts'
import { startServer, type Server } from '../helpers/server.ts'
import { tempDir, type Teardown } from '../helpers/temp.ts'
import { responsesIn } from './responses.ts'
import { cuts, messages, soup, type Message } from './messages.ts'
import type { Target } from './target.ts'

/** A connection that has said nothing for so long has nothing more to say, ms; then our end is closed. */
const QUIET_MS = 80
/** Whatever the bytes, the server closes within its timeouts, ms. */
const PATIENCE_MS = 10_000
const STATUSES = [200, 400, 408, 413, 414, 417, 426, 431, 501, 505]
const LAST = 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

let connections = 0

/** Closes our end when the server has read what we sent: it has answered two others since. */
async function giveUp(url: string, socket: net.Socket): Promise<void> {
  for (let n = 0; n < 2; n++) await request(url, '/seen?of=nobody')
  socket.end()
}

/** Sends it in these pieces and reads until the server closes. */
function exchange(url: string, bytes: Buffer, at: readonly number[]): Promise<string> {
  const marks = [0, ...at.map((share) => Math.floor(share * bytes.length)).sort((a, b) => a - b)]
  const pieces = marks.map((from, n) => bytes.subarray(from, marks[n + 1] ?? bytes.length))
  return new Promise((resolve, reject) => {
    const socket = net.connect({
      port: Number(new URL(url).port),
      host: '127.0.0.1',
      noDelay: true,
    })
    let received = ''
    const quiet = setTimeout(() => void giveUp(url, socket), QUIET_MS)
    const late = setTimeout(() => {
      socket.destroy()
      reject(new Error(`the server did not close; it said ${JSON.stringify(received)}`))
    }, PATIENCE_MS)
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      quiet.refresh()
    })
    socket.on('error', () => undefined) // ECONNRESET, EPIPE: it closed while there was more to come
    socket.on('close', () => {
      clearTimeout(quiet)
      clearTimeout(late)
      resolve(received)
    })
    const send = (n: number): void => {
      if (n >= pieces.length || socket.destroyed) return
      socket.write(pieces[n]!)
      setImmediate(() => send(n + 1))
    }
    send(0)
  })
}

/** What an application was told of a request; no body: its end never came. */
interface Entry {
  readonly request: string
  readonly body?: string
}

/** What the application was told of these bytes, and what the client heard. */
async function tell(server: Server, text: string, at: readonly number[]): Promise<Entry[]> {
  const name = `c${++connections}`
  const bytes = Buffer.from(text.replaceAll('NAME', name), 'latin1')
  const received = await exchange(server.url, bytes, at)
  for (const { status } of responsesIn(received))
    if (!STATUSES.includes(status)) throw new Error(`answered ${status}: ${received}`)
  const answer = await request(server.url, `/seen?of=${name}`)
  const { pid, seen } = answer.json<{ pid: number; seen: Entry[] }>()
  if (pid !== server.pids()[0]) throw new Error('the worker was replaced')
  return seen.map((one) => ({ ...one, request: one.request.replaceAll(name, 'NAME') }))
}

const LAST_ENTRY: Entry = { request: 'GET /last', body: '' }

/** What it may have been told of these messages, the longest account; `least`: so much of it must be there, and whole. */
function allowed(all: readonly Message[]): { may: Entry[]; least: number } {
  const may: Entry[] = []
  let least = Infinity
  for (const { fate, method, target, body } of all) {
    const request = `${method} ${target}`
    if (fate !== 'read') least = Math.min(least, may.length)
    if (fate === 'begun') return { may: [...may, { request }], least }
    if (fate === 'never') return { may, least }
    if (fate !== 'passed') may.push({ request, body })
  }
  return { may: [...may, LAST_ENTRY], least: Math.min(least, may.length + 1) }
}

function mustBe(told: readonly Entry[], all: readonly Message[]): void {
  const { may, least } = allowed(all)
  const isRight = told.every((one, n) => {
    const { request, body } = may[n] ?? {}
    return one.request === request && (one.body === body || (n >= least && one.body === undefined))
  })
  if (isRight && told.length >= least) return
  throw new Error(`the application was told ${JSON.stringify(told)}, not ${JSON.stringify(may)}`)
}

function mustAgree(accounts: readonly (readonly Entry[])[]): void {
  const [first, ...others] = accounts.map((one) => JSON.stringify(one))
  for (const other of others)
    if (other !== first) throw new Error(`one is told ${first}, the other ${other}`)
}

const FLAGS = ['--timeout', '3', '--headers-timeout', '3', '--workers', '1']

export const http: Target = {
  name: 'HTTP: what RFC 9112 allows and forbids, and bytes that are no request',
  kind: 'servers',
  runs: 250,
  async open(t: Teardown) {
    const log = join(tempDir(t), 'access.log')
    const logged = ['--access-log', log, '--access-logformat', 'json']
    const exported = await startServer(t, 'echoes.mjs', ...FLAGS, ...logged)
    const listens = await startServer(t, 'echoes-listens.mjs', ...FLAGS)
    const everywhere = (text: string, at: readonly number[]): Promise<Entry[][]> =>
      Promise.all([tell(exported, text, []), tell(exported, text, at), tell(listens, text, at)])
    const property = fc.asyncProperty(messages, soup, cuts, async (all, noise, at) => {
      const text = all.map(({ bytes }) => bytes).join('') + LAST
      const [told, noisy] = await Promise.all([everywhere(text, at), everywhere(noise, at)])
      for (const one of told) mustBe(one, all)
      mustAgree(told)
      mustAgree(noisy)
    })
    return {
      property,
      servers: [exported, listens],
      end: () => {
        for (const line of readFileSync(log, 'utf8').trim().split('\n')) JSON.parse(line)
      },
    }
  },
}
