// Clients that notice when a connection is not the one they had: many in closed loops, or one of whose bytes each is written by hand.
import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { RawClient, request } from './client.ts'
import type { Teardown } from './temp.ts'
import { until } from './until.ts'

const BODY = 'x'.repeat(16_384)

export interface Crowd {
  readonly failures: string[]
  /** Connections beyond the first one of each client. */
  reconnects(): number
  /** Waits until every client has had two more answers. */
  served(): Promise<void>
  stop(): Promise<void>
}

/** Counts the connections it opens. */
export class CountingAgent extends http.Agent {
  opened = 0

  override createConnection(
    ...args: Parameters<http.Agent['createConnection']>
  ): ReturnType<http.Agent['createConnection']> {
    this.opened++
    return super.createConnection(...args)
  }
}

/** Clients with one connection each that ask again `think` ms after each answer; every third request has a body. */
export function startCrowd(t: Teardown, base: string, clients: number, think: number): Crowd {
  const failures: string[] = []
  const agents = Array.from(
    { length: clients },
    () => new CountingAgent({ keepAlive: true, maxSockets: 1 }),
  )
  const answers = agents.map(() => 0)
  let running = true
  const ask = async (agent: http.Agent, body: string | undefined): Promise<void> => {
    const path = body ? '/echo' : '/'
    const method = body ? 'POST' : 'GET'
    const answer = await request(base, path, { agent, method, ...(body && { body }) })
    if (answer.status !== 200 || answer.text !== (body ?? 'hello'))
      failures.push(`status ${answer.status}, ${answer.text.length} bytes`)
  }
  const run = async (agent: http.Agent, at: number): Promise<void> => {
    for (let n = at; running; n++) {
      await ask(agent, n % 3 ? undefined : BODY).catch((error) => failures.push(String(error)))
      answers[at]!++
      await sleep(think)
    }
    agent.destroy()
  }
  const all = Promise.all(agents.map(run))
  const stop = async (): Promise<void> => {
    running = false
    await all
  }
  t.onTestFinished(stop)
  return {
    failures,
    reconnects: () => agents.reduce((sum, { opened }) => sum + opened - 1, 0),
    async served() {
      const before = [...answers]
      await until('everybody was served', () => answers.every((n, at) => n >= before[at]! + 2))
    },
    stop,
  }
}

/** A connection of whose requests the test writes each byte, already used once. */
export async function usedClient(
  t: Teardown,
  base: string,
): Promise<{ client: RawClient; pid: string }> {
  const client = await RawClient.connect(base)
  t.onTestFinished(() => client.destroy())
  client.send(GET_PID)
  const [, pid] = await client.receives(/\r\n\r\n(\d+)$/)
  client.received = ''
  return { client, pid: pid! }
}

export const GET_PID = 'GET /pid HTTP/1.1\r\nHost: a\r\n\r\n'
