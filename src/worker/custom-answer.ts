// The 504 in the words of the settings file's timeoutAnswer, checked so that it can't fail while it is sent. Runs in
// the workers that have this hook.

import { http } from '../builtin.ts'
import { isThenable, type HookRunner } from '../hook-runner.ts'
import type { Answer } from './error-answer.ts'
import type { Entry } from './request-entry.ts'
import { requestFacts } from './request-facts.ts'

/** Undefined: the hook leaves the answer to us, or it failed, which is logged. */
export function customAnswer(runner: HookRunner, entry: Entry): Answer | undefined {
  const accept = String(entry.req.headers.accept ?? '')
  const facts = { ...requestFacts(entry), timeout: entry.timeout, accept }
  try {
    const given = runner.result('timeoutAnswer', facts)
    if (!isThenable(given)) return checked(given)
    void runner.watch('timeoutAnswer', given)
    throw new TypeError('it answered a promise, and there is no time to wait for one')
  } catch (error) {
    runner.failed('timeoutAnswer', error)
    return undefined
  }
}

/** These say where a message ends and what becomes of the connection, which is not the hook's to decide. */
const OURS = new Set([
  'connection',
  'content-length',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

function checked(given: unknown): Answer | undefined {
  if (given === undefined || given === null) return undefined
  const { body, contentType, headers = {} } = given as Record<string, unknown>
  if (typeof body !== 'string') throw new TypeError('it answered no text as body')
  const [, type] = header('content-type', contentType ?? 'text/plain; charset=utf-8')
  const more = Object.entries(headers as object).map(([name, value]) => header(name, value))
  return { type, body, headers: Object.fromEntries(more) }
}

function header(given: string, value: unknown): [string, string] {
  const name = given.toLowerCase()
  const { validateHeaderName, validateHeaderValue } = http()
  validateHeaderName(name)
  if (typeof value !== 'string') throw new TypeError(`its header ${name} is not a text`)
  validateHeaderValue(name, value)
  if (OURS.has(name)) throw new TypeError(`it may not set the header ${name}`)
  return [name, value]
}
