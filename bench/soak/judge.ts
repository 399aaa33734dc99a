// Whether what became of a request is what was promised, given what the log says was happening to the workers.

import type { LogLine } from '../../test/helpers/server.ts'
import type { Done } from './actions.ts'

/** Past its deadline, a request may live so long; ms. */
const SLACK_MS = 1_500
/** The client's clock starts before the server's, and both count whole milliseconds. */
const EARLY_MS = 5
/** Between what happens and the log line that says so, on a busy machine; ms. */
const LOG_MS = 1_000

export type Verdict =
  | 'as expected'
  // A worker was killed with it:
  | '503, try again'
  | '504 of a late neighbour'
  | '504 of the culprit, early'
  | 'cut, its response had begun'
  | 'lost with the connection it was sent on'
  | 'upload cut'
  | 'WRONG'

export interface Judged {
  readonly verdict: Verdict
  /** What is wrong, for people. */
  readonly why?: string
}

/** Ms since 1970. */
const timeOf = (line: LogLine): number => Date.parse(line.time)

export class Judge {
  readonly #lines: readonly LogLine[]
  /** How late the client itself was at most between two times, ms. */
  readonly #lag: (from: number, to: number) => number

  /** `lines`: the server's log, which grows. Ask only when what it says of the request has arrived. */
  constructor(lines: readonly LogLine[], lag: (from: number, to: number) => number) {
    this.#lines = lines
    this.#lag = lag
  }

  judge(done: Done): Judged {
    const { outcome, expected } = done
    const age = outcome.endedAt - outcome.startedAt
    const lag = this.#lag(outcome.startedAt, outcome.endedAt)
    if (outcome.error === 'hung' || age > expected.deadline + SLACK_MS + lag)
      return wrong(
        done,
        `not over by its deadline + ${SLACK_MS} ms (the client was ${lag} ms late)`,
      )
    if (isAsExpected(done)) return { verdict: 'as expected' }
    const explained = this.#explain(done)
    return explained ? { verdict: explained } : wrong(done, 'no rule explains it')
  }

  /** What the death of its worker, or its leaving, makes of a request. */
  #explain({ outcome, expected, action }: Done): Verdict | undefined {
    const { status, error, startedAt, endedAt, reused, body, retryAfter } = outcome
    const killed = this.#happened('workerTimeout', startedAt, endedAt)
    const leaving = this.#happened('workerExiting', startedAt - 3_000, endedAt)
    const age = endedAt - startedAt
    if (expected.as === 'answers')
      return killed && isPrefix(body, expected.body!) ? 'cut, its response had begun' : undefined
    if (killed && status === 503 && retryAfter === '1') return '503, try again'
    // Another request was late first.
    if (killed && status === 504 && action === 'block') return '504 of the culprit, early'
    if (killed && status === 504 && age >= expected.earliest504 - EARLY_MS)
      return '504 of a late neighbour'
    if (killed && status === 200 && error) return 'cut, its response had begun'
    if ((killed || leaving) && reused && error && status === undefined)
      return 'lost with the connection it was sent on'
    if (killed && error && action.startsWith('upload')) return 'upload cut'
    return undefined
  }

  /** `asked 3 ms after the death of a worker, ended 15 ms after it`. */
  when({ outcome: { startedAt, endedAt } }: Done): string {
    const deaths = this.#lines.filter(({ event }) => event === 'workerTimeout').map(timeOf)
    const last = deaths.filter((time) => time <= endedAt + LOG_MS).at(-1) ?? NaN
    const lag = this.#lag(startedAt, endedAt)
    return `asked ${startedAt - last} ms, ended ${endedAt - last} ms after the death of a worker; the client was ${lag} ms late`
  }

  #happened(event: string, from: number, to: number): boolean {
    // Backwards: what is asked for is near the end.
    for (let n = this.#lines.length - 1; n >= 0; n--) {
      const line = this.#lines[n]!
      const time = timeOf(line)
      if (time < from - LOG_MS) return false
      if (line.event === event && time <= to + LOG_MS) return true
    }
    return false
  }
}

function isAsExpected({ outcome, expected }: Done): boolean {
  const { status, body, error, endedAt, startedAt } = outcome
  const age = endedAt - startedAt
  switch (expected.as) {
    case 'answer':
      return status === 200 && body === expected.body && error === undefined
    case '504':
      return status === 504 && age >= expected.earliest504 - EARLY_MS && error === undefined
    case 'cut':
      return (
        status === 200 &&
        body === 'half of it' &&
        error === 'ECONNRESET' &&
        age >= expected.earliest504 - EARLY_MS
      )
    case 'nothing':
      return error === 'left' || status === 504 || (status === 200 && error === 'ECONNRESET')
    case 'answers':
      return error === undefined && isWhole(body, expected.body!)
  }
}

/** All that was wanted is there, in its order. */
function isWhole(received: string, wanted: string): boolean {
  let at = 0
  for (const part of wanted.split('|')) {
    const found = received.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return true
}

/** Some of the answers, and then nothing or the 503 or 504 of a killed worker. */
function isPrefix(received: string, wanted: string): boolean {
  const statuses = [...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status!)
  const good = statuses.filter((status) => status === '200').length
  return isWhole(received, wanted.split('|').slice(0, good).join('|'))
}

function wrong({ action, path, expected, outcome }: Done, why: string): Judged {
  const { status, error, startedAt, endedAt, reused, body } = outcome
  const seen = [
    status ?? 'no status',
    error ?? 'no error',
    `after ${endedAt - startedAt} ms`,
    reused ? 'on a kept connection' : 'on a new connection',
    JSON.stringify(body.length < 1_000 ? body : `${body.slice(0, 100)}...${body.slice(-100)}`),
  ]
  const at = new Date(startedAt).toISOString()
  return {
    verdict: 'WRONG',
    why: `${at} ${action} ${path}: ${seen.join(', ')}; wanted ${expected.as} within ${expected.deadline} ms: ${why}`,
  }
}
