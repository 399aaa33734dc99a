// What tests of deadlines ask for again and again: time an answer, look into a worker, leave before the answer.
import type { ClientHttp2Session } from 'node:http2'
import { expect } from 'vitest'
import { RawClient, type Answer } from './client.ts'
import type { LogLine, Server } from './server.ts'
import { until } from './until.ts'

/** The log may say that requests timed out. */
export const wantTimeouts = (server: Server): void => server.expectLog(/^REQUEST TIMEOUT/, /^ALERT/)

export const timeoutsOf = (server: Server): LogLine[] => eventsOf(server, 'requestTimeout')

export const eventsOf = (server: Server, name: string): LogLine[] =>
  server.lines.filter(({ event }) => event === name)

/** Its single worker is the one it began with, and had nothing to complain of. */
export async function expectUnharmed(server: Server): Promise<void> {
  expect((await server.get('/pid')).text).toBe(String(server.allPids()[0]))
  expect(server.stderr).toBe('')
}

/** The answer and how long it took, ms. */
export async function timed(answer: Promise<Answer>): Promise<Answer & { readonly ms: number }> {
  const began = performance.now()
  return Object.assign(await answer, { ms: performance.now() - began })
}

/** Waits until the last digest of the server's worker says all of this; needs `--log-level debug`. */
export async function digestSays(
  server: Server,
  wanted: Readonly<Record<string, number>>,
): Promise<void> {
  const last = (): LogLine | undefined => eventsOf(server, 'digest').at(-1)
  await until(
    `a digest with ${JSON.stringify(wanted)}`,
    () => Object.entries(wanted).every(([name, value]) => last()?.[name] === value),
    30_000,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; the last one is ${JSON.stringify(last())}`)
  })
}

/** One HTTP/2 request. */
export async function overHttp2(
  session: ClientHttp2Session,
  path: string,
): Promise<{ status: number | undefined; text: string }> {
  const stream = session.request({ ':path': path })
  let status: number | undefined
  stream.on('response', (headers) => (status = headers[':status']))
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return { status, text: Buffer.concat(chunks).toString() }
}

/** A client that asks and leaves before it is answered. The server has heard of both. */
export async function leave(server: Server, path: string): Promise<void> {
  const client = await RawClient.connect(server.url)
  client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
  await server.get('/')
  client.destroy()
  await server.get('/')
}
