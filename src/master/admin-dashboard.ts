// The way to the dashboard of the jobs: who may go it, and what is passed on to its process, which listens at a unix socket for us
// alone. Browsers can't send the token with each request of a page, so they get a pass for it. Runs in the master.

import { request as ask, type IncomingMessage, type ServerResponse } from 'node:http'
import { isAuthorized, isPass, makePass, PASS_SECONDS } from './admin-access.ts'
import { problem, type Reply } from './admin-commands.ts'

/** How long its process may take for an answer, ms. */
const ANSWER_MS = 30_000
/** What goes on to it, and what comes back: no tokens, nothing of the connection. */
const PASSED_ON = ['accept', 'accept-language', 'content-type', 'content-length'] as const
const PASSED_BACK = ['content-type', 'content-length', 'content-security-policy'] as const
/** Where the page asks for the token, and goes on to the dashboard. */
const LOGIN = '/#jobs-dashboard'

export interface DashboardParts {
  /** Empty if there is none. */
  readonly path: () => string
  readonly token: () => string
  /** Where its process listens; undefined while it does not. */
  readonly socket: () => string | undefined
  /** Somebody has sent a wrong token. */
  readonly onWrongToken: (request: IncomingMessage, path: string) => void
}

export class DashboardDoor {
  readonly #parts: DashboardParts

  constructor(parts: DashboardParts) {
    this.#parts = parts
  }

  /** Whether a path is one of the dashboard. */
  owns(path: string): boolean {
    const own = this.#parts.path()
    return own !== '' && (path === own || path.startsWith(`${own}/`))
  }

  /** A pass for the browser of somebody who has shown the token; or, with 'leave', none any more. */
  pass(request: IncomingMessage, what: 'enter' | 'leave'): Reply {
    const path = this.#parts.path()
    if (path === '') return problem(404, 'NOT_FOUND', 'the jobs have no dashboard (jobs.dashboard)')
    const [value, age] =
      what === 'enter' ? [makePass(this.#parts.token(), Date.now()), PASS_SECONDS] : ['', 0]
    const cookie = `${cookieOf(request)}=${value}; Path=${path}; Max-Age=${age}; HttpOnly; SameSite=Strict`
    const body = `${JSON.stringify({ path: `${path}/` })}\n`
    return { status: 200, type: 'application/json', body, headers: { 'set-cookie': cookie } }
  }

  /** Undefined: its process answers. */
  answer(request: IncomingMessage, response: ServerResponse, path: string): Reply | undefined {
    const refusal = this.#refusal(request, path)
    if (refusal) return refusal
    const socketPath = this.#parts.socket()
    if (socketPath === undefined) return notThere
    passOn(socketPath, request, response)
    return undefined
  }

  #refusal(request: IncomingMessage, path: string): Reply | undefined {
    const { headers } = request
    const { authorization, host } = headers
    const token = this.#parts.token()
    if (token === '')
      return problem(
        403,
        'NO_TOKEN',
        'the dashboard needs a token, and the server has none: set SUPERVISOR_ADMIN_TOKEN',
      )
    if (authorization !== undefined) {
      if (isAuthorized({ authorization, host }, { isLocal: false, token })) return undefined
      this.#parts.onWrongToken(request, path)
      return problem(401, 'WRONG_TOKEN', 'this is not the token (Authorization: Bearer TOKEN)')
    }
    if (!isPass(passIn(request), token, Date.now())) return withoutPass(request)
    if (isOwnPage(request)) return undefined
    return problem(403, 'WRONG_ORIGIN', 'this was asked by a page of somebody else')
  }
}

const notThere = problem(503, 'NOT_NOW', 'the dashboard has not started yet, or starts again')

/** Someone who opens it in a browser is asked for the token. */
function withoutPass({ method, headers }: IncomingMessage): Reply {
  const reply = problem(401, 'NO_TOKEN', 'this needs the admin token (Authorization: Bearer TOKEN)')
  const isBrowser = method === 'GET' && (headers.accept ?? '').includes('text/html')
  return isBrowser ? { ...reply, status: 303, headers: { location: LOGIN } } : reply
}

/** Cookies do not know ports: servers on one machine have names of their own. */
const cookieOf = ({ socket }: IncomingMessage): string =>
  `nodicorn_jobs_${socket.localPort ?? 'unix'}`

function passIn(request: IncomingMessage): string {
  const start = `${cookieOf(request)}=`
  const cookies = (request.headers.cookie ?? '').split(/; */)
  return cookies.find((one) => one.startsWith(start))?.slice(start.length) ?? ''
}

/**
 * A page of another port is another origin, and gets our cookie sent all the same. Browsers say who asks by Sec-Fetch-Site, where they
 * trust the connection; else at least by Origin, for what changes something.
 */
function isOwnPage({ method, headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site']
  const isRead = method === 'GET' || method === 'HEAD'
  if (site === 'same-origin' || site === 'none') return true
  if (site !== undefined) return isRead && headers['sec-fetch-mode'] === 'navigate'
  const { origin = '', host } = headers
  return isRead || (URL.canParse(origin) && new URL(origin).host === host)
}

function passOn(socketPath: string, request: IncomingMessage, response: ServerResponse): void {
  const { method, url, headers } = request
  const options = {
    socketPath,
    method,
    path: url,
    headers: only(headers, PASSED_ON),
    timeout: ANSWER_MS,
  }
  const onward = ask(options, (answer) => {
    response.writeHead(answer.statusCode ?? 502, only(answer.headers, PASSED_BACK))
    answer.pipe(response)
    answer.once('error', () => response.destroy()) // ECONNRESET: its process has ended meanwhile
  })
  onward.once('timeout', () => onward.destroy(new Error('it does not answer')))
  onward.once('error', ({ message }) => {
    // ECONNREFUSED, ENOENT, ECONNRESET: its process has ended
    if (response.headersSent) return void response.destroy()
    const { status, type, body } = problem(
      503,
      'NOT_NOW',
      `the dashboard can't be reached: ${message}`,
    )
    response.writeHead(status, { 'content-type': type }).end(body)
  })
  response.once('close', () => onward.destroy())
  request.pipe(onward)
}

const only = (
  headers: IncomingMessage['headers'],
  names: readonly string[],
): Record<string, string> =>
  Object.fromEntries(
    names.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])]])),
  )
