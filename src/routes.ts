// Routes: which settings a request has, by method and path. A leaf: the patterns are checked in the master, matched in the workers.

/** `POST /imports/*`: a method (or none, for all), a path; `*` stands for one segment or a part of it, `**` for any number of them. */
export interface RouteSettings {
  /** Seconds; 0 turns the clock off for this route. */
  readonly timeout?: number | undefined
  /** Requests of this route at the same time, in each worker; more wait. */
  readonly concurrency?: number | undefined
  /** Seconds that such a request may wait before it is answered 503. */
  readonly queueTimeout?: number | undefined
  /** Bytes. */
  readonly maxBody?: number | undefined
}

export interface Route extends RouteSettings {
  /** As written in the settings: the route's name in logs. */
  readonly pattern: string
  /** Its place among them. */
  readonly index: number
}

interface Compiled {
  readonly route: Route
  readonly method: string | undefined
  /** What its path consists of; `**` stands for itself, the others are texts with or without stars. */
  readonly segments: readonly string[]
}

/** Where a pattern is wrong, counted from 0, and how. */
export interface PatternFault {
  readonly at: number
  readonly why: string
}

const METHOD = /^([A-Z]+|\*) +/

/** Undefined if the pattern is right. */
export function faultOf(pattern: string): PatternFault | undefined {
  const start = METHOD.exec(pattern)?.[0].length ?? 0
  const path = pattern.slice(start)
  if (!path.startsWith('/')) {
    const why =
      start === 0 && / /.test(pattern)
        ? 'the method must be upper case and the path begin with /'
        : 'the path must begin with /'
    return { at: start, why }
  }
  const wrong = /[\s?#]|\*{3,}|[^/]\*\*|\*\*[^/]/.exec(path)
  if (!wrong) return undefined
  const at = start + wrong.index
  if (/[?#]/.test(wrong[0])) return { at, why: 'a query string plays no part in matching' }
  if (/\s/.test(wrong[0]))
    return { at, why: 'a space must be written as it is decoded, and this one separates nothing' }
  return { at: wrong[0].startsWith('*') ? at : at + 1, why: '** must be a whole segment' }
}

/** First match wins; compiled once. Patterns must be without fault. */
export class Router {
  readonly #compiled: readonly Compiled[]
  readonly #known = new Map<string, Route | undefined>()

  constructor(routes: Readonly<Record<string, RouteSettings>>) {
    this.#compiled = Object.entries(routes).map(([pattern, settings], index) =>
      compile({ pattern, index, ...settings }),
    )
  }

  get isEmpty(): boolean {
    return this.#compiled.length === 0
  }

  /** `url` as in the request line; query and escapes don't matter. */
  match(method: string, url: string): Route | undefined {
    if (this.isEmpty) return undefined
    const path = normalPath(url)
    const key = `${method} ${path}`
    if (this.#known.has(key)) return this.#known.get(key)
    const asked = segmentsOf(path)
    const found = this.#compiled.find(
      (one) => (one.method === undefined || one.method === method) && fits(one.segments, asked),
    )
    if (this.#known.size >= MEMORY) this.#known.clear()
    this.#known.set(key, found?.route)
    return found?.route
  }
}

/** Paths remembered, so that a busy one is matched once; bounded, because clients choose them. */
const MEMORY = 1_000

function compile(route: Route): Compiled {
  const { pattern } = route
  const head = METHOD.exec(pattern)
  const method = head?.[1]
  const segments = segmentsOf(normalPath(pattern.slice(head?.[0].length ?? 0)))
  return { route, method: method === '*' ? undefined : method, segments }
}

const segmentsOf = (path: string): string[] => path.split('/').slice(1)

const fits = (pattern: readonly string[], path: readonly string[]): boolean =>
  glob(pattern, path, '**', (segment, asked) =>
    segment.includes('*') ? glob(segment, asked, '*', (a, b) => a === b) : segment === asked,
  )

/**
 * Goes back to the last star only, which is enough and bounds the work. A regular expression would go back to all of them, and
 * clients choose the path.
 */
function glob<T extends ArrayLike<string>>(
  pattern: T,
  text: T,
  star: string,
  same: (part: string, other: string) => boolean,
): boolean {
  let [p, t, lastStar, mark] = [0, 0, -1, 0]
  while (t < text.length) {
    if (p < pattern.length && pattern[p] === star) [lastStar, mark] = [p++, t]
    else if (p < pattern.length && same(pattern[p]!, text[t]!)) [p, t] = [p + 1, t + 1]
    else if (lastStar >= 0) [p, t] = [lastStar + 1, ++mark]
    else return false
  }
  while (pattern[p] === star) p++
  return p === pattern.length
}

/** Decoded, without query, empty segments and dots: what a router of the application would most likely see. */
export function normalPath(url: string): string {
  const end = url.search(/[?#]/)
  let path = end < 0 ? url : url.slice(0, end)
  if (!path.startsWith('/')) path = path.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '') || '/'
  if (path.includes('%')) path = decoded(path)
  return /\/\.{0,2}(\/|$)/.test(path) ? withoutDots(path) : path
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch (error) {
    if (error instanceof URIError) return path // malformed escapes match as they are
    throw error
  }
}

function withoutDots(path: string): string {
  const out: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') out.pop()
    else if (segment !== '' && segment !== '.') out.push(segment)
  }
  return `/${out.join('/')}`
}
