// POST /api/commands/NAME: the commands of the control socket over HTTP, with their arguments as JSON. Runs in the master.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ControlRequest } from '../control-protocol.ts'
import { UserError } from '../errors.ts'
import type { Answering } from './commands.ts'

/** The longest body, bytes. */
const MOST_BODY = 64 << 10
/** What a command tells before its end is kept up to this length; of more, the beginning is dropped. */
const MOST_ITEMS = 8 << 20

export interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
}

export const problem = (status: number, code: string, message: string): Reply => ({
  status,
  type: 'application/json',
  body: `${JSON.stringify({ error: { code, message } })}\n`,
})

const STATUSES: Readonly<Record<string, number>> = {
  BAD_COMMAND: 400,
  NOT_NOW: 409,
  RELOAD_FAILED: 409,
}

/** Answers when the command has ended: `{"result":...,"items":[...]}`. Never rejects with what the client did wrong. */
export async function carryOut(
  run: (request: ControlRequest, how: Answering) => Promise<unknown>,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Reply> {
  const left = new AbortController()
  response.once('close', () => left.abort())
  const args = await argsOf(request)
  if ('status' in args) return args
  const { items, item } = collector()
  try {
    const command = path.slice('/api/commands/'.length)
    const how = { by: whoAsks(request), left: left.signal, item }
    const result = await run({ id: 0, command, args: args.args }, how)
    const body = `{"result":${JSON.stringify(result ?? null)},"items":[${items.join()}]}\n`
    return { status: 200, type: 'application/json', body }
  } catch (error) {
    const code = error instanceof UserError ? error.code : 'FAILED'
    return problem(STATUSES[code] ?? 500, code, (error as Error).message)
  }
}

/** A browser says by itself that it is one. */
const whoAsks = ({ headers, socket }: IncomingMessage): string =>
  `${headers['sec-fetch-site'] === undefined ? 'http' : 'page'} (${socket.remoteAddress ?? 'unix'})`

function collector(): { items: string[]; item: (one: unknown) => void } {
  const items: string[] = []
  let length = 0
  const item = (one: unknown): void => {
    const text = JSON.stringify(one)
    items.push(text)
    length += text.length
    while (length > MOST_ITEMS) length -= items.shift()!.length
  }
  return { items, item }
}

async function argsOf(
  request: IncomingMessage,
): Promise<Reply | { args: Record<string, unknown> }> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length <= MOST_BODY) chunks.push(chunk)
  }
  if (length > MOST_BODY)
    return problem(413, 'BAD_COMMAND', `the body is longer than ${MOST_BODY} bytes`)
  const text = Buffer.concat(chunks).toString().trim()
  const args = text === '' ? {} : tryJson(text)
  return typeof args === 'object' && args !== null && !Array.isArray(args)
    ? { args: args as Record<string, unknown> }
    : problem(400, 'BAD_COMMAND', 'the body must be a JSON object with the arguments, or empty')
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
