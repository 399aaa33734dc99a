// The control socket: lines that are no JSON, no command, too long, cut in the middle, from many clients at once. Each is answered with JSON or the
// connection is closed, and others are served.
import { readdirSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import { MAX_MESSAGE } from '../../src/control-protocol.ts'
import { startServer } from '../helpers/server.ts'
import { tempDir, type Teardown } from '../helpers/temp.ts'
import { within } from '../helpers/until.ts'
import { json, text } from './json.ts'
import type { Target } from './target.ts'

/** Those that change nothing. */
const COMMANDS = [
  'status',
  'requests',
  'events',
  'metrics',
  'doctor',
  'stack',
  'scale',
  'recycle',
  'Status',
  '',
  'toString',
]

/** Never what these commands would obey. */
const argument = json.filter((value) => typeof value !== 'number')

const line: fc.Arbitrary<string> = fc.oneof(
  text.map((one) => `${one}\n`),
  json.map((value) => `${JSON.stringify(value)}\n`),
  fc
    .record({
      id: fc.oneof(json, fc.integer()),
      command: fc.oneof(json, fc.constantFrom(...COMMANDS)),
      args: fc.oneof(
        json.filter((value) => JSON.stringify(value) !== '{}'),
        fc.record({ slot: argument }),
        fc.record({ to: argument }),
        fc.record({ by: argument }),
        fc.record({ last: json, follow: json }),
      ),
    })
    .filter(({ command, args }) => command !== 'recycle' || isNoOrder(args))
    .map((request) => `${JSON.stringify(request)}\n`),
  fc.constantFrom(
    '{"id":1,"command":"sta',
    `{"id":1,"command":"${'x'.repeat(MAX_MESSAGE)}"}\n`,
    'x'.repeat(MAX_MESSAGE + 10),
    '['.repeat(60_000) + '\n',
    '\n\n\n',
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    '{"id":1,"command":"status","__proto__":{"args":1}}\n',
  ),
)

/** `recycle` without a slot replaces every worker. */
const isNoOrder = (args: unknown): boolean =>
  typeof args === 'object' && args !== null && !Array.isArray(args) && Object.keys(args).length > 0

const ASK = '{"id":77,"command":"status"}\n'

/** All that is answered to these bytes until `isEnough`, or until the server closes. */
function say(path: string, bytes: string, isEnough: (heard: string) => boolean): Promise<string> {
  const done = new Promise<string>((resolve) => {
    const socket = net.connect(path)
    let heard = ''
    const end = (): void => {
      socket.destroy()
      resolve(heard)
    }
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      heard += chunk
      if (isEnough(heard)) end()
    })
    socket.on('error', () => undefined) // EPIPE, ECONNRESET: it closed while there was more to come
    socket.on('close', end)
    socket.write(bytes)
  })
  return within('the control socket answered', done)
}

const isStatus = (heard: string): boolean => /"id":77,"ok":true.*\n/.test(heard)

async function mustServe(path: string): Promise<void> {
  const heard = await say(path, ASK, isStatus)
  if (!isStatus(heard)) throw new Error(`status is answered ${JSON.stringify(heard)}`)
}

/** Whole lines of JSON; the last one may be cut by the end. */
function mustBeJson(heard: string): void {
  for (const one of heard.split('\n').slice(0, -1)) {
    const { hello, id, ok, item } = JSON.parse(one) as Record<string, unknown>
    if (hello === undefined && (typeof id !== 'number' || (ok === undefined && item === undefined)))
      throw new Error(`not an answer: ${one}`)
    if (one.includes('    at ')) throw new Error(`a stack: ${one}`)
    if (one.includes('"code":"FAILED"')) throw new Error(`not an error for people: ${one}`)
  }
}

export const control: Target = {
  name: 'the control socket: garbage, long and half lines, many clients',
  kind: 'servers',
  runs: 40,
  async open(t: Teardown) {
    const env = { XDG_RUNTIME_DIR: tempDir(t) }
    const server = await startServer(t, 'hello.js', '--workers', '1', { env })
    const place = join(env.XDG_RUNTIME_DIR, 'nodicorn')
    const path = join(
      place,
      readdirSync(place).find((file) => !file.startsWith('.'))!,
    )
    const [worker] = server.pids()
    const clients = fc.array(fc.array(line, { maxLength: 5 }), { minLength: 1, maxLength: 4 })
    const property = fc.asyncProperty(clients, async (all) => {
      const said = all.map((lines) => say(path, lines.join('') + `\n${ASK}`, isStatus))
      await mustServe(path)
      for (const heard of await Promise.all(said)) mustBeJson(heard)
      if (server.pids()[0] !== worker) throw new Error('the worker was replaced')
    })
    return { property, servers: [server], env }
  },
}
