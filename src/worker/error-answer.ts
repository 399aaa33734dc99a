// The body of a 504 or a 500 of ours, in the type the client asked for. Runs in every worker.

import type { Entry } from './request-entry.ts'

const TYPES = ['text/plain', 'application/json', 'text/html'] as const
type Type = (typeof TYPES)[number]

export interface Answer {
  readonly type: string
  readonly body: string
  /** In lower case. */
  readonly headers?: Readonly<Record<string, string>>
}

/** `why`: for people. */
export const timeoutAnswer = (
  entry: Entry,
  why = `no response within ${entry.timeout} s`,
): Answer => inType(entry, 504, 'Gateway Timeout', `Gateway Timeout: ${why}`)

/** Of the error itself clients learn nothing. */
export const failureAnswer = (entry: Entry): Answer =>
  inType(entry, 500, 'Internal Server Error', 'Internal Server Error')

function inType(entry: Entry, status: number, error: string, text: string): Answer {
  const type = preferred(String(entry.req.headers.accept ?? ''))
  const title = `${status} ${error}`
  const bodies: Record<Type, string> = {
    'text/plain': `${text}\n`,
    'application/json': `${JSON.stringify({ error, status, message: text, requestId: entry.id })}\n`,
    'text/html': `<!doctype html><title>${title}</title><h1>${title}</h1><p>${text}. Request ${escapeHtml(entry.id)}\n`,
  }
  return { type: `${type}; charset=utf-8`, body: bodies[type] }
}

/** RFC 9110, 12.5.1: the highest weight wins, and among equals the order of TYPES; plain text when nothing is asked for. */
function preferred(accept: string): Type {
  const weights = new Map(
    accept.split(',').map((part) => {
      const [range = '', ...parameters] = part.trim().toLowerCase().split(';')
      const q = parameters.map((p) => /^\s*q=([\d.]+)/.exec(p)?.[1]).find(Boolean)
      return [range.trim(), q === undefined ? 1 : Number(q)] as const
    }),
  )
  const weigh = (type: Type): number =>
    weights.get(type) ?? weights.get(`${type.split('/')[0]}/*`) ?? weights.get('*/*') ?? 0
  return TYPES.reduce((best, type) => (weigh(type) > weigh(best) ? type : best), TYPES[0])
}

const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
