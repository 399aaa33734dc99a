// The queue over HTTP: list, status, result, events, cancel. One answer for two kinds of callers, (req, res) and fetch. Runs in
// applications.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isAway } from './away.ts'
import type { Client } from './client.ts'
import { type JobStatus, type Status, STATUSES } from './views.ts'
import { eventText, watch } from './watch.ts'

/** True if it was for a path below the base, and is answered. */
export interface JobRoutes {
  /** For node:http, Express, Connect and Fastify's hooks; without `next`, the caller asks for the result. */
  (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void): Promise<boolean>
  /** For Hono, and whatever has a Request. A 404 for other paths. */
  fetch(request: Request): Promise<Response>
}

interface Asked {
  readonly method: string
  /** Below the base, `/<id>/status`. */
  readonly path: string
  readonly query: URLSearchParams
  readonly signal: AbortSignal
}

type Answer =
  | { readonly status: number; readonly body: unknown; readonly allow?: string }
  | { readonly status: 200; readonly events: AsyncGenerator<string> }

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }
const EVENTS_TYPE = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // nginx would keep the events until its buffer is full
  'x-accel-buffering': 'no',
}

export function makeRoutes(client: Client, base: string): JobRoutes {
  const prefix = base.replace(/\/+$/, '')
  const handle = async (
    req: IncomingMessage & { baseUrl?: string },
    res: ServerResponse,
    next?: (error?: unknown) => void,
  ): Promise<boolean> => {
    try {
      const { pathname, searchParams } = new URL(`http://localhost${req.url ?? '/'}`)
      // Express has taken the base off the path of what is mounted
      const path = req.baseUrl ? pathname : below(prefix, pathname)
      if (path === undefined) {
        next?.()
        return false
      }
      const gone = new AbortController()
      res.once('close', () => gone.abort())
      const method = req.method ?? 'GET'
      await send(
        res,
        await answer(client, { method, path, query: searchParams, signal: gone.signal }),
      )
      return true
    } catch (error) {
      if (!next) throw error
      next(error)
      return true
    }
  }
  return Object.assign(handle, {
    fetch: (request: Request) => answerFetch(client, prefix, request),
  })
}

const below = (prefix: string, pathname: string): string | undefined =>
  pathname === prefix || pathname.startsWith(`${prefix}/`)
    ? pathname.slice(prefix.length) || '/'
    : undefined

/** A store that restarts is no fault of the application's. */
async function answer(client: Client, asked: Asked): Promise<Answer> {
  try {
    return await answerOf(client, asked)
  } catch (error) {
    if (isAway(error)) return unavailable
    throw error
  }
}

async function answerOf(client: Client, asked: Asked): Promise<Answer> {
  const [, rawId = '', what = '', ...more] = asked.path.split('/')
  const id = decoded(rawId)
  if (id === undefined || more.length > 0) return notFound
  const reads = asked.method === 'GET' || asked.method === 'HEAD'
  if (id === '') return reads ? await list(client, asked.query) : notAllowed('GET')
  if (what === '') {
    if (asked.method === 'DELETE') return await cancel(client, id)
    return reads ? await status(client, id) : notAllowed('GET, DELETE')
  }
  if (!(what in { status: 1, result: 1, events: 1 })) return notFound
  if (!reads) return notAllowed('GET')
  if (what === 'status') return await status(client, id)
  return what === 'result' ? await result(client, id) : await events(client, id, asked.signal)
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    if (error instanceof URIError) return undefined // no id of ours
    throw error
  }
}

const notFound: Answer = { status: 404, body: { error: 'there is no such job' } }
const unavailable: Answer = { status: 503, body: { error: 'the job store does not answer' } }
const notAllowed = (allow: string): Answer => ({
  status: 405,
  body: { error: `only ${allow} here` },
  allow,
})

async function list(client: Client, query: URLSearchParams): Promise<Answer> {
  const [limit = '50', state] = [query.get('limit') ?? undefined, query.get('status') ?? undefined]
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > 1_000)
    return { status: 400, body: { error: 'limit must be a number from 1 to 1000' } }
  if (state !== undefined && !isStatus(state))
    return { status: 400, body: { error: `status must be one of ${STATUSES.join(', ')}` } }
  return { status: 200, body: { jobs: await client.list({ limit: Number(limit), state }) } }
}

const isStatus = (word: string): word is Status => STATUSES.some((status) => status === word)

async function status(client: Client, id: string): Promise<Answer> {
  const found = await client.status(id)
  return found ? { status: 200, body: found } : notFound
}

/** 409 for a job that has no result, not yet or not ever: its status says which. */
async function result(client: Client, id: string): Promise<Answer> {
  const found = await client.outcome(id)
  if (!found) return notFound
  if (found.status.status === 'completed') return { status: 200, body: found.result ?? null }
  return { status: 409, body: { ...found.status, error: found.status.error ?? 'not finished yet' } }
}

async function cancel(client: Client, id: string): Promise<Answer> {
  const done = await client.cancel(id)
  if (done === undefined) return notFound
  return done === 'finished'
    ? { status: 409, body: { job_id: id, error: 'it has finished already' } }
    : { status: 200, body: { job_id: id, [done]: true } }
}

async function events(client: Client, id: string, signal: AbortSignal): Promise<Answer> {
  const happenings = watch(client, id, signal)
  const first = await happenings.next()
  if (first.done) return notFound
  const texts = async function* (): AsyncGenerator<string> {
    yield eventText(first.value)
    try {
      for await (const happening of happenings) yield eventText(happening)
    } catch (error) {
      if (!isAway(error)) throw error // whoever still wants to know asks again, as browsers do
    }
  }
  return { status: 200, events: texts() }
}

async function send(res: ServerResponse, answered: Answer): Promise<void> {
  if (!('events' in answered)) {
    const { status: code, body, allow } = answered
    res.writeHead(code, { ...JSON_TYPE, ...(allow && { allow }) }).end(`${JSON.stringify(body)}\n`)
    return
  }
  res.writeHead(answered.status, EVENTS_TYPE)
  for await (const text of answered.events) if (!res.destroyed) res.write(text)
  res.end()
}

async function answerFetch(client: Client, prefix: string, request: Request): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url)
  const path = below(prefix, pathname)
  const gone = new AbortController()
  request.signal?.addEventListener('abort', () => gone.abort())
  const asked = { method: request.method, query: searchParams, signal: gone.signal }
  const answered = path === undefined ? notFound : await answer(client, { ...asked, path })
  if (!('events' in answered)) {
    const { status: code, body, allow } = answered
    const headers = { ...JSON_TYPE, ...(allow && { allow }) }
    return new Response(`${JSON.stringify(body)}\n`, { status: code, headers })
  }
  return new Response(streamOf(answered.events, gone), { headers: EVENTS_TYPE })
}

const streamOf = (texts: AsyncGenerator<string>, gone: AbortController): ReadableStream => {
  const encoder = new TextEncoder()
  return new ReadableStream({
    pull: async (controller) => {
      const { value, done } = await texts.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(value))
    },
    cancel: () => gone.abort(),
  })
}

/** What `accepted` answers with. */
export interface Acceptance {
  readonly status: 202
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export function acceptanceOf(
  id: string,
  urls: { status_url: string; result_url: string },
): Acceptance {
  const body = {
    job_id: id,
    status: 'queued' satisfies JobStatus['status'],
    message: 'Job submitted successfully',
    ...urls,
  }
  return {
    status: 202,
    headers: { ...JSON_TYPE, location: urls.status_url },
    body: `${JSON.stringify(body)}\n`,
  }
}
