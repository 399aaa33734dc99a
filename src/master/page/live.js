// What the server tells, as long as the page is open: server-sent events, read by fetch(), because an EventSource can't send the
// token. One connection at a time; when it ends or falls silent, the next one, after a pause that grows.

const TOKEN = 'nodicorn-token'
const FIRST_PAUSE_MS = 300
const LONGEST_PAUSE_MS = 5_000
/** The server says something every second. */
const SILENT_MS = 10_000

/** Of this tab, until it is closed. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (text) => sessionStorage.setItem(TOKEN, text),
  forget: () => sessionStorage.removeItem(TOKEN),
}

/** As fetch(), with the token. */
export function ask(path, { secret = token.get(), ...options } = {}) {
  const headers = { ...options.headers, ...(secret && { authorization: `Bearer ${secret}` }) }
  return fetch(path, { credentials: 'omit', ...options, headers, cache: 'no-store' })
}

export class Live {
  #hear
  #tell
  #current = new AbortController()

  /** `hear(event, data)` of each message; `tell(state)`: `live`, `lost` or `locked`. */
  constructor(hear, tell) {
    this.#hear = hear
    this.#tell = tell
  }

  /** Anew, with the token as it is now. */
  start() {
    this.#current.abort()
    this.#current = new AbortController()
    void this.#run(this.#current.signal)
  }

  async #run(over) {
    let pause = FIRST_PAUSE_MS
    while (!over.aborted) {
      const result = await this.#once(over)
      if (over.aborted) return
      this.#tell(result)
      if (result === 'locked') return
      pause = result === 'ended' ? FIRST_PAUSE_MS : Math.min(pause * 1.5, LONGEST_PAUSE_MS)
      await sleep(pause, over)
    }
  }

  /** One connection, to its end. */
  async #once(over) {
    const silent = new AbortController()
    let timer
    const heard = () => {
      clearTimeout(timer)
      timer = setTimeout(() => silent.abort(), SILENT_MS)
    }
    heard()
    let wasLive = false
    try {
      const signal = AbortSignal.any([over, silent.signal])
      const answer = await ask('/api/events', { signal })
      if (answer.status === 401 || answer.status === 403) return 'locked'
      if (!answer.ok) return 'lost'
      for await (const [event, data] of messages(answer.body, heard)) {
        if (!wasLive) this.#tell('live')
        wasLive = true
        this.#hear(event, data)
      }
    } catch (error) {
      // TypeError: no connection; AbortError: silent, or replaced by another one
      if (!(error instanceof TypeError) && error.name !== 'AbortError') console.error(error)
    } finally {
      clearTimeout(timer)
    }
    return wasLive ? 'ended' : 'lost'
  }
}

/** Each message as its event and its data. */
async function* messages(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      heard()
      const blocks = (rest + value).split('\n\n')
      rest = blocks.pop()
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s)))
        if (fields.data) yield [fields.event, JSON.parse(fields.data)]
      }
    }
  } finally {
    reader.cancel().catch(() => undefined) // it has ended already
  }
}

const sleep = (ms, over) =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      over.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    over.addEventListener('abort', end)
  })
