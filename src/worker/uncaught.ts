// An error that nobody caught costs one request, not all of them: that one gets a 500, the worker leaves once the others are
// finished. Runs in every worker that is ready, unless `crash` is 'exit' or the application handles such errors itself.

import { util } from '../builtin.ts'
import type { Named } from '../protocol.ts'
import type { Channel } from './channel.ts'
import { storage } from './context.ts'
import { failureAnswer } from './error-answer.ts'
import { isOurs } from './own-aborts.ts'
import { answer, cutOff, swallow } from './refuse.ts'
import type { Entry } from './request-entry.ts'
import type { Requests } from './requests.ts'

/** A timer that throws again and again must not flood the log while the worker leaves. */
const TOLD = 20
const FRAMES = 20
const MAX_TEXT = 2_048

type Emit = (event: string, ...args: unknown[]) => boolean
type Outcome = '500' | 'cut' | 'none'

export class Uncaught {
  readonly #channel: Channel
  readonly #requests: Requests
  #told = 0

  constructor(channel: Channel, requests: Requests) {
    this.#channel = channel
    this.#requests = requests
  }

  /**
   * From now on. Not before the worker is ready, because an error at boot must end it; and then the application has loaded, so
   * that we come before what its libraries do to process.emit (source-map-support exits there). No listener of ours: libraries
   * count listeners to find out whether somebody else decides. A rejection arrives here if nothing else handles rejections.
   */
  watch(): void {
    const emit = process.emit.bind(process) as Emit
    process.emit = ((event: string, ...args: unknown[]) => {
      if (event !== 'uncaughtException' || process.listenerCount(event) > 0 || isOurs(args[0]))
        return emit(event, ...args)
      this.#caught(args[0])
      return true
    }) as typeof process.emit
  }

  #caught(error: unknown): void {
    const entry = storage.getStore() ?? this.#requests.passing
    this.#requests.passing = undefined
    const text = describe(error)
    const outcome = entry ? end(entry) : 'none'
    if (++this.#told > TOLD) return
    process.stderr.write(`${text}\n`)
    const lines = text.split('\n').map((line) => line.trim().slice(0, MAX_TEXT))
    this.#channel.tell({
      type: 'uncaught',
      error: lines[0] ?? '',
      stack: framesIn(lines),
      outcome,
      ...(entry && { request: named(entry) }),
    })
  }
}

/** A response that is over, or whose client left or was told 504, is nobody's any more. */
function end(entry: Entry): Outcome {
  const { req, res } = entry
  if (entry.state !== 'running' || res.writableEnded) return 'none'
  const isFresh = !res.headersSent
  entry.fail()
  if (!isFresh) {
    cutOff(req, res)
    return 'cut'
  }
  const { type, body } = failureAnswer(entry)
  answer(req, res, 500, body, { 'content-type': type, 'x-request-id': entry.id })
  swallow(res)
  return '500'
}

const named = ({ method, url, id, route }: Entry): Named => ({
  method,
  url: url.slice(0, MAX_TEXT),
  id,
  ...(route && { route: route.pattern }),
})

/** Without the properties that inspect adds after them. */
const framesIn = (lines: readonly string[]): string[] =>
  lines
    .filter((line) => line.startsWith('at '))
    .slice(0, FRAMES)
    .map((line) => line.replace(/ \{$/, ''))

/** What node would print; an error may have a stack or an inspect method that throws. */
function describe(error: unknown): string {
  try {
    return util.inspect(error)
  } catch (failure) {
    return `an error that cannot be shown (${String(failure)})`
  }
}
