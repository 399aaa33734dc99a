// What a client of the soak may do in a step, and what the promise says must become of it.

import type http from 'node:http'
import { exchange, raw, type Outcome, type Piece } from './exchange.ts'
import type { Random } from './random.ts'

/** Of the server under test, ms. */
export const TIMEOUT_MS = 2_000
const LONG_TIMEOUT_MS = 3_000
/** What a route may take that is asked for as /t/...: see the settings in main.ts. */
export const ROUTES = { '/wait': { timeout: LONG_TIMEOUT_MS / 1000 } }

/** Of src/worker/deadlines.ts: a pause that the clock forgives, the time in which any pace is good, bytes a second. */
const UPLOAD_GAP_MS = 1_000
const UPLOAD_GRACE_MS = 5_000
/** Nobody waits for longer than this past a deadline. */
const HUNG_MS = 8_000

export interface Expected {
  /** What it must be if nothing happened to its worker. `cut`: a response that begins and breaks off. */
  readonly as: 'answer' | '504' | 'cut' | 'nothing' | 'answers'
  /** Of an answer. */
  readonly body?: string
  /** How long from its start until its deadline at the latest, ms. */
  readonly deadline: number
  /** Before this it can't be late, ms. */
  readonly earliest504: number
}

export interface Done {
  readonly action: Action
  readonly path: string
  readonly expected: Expected
  readonly outcome: Outcome
}

export interface Context {
  readonly port: number
  readonly random: Random
  /** One kept connection. */
  readonly kept: http.Agent
  /** Who asks, in which step: `12.345`. */
  readonly id: string
}

const WEIGHTS = {
  kept: 160,
  fresh: 40,
  wait: 14,
  stream: 4,
  big: 1,
  hang: 3,
  late: 2,
  half: 2,
  leave: 5,
  leaveHalfAsked: 2,
  pipeline: 4,
  pipelineHang: 1,
  upload: 2,
  uploadSlowly: 2,
  uploadTooSlowly: 1,
  uploadStalls: 1,
  uploadHang: 1,
} as const
export type Action = keyof typeof WEIGHTS | 'block'

export const act = (context: Context): Promise<Done> => DO[context.random.pick(WEIGHTS)](context)

const answered = (body: string, deadline = TIMEOUT_MS): Expected => ({
  as: 'answer',
  body,
  deadline,
  earliest504: deadline,
})
const timedOut = (deadline = TIMEOUT_MS, earliest504 = deadline): Expected => ({
  as: '504',
  deadline,
  earliest504,
})

async function simple(
  action: Action,
  { port }: Context,
  path: string,
  agent: http.Agent | false,
  expected: Expected,
  more: { upload?: { length: number; pieces: readonly Piece[] }; leaveAfter?: number } = {},
): Promise<Done> {
  const patience = expected.deadline + HUNG_MS
  const outcome = await exchange(port, { path, agent, patience, ...more })
  return { action, path, expected, outcome }
}

const either = (context: Context): http.Agent | false =>
  context.random.next() < 0.5 ? context.kept : false

const pieces = (count: number, bytes: number, pause: number): Piece[] =>
  Array.from({ length: count }, () => ({ bytes, pause }))

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

const DO: Readonly<Record<keyof typeof WEIGHTS, (context: Context) => Promise<Done>>> = {
  kept: (c) => simple('kept', c, `/ok?id=${c.id}`, c.kept, answered(c.id)),
  fresh: (c) => simple('fresh', c, `/ok?id=${c.id}`, false, answered(c.id)),
  wait: (c) => {
    const path = `/wait?id=${c.id}&ms=${c.random.between(1, 1_500)}`
    return simple('wait', c, path, either(c), answered(c.id, LONG_TIMEOUT_MS))
  },
  stream: (c) => {
    const path = `/stream?id=${c.id}&ms=${c.random.between(1, 1_000)}`
    return simple('stream', c, path, either(c), answered(`.....${c.id}`))
  },
  big: (c) => simple('big', c, '/big', either(c), answered('x'.repeat(4 << 20))),
  hang: (c) => simple('hang', c, `/hang?id=${c.id}`, either(c), timedOut()),
  late: (c) => {
    const path = `/wait?id=${c.id}&ms=${c.random.between(3_200, 4_500)}`
    return simple('late', c, path, either(c), timedOut(LONG_TIMEOUT_MS))
  },
  half: (c) => simple('half', c, `/half?id=${c.id}`, either(c), { ...timedOut(), as: 'cut' }),
  leave: (c) => {
    const [path, most] = c.random.next() < 0.5 ? ['/hang', 1_900] : ['/half', 1_900]
    const leaveAfter = c.random.between(0, most as number)
    const nothing: Expected = { ...timedOut(), as: 'nothing' }
    return simple('leave', c, `${path}?id=${c.id}`, false, nothing, { leaveAfter })
  },
  leaveHalfAsked: async (c) => {
    const path = `/ok?id=${c.id}`
    const leaveAfter = c.random.between(1, 500)
    const outcome = await raw(c.port, `${get(path)}GET /ok?id=ha`, {
      isEnough: () => false,
      leaveAfter,
      patience: HUNG_MS,
    })
    const expected: Expected = { ...timedOut(), as: 'nothing' }
    return { action: 'leaveHalfAsked', path, expected, outcome }
  },
  pipeline: (c) => pipeline('pipeline', c, ['/ok', `/wait?ms=${c.random.between(1, 800)}`, '/ok']),
  pipelineHang: (c) => pipeline('pipelineHang', c, ['/ok', '/hang', '/ok']),
  upload: (c) => {
    const length = c.random.between(1, 200_000)
    return upload('upload', c, length, pieces(1, length, 0), 0)
  },
  // From 400 to 8,000 bytes a second, for up to six seconds: longer than the timeout, and no fault of the handler.
  uploadSlowly: (c) => {
    const [count, bytes, pause] = [c.random.between(4, 15), c.random.between(160, 3_200), 400]
    return upload('uploadSlowly', c, count * bytes, pieces(count, bytes, pause), count * pause)
  },
  // 40 bytes a second: after five seconds its clock runs.
  uploadTooSlowly: (c) => {
    const upload = { length: 10_000, pieces: pieces(30, 20, 500) }
    const deadline = UPLOAD_GRACE_MS + TIMEOUT_MS
    const expected = timedOut(deadline, TIMEOUT_MS)
    return simple('uploadTooSlowly', c, `/upload?id=${c.id}`, false, expected, { upload })
  },
  uploadStalls: (c) => {
    const count = c.random.between(1, 6)
    const upload = { length: 10_000, pieces: pieces(count, 500, 200) }
    const deadline = count * 200 + UPLOAD_GAP_MS + TIMEOUT_MS
    const expected = timedOut(deadline, TIMEOUT_MS)
    return simple('uploadStalls', c, `/upload?id=${c.id}`, false, expected, { upload })
  },
  uploadHang: (c) => {
    const length = c.random.between(1, 100_000)
    const upload = { length, pieces: pieces(1, length, 0) }
    const path = `/upload-hang?id=${c.id}`
    return simple(
      'uploadHang',
      c,
      path,
      either(c),
      timedOut(TIMEOUT_MS + UPLOAD_GAP_MS, TIMEOUT_MS),
      { upload },
    )
  },
}

function upload(
  action: Action,
  c: Context,
  length: number,
  all: Piece[],
  sending: number,
): Promise<Done> {
  const expected: Expected = {
    ...answered(`${c.id} ${length}`, sending + UPLOAD_GAP_MS + TIMEOUT_MS),
    earliest504: TIMEOUT_MS,
  }
  return simple(action, c, `/upload?id=${c.id}`, either(c), expected, {
    upload: { length, pieces: all },
  })
}

/** All of it in one write; what hangs ends the connection with its 504. */
async function pipeline(action: Action, c: Context, paths: readonly string[]): Promise<Done> {
  const ids = paths.map((_, n) => `${c.id}.${n}`)
  const bytes = paths.map((path, n) => get(`${path}${path.includes('?') ? '&' : '?'}id=${ids[n]!}`))
  const hangs = paths.includes('/hang')
  const wanted = hangs ? [ids[0]!, 'HTTP/1.1 504'] : ids
  const isEnough = (received: string): boolean => !hangs && received.endsWith(ids.at(-1)!)
  const expected: Expected = {
    as: 'answers',
    body: wanted.join('|'),
    deadline: hangs ? TIMEOUT_MS : LONG_TIMEOUT_MS,
    earliest504: TIMEOUT_MS,
  }
  const outcome = await raw(c.port, bytes.join(''), {
    isEnough,
    patience: expected.deadline + HUNG_MS,
  })
  return { action, path: paths.join(' '), expected, outcome }
}

/** Ways to block; `native` takes the watchdog longer. */
const BLOCKS = { loop: 4, await: 2, timer: 2, regex: 2, native: 4 } as const

export function block(context: Context): Promise<Done> {
  const way = context.random.pick(BLOCKS)
  const path = `/block/${way}?id=${context.id}`
  return simple('block', context, path, either(context), timedOut())
}
