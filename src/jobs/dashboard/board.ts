// bull-board on Node's own HTTP server: its routes, its one page and its files. What asks has been let in by the master before. Runs
// in the process of the dashboard.
import { readdirSync, readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join } from 'node:path'
import type {
  AppControllerRoute,
  AppViewRoute,
  BullBoardQueues,
  ControllerHandlerReturnType,
  HTTPMethod,
  IServerAdapter,
  UIConfig,
} from '@bull-board/api/typings/app'

/** The longest body, bytes. */
const MOST_BODY = 1 << 20

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
}

/** Data of jobs is whatever clients have sent: none of it may run. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "worker-src 'self' blob:",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

interface Match<T> {
  readonly route: T
  readonly params: Record<string, string>
}

export class Board implements IServerAdapter {
  /** Without a slash at its end. */
  readonly #base: string
  #queues: BullBoardQueues = new Map()
  #views = ''
  #static: { readonly route: string; readonly path: string; readonly files: ReadonlySet<string> }
  #entry: AppViewRoute | undefined
  #api: AppControllerRoute[] = []
  #config: UIConfig = {}
  #onError: (error: Error) => ControllerHandlerReturnType = ({ message }) => ({
    status: 500,
    body: message,
  })

  constructor(base: string) {
    this.#base = base
    this.#static = { route: '/static', path: '', files: new Set() }
  }

  setQueues(queues: BullBoardQueues): this {
    this.#queues = queues
    return this
  }

  setViewsPath(path: string): this {
    this.#views = path
    return this
  }

  setStaticPath(route: string, path: string): this {
    const files = readdirSync(path, { recursive: true, encoding: 'utf8' })
    this.#static = { route, path, files: new Set(files.filter((name) => extname(name) in TYPES)) }
    return this
  }

  setEntryRoute(route: AppViewRoute): this {
    this.#entry = route
    return this
  }

  setErrorHandler(handler: (error: Error) => ControllerHandlerReturnType): this {
    this.#onError = handler
    return this
  }

  setApiRoutes(routes: AppControllerRoute[]): this {
    this.#api = routes
    return this
  }

  setUIConfig(config: UIConfig): this {
    this.#config = config
    return this
  }

  /** Never rejects. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://dashboard')
    const path = pathname.slice(this.#base.length) || '/'
    const method = (request.method ?? 'GET').toLowerCase() as HTTPMethod
    try {
      const file = this.#file(path)
      if (file) return send(response, 200, file.type, file.body)
      const found = matching(this.#api, method, path)
      if (found) return await this.#call(found, searchParams, request, response)
      const page = this.#entry && matching([this.#entry], method, path)
      if (page) return send(response, 200, 'text/html; charset=utf-8', this.#page(page.route))
      sendJson(response, 404, { error: `there is no ${path.slice(0, 100)}` })
    } catch (error) {
      const { status = 500, body } = this.#onError(error as Error)
      sendJson(response, status, body)
    }
  }

  async #call(
    { route, params }: Match<AppControllerRoute>,
    query: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { status = 200, body } = await route.handler({
      queues: this.#queues,
      uiConfig: this.#config,
      query: Object.fromEntries(query),
      params,
      body: await bodyOf(request),
      headers: {},
    })
    sendJson(response, status, body)
  }

  #file(path: string): { type: string; body: Buffer } | undefined {
    const { route, path: directory, files } = this.#static
    const name = path.startsWith(`${route}/`) ? path.slice(route.length + 1) : ''
    if (!files.has(name)) return undefined
    return { type: TYPES[extname(name)]!, body: readFileSync(join(directory, name)) }
  }

  /** Its template has nothing but values in it. What it would load from elsewhere is left out. */
  #page({ handler }: AppViewRoute): string {
    const { name, params } = handler({ basePath: this.#base, uiConfig: this.#config })
    const template = readFileSync(join(this.#views, name), 'utf8')
    return template
      .replace(/<link href="https:[^>]*>/g, '')
      .replace(/<%([=-]) *(\w+) *%>/g, (_, kind: string, key: string) =>
        kind === '-' ? String(params[key]) : escaped(String(params[key] ?? '')),
      )
  }
}

/** The first one that fits. */
function matching<T extends AppControllerRoute | AppViewRoute>(
  routes: readonly T[],
  method: HTTPMethod,
  path: string,
): Match<T> | undefined {
  for (const route of routes) {
    if (![route.method].flat().includes(method)) continue
    for (const pattern of [route.route].flat()) {
      const found = patternOf(pattern).exec(path)
      if (found) return { route, params: decoded(found.groups ?? {}) }
    }
  }
  return undefined
}

/** `/queue/:queueName` */
const patternOf = (route: string): RegExp =>
  new RegExp(`^${route.replace(/:(\w+)/g, '(?<$1>[^/]+)')}/?$`)

const decoded = (groups: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(groups).map(([key, text]) => [key, decodeURIComponent(text)]))

const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`)

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = ''
  request.setEncoding('utf8')
  for await (const chunk of request as AsyncIterable<string>) {
    text += chunk
    if (text.length > MOST_BODY) throw failure(400, `the body is longer than ${MOST_BODY} bytes`)
  }
  if (text === '') return {}
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch (error) {
    if (error instanceof SyntaxError) throw failure(400, 'the body is not JSON')
    throw error
  }
}

const failure = (statusCode: number, message: string): Error =>
  Object.assign(new Error(message), { statusCode })

const sendJson = (response: ServerResponse, status: number, body: unknown): void =>
  send(response, status, 'application/json', JSON.stringify(body))

function send(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'content-security-policy': POLICY,
  })
  response.end(body)
}
