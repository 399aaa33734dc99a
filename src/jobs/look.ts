// `supervisor jobs ls|show|cancel|retry|clean|stats`: one question to the queue, and its answer as text or JSON. Runs in the command line.
import { parseArgs } from 'node:util'
import * as v from 'valibot'
import { badSetting, UserError } from '../errors.ts'
import { seconds } from '../kinds.ts'
import { isAway } from './away.ts'
import { Client } from './client.ts'
import type { JobsEnvironment } from './environment.ts'
import { type JobStatus, type Status, STATUSES } from './views.ts'

interface Asked {
  readonly client: Client
  readonly id: string
  readonly flags: { readonly limit?: string; readonly status?: string; readonly age?: string }
}
/** `text`: the lines for people. */
interface Shown {
  readonly facts: unknown
  readonly text: readonly string[]
}

const questions: Readonly<Record<string, (asked: Asked) => Promise<Shown>>> = {
  ls: async ({ client, flags }) => {
    const list = await client.list({ state: statusIn(flags.status), limit: limitIn(flags.limit) })
    return { facts: list, text: table(list) }
  },
  show: async ({ client, id }) => {
    const details = await client.details(id)
    if (!details) throw unknown(id)
    const lines = Object.entries(details).map(([key, value]) => `${key}: ${textOf(value)}`)
    return { facts: details, text: lines }
  },
  cancel: async ({ client, id }) => {
    const done = await client.cancel(id)
    if (done === undefined) throw unknown(id)
    if (done === 'finished') throw new UserError('NOT_NOW', `job ${id} has finished already`)
    return { facts: { job_id: id, [done]: true }, text: [`job ${id} is ${done}`] }
  },
  retry: async ({ client, id }) => {
    if (await client.retry(id))
      return { facts: { job_id: id }, text: [`job ${id} is queued again`] }
    const status = await client.status(id)
    if (!status) throw unknown(id)
    throw new UserError(
      'NOT_NOW',
      `job ${id} is ${status.status}; only a failed one can be retried`,
    )
  },
  clean: async ({ client, flags }) => {
    const state = statusIn(flags.status)
    if (state === 'queued' || state === 'processing')
      throw badSetting('--status', state, 'completed or failed')
    const removed = await client.clean(ageIn(flags.age), state)
    return { facts: { removed }, text: [`${removed} finished jobs were removed`] }
  },
  stats: async ({ client }) => {
    const stats = await client.stats()
    return { facts: stats, text: Object.entries(stats).map(([key, n]) => `${key}: ${n}`) }
  },
}
const NEED_ID = ['show', 'cancel', 'retry']

/** Answers the exit status. `configure` reads the settings, from what flags are left. Throws UserErrors. */
export async function look(
  question: string,
  words: readonly string[],
  configure: (flags: readonly string[]) => Promise<JobsEnvironment>,
): Promise<number> {
  const answer = Object.hasOwn(questions, question) ? questions[question] : undefined
  if (!answer)
    throw new UserError(
      'BAD_COMMAND',
      `"supervisor jobs ${question}" is not a command; it runs jobs without a word after it, and knows ${Object.keys(questions).join(', ')}`,
    )
  const { values, positionals, rest } = parse(words)
  const needsId = NEED_ID.includes(question)
  if (positionals.length !== (needsId ? 1 : 0))
    throw new UserError('BAD_COMMAND', `usage: supervisor jobs ${question}${needsId ? ' ID' : ''}`)
  const environment = await configure(rest)
  const client = new Client(() => Promise.resolve(environment))
  try {
    const shown = await answer({ client, id: positionals[0] ?? '', flags: values })
    const text = values.json ? JSON.stringify(shown.facts, null, 2) : shown.text.join('\n')
    process.stdout.write(`${text}\n`)
    return 0
  } catch (error) {
    if (!isAway(error)) throw error
    const said = /job store/.test(error.message) ? '' : 'the job store does not answer: '
    throw new UserError('JOB_STORE', `${said}${error.message}`)
  } finally {
    await client.close()
  }
}

function parse(words: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        json: { type: 'boolean' },
        limit: { type: 'string', short: 'n' },
        status: { type: 'string' },
        age: { type: 'string' },
        config: { type: 'string', short: 'c' },
      },
    })
    return { values, positionals, rest: values.config ? ['-c', values.config] : [] }
  } catch (error) {
    // ERR_PARSE_ARGS_...: the command line is wrong
    throw new UserError('BAD_COMMAND', (error as Error).message)
  }
}

const unknown = (id: string): UserError => new UserError('NO_JOB', `there is no job ${id}`)

function statusIn(word: string | undefined): Status | undefined {
  if (word === undefined) return undefined
  const status = STATUSES.find((one) => one === word)
  if (!status) throw badSetting('--status', word, `one of ${STATUSES.join(', ')}`)
  return status
}

function limitIn(word = '50'): number {
  if (!/^[1-9]\d{0,3}$/.test(word) || Number(word) > 1_000)
    throw badSetting('--limit', word, 'a number from 1 to 1000')
  return Number(word)
}

function ageIn(word = '0'): number {
  const { schema, wanted } = seconds()
  const result = v.safeParse(schema, word)
  if (!result.success) throw badSetting('--age', word, wanted)
  return result.output
}

const textOf = (value: unknown): string =>
  Array.isArray(value)
    ? value.map((line) => `\n  ${String(line)}`).join('')
    : typeof value === 'string'
      ? value
      : JSON.stringify(value)

function table(list: readonly JobStatus[]): string[] {
  const rows = [
    ['ID', 'NAME', 'STATUS', 'ATTEMPTS', 'CREATED', 'PROGRESS'],
    ...list.map((job) => [
      job.job_id,
      job.name,
      job.status,
      String(job.attempts),
      job.created_at,
      job.error ?? (job.progress === null ? '' : JSON.stringify(job.progress)),
    ]),
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row
      .map((cell, n) => cell.padEnd(widths[n]!))
      .join('  ')
      .trimEnd(),
  )
}
