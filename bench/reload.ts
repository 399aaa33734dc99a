// What reloads cost clients: closed loops over keep-alive connections while the workers are replaced again and again.
// Prints failed requests and reconnects. `npm run bench:reload -- [--node /path/to/node] [--reloads 50] [--no-handover]`

import http from 'node:http'
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { start } from './servers.ts'
import { run, type Site } from './site.ts'

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    reloads: { type: 'string', default: '50' },
    requests: { type: 'string', default: '100000' },
    clients: { type: 'string', default: '64' },
    'no-handover': { type: 'boolean', default: false },
  },
})
const reloads = Number(values.reloads)
const requests = Number(values.requests)
/** Ms between an answer and the next request of the same client. */
const THINK = [0, 2, 100]
const BODY = Buffer.alloc(16_384, 'x')

interface Tally {
  answered: number
  failed: number
  opened: number
  readonly errors: Map<string, number>
}
const tallies = new Map(
  THINK.map((think): [number, Tally] => [
    think,
    { answered: 0, failed: 0, opened: 0, errors: new Map() },
  ]),
)
const answered = (): number => [...tallies.values()].reduce((sum, t) => sum + t.answered, 0)

class CountingAgent extends http.Agent {
  readonly #tally: Tally

  constructor(tally: Tally) {
    super({ keepAlive: true, maxSockets: 1 })
    this.#tally = tally
  }

  override createConnection(
    ...args: Parameters<http.Agent['createConnection']>
  ): ReturnType<http.Agent['createConnection']> {
    this.#tally.opened++
    return super.createConnection(...args)
  }
}

/** Resolves with what went wrong, or undefined. */
function once(port: number, agent: http.Agent, body: Buffer | undefined): Promise<string | void> {
  return new Promise((resolve) => {
    const options = { port, host: '127.0.0.1', agent, method: body ? 'POST' : 'GET' }
    const request = http.request(options, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('error', (error) => resolve(error.message))
      response.on('end', () =>
        resolve(text === 'hello' ? undefined : `${response.statusCode} ${text}`),
      )
    })
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    request.end(body)
  })
}

let running = true

async function client(port: number, think: number): Promise<void> {
  const tally = tallies.get(think)!
  const agent = new CountingAgent(tally)
  for (let n = 0; running; n++) {
    const wrong = await once(port, agent, n % 3 ? undefined : BODY)
    if (wrong === undefined) tally.answered++
    else {
      tally.failed++
      tally.errors.set(wrong, (tally.errors.get(wrong) ?? 0) + 1)
    }
    await sleep(think)
  }
  agent.destroy()
}

async function measure(site: Site): Promise<number> {
  const own = values['no-handover'] ? ['--no-handover', '--drain-idle', '1'] : []
  const options = { flags: ['--log-format', 'json', ...own] }
  const server = await start(site, 'ours', values.node, options)
  const descriptors = (): number => readdirSync(`/proc/${server.child.pid}/fd`).length
  const reloaded = (): number => server.log().split('"event":"reloaded"').length - 1
  const count = Number(values.clients)
  const clients = Array.from({ length: count }, (_, n) =>
    client(server.port, THINK[n % THINK.length]!),
  )
  const began = performance.now()
  let done = 0
  let before = 0
  while (done < reloads || answered() < requests) {
    if (done < reloads) {
      server.child.kill('SIGHUP')
      done++
      while (reloaded() < done) await sleep(20)
      if (done === 2) before = descriptors()
    } else await sleep(50)
  }
  const after = descriptors()
  running = false
  await Promise.all(clients)
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  report(
    `${done} reloads, ${answered()} answers in ${seconds} s; master's descriptors ${before} -> ${after}`,
  )
  return 0
}

function report(what: string): void {
  const version = execFileSync(values.node, ['--version'], { encoding: 'utf8' }).trim()
  const count = Number(values.clients)
  const how = values['no-handover'] ? ', hand-over off' : ''
  console.log(`Node ${version}, 2 workers, ${count} clients${how}: ${what}`)
  for (const [think, { answered: ok, failed, opened, errors }] of tallies) {
    const own = Math.ceil((count - THINK.indexOf(think)) / THINK.length)
    const list = [...errors].map(([error, n]) => `${n} x ${error}`).join(', ')
    console.log(
      `  think ${think} ms: ${ok} answered, ${failed} failed, ${opened - own} reconnects ${list}`,
    )
  }
}

await run(measure)
