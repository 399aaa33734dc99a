// A server run by a program that uses the library, which passes on what the test asks of its workers.
import { fileURLToPath } from 'node:url'
import type { Answers, Question } from '../../src/inspection.ts'
import { request } from './client.ts'
import { startServer, type Server } from './server.ts'
import { socketPath, tempDir, type Teardown } from './temp.ts'

const library = fileURLToPath(new URL('../../dist/index.js', import.meta.url))

/** Its own arguments are those of the command: `start APP --log-format json ...`; the settings come as JSON. */
const program = `
import { createServer } from 'node:http'
import { supervise } from ${JSON.stringify(library)}
const { SETTINGS, CONTROL } = process.env
const options = { logFormat: 'json', bind: '127.0.0.1:0', ...JSON.parse(SETTINGS) }
let started
const control = createServer(async (req, res) => {
  const { pid, question } = JSON.parse((await req.toArray()).join(''))
  const running = await started
  const answer = await running
    .inspect(pid ?? running.pids()[0], question)
    .then((answer) => ({ answer }), ({ code, message }) => ({ code, message }))
  res.end(JSON.stringify(answer))
})
control.listen(CONTROL, async () => {
  started = supervise(process.argv[3], options)
  const running = await started
  process.exitCode = await running.finished
  control.close()
})
`

export interface Refusal {
  readonly code: string
  readonly message: string
}

export interface Inspectable {
  readonly server: Server
  /** Of its first worker, or of the one with this pid. Throws if that is refused. */
  ask<Q extends Question>(question: Q, pid?: number): Promise<Answers[Q['type']]>
  /** Why that is refused; throws if it is not. */
  refusal(question: object, pid?: number): Promise<Refusal>
}

export async function startInspectable(
  t: Teardown,
  app: string,
  settings: object = {},
): Promise<Inspectable> {
  const control = socketPath(t)
  const dir = tempDir(t, { 'program.mjs': program })
  const server = await startServer(t, app, {
    command: [process.execPath, `${dir}/program.mjs`],
    env: { SETTINGS: JSON.stringify(settings), CONTROL: control },
  })
  const ask = async (question: object, pid?: number): Promise<{ answer?: unknown }> => {
    const body = JSON.stringify({ pid, question })
    const options = { method: 'POST', body }
    return (await request(`unix:${control}`, '/', options)).json()
  }
  return {
    server,
    ask: async <Q extends Question>(question: Q, pid?: number) => {
      const said = await ask(question, pid)
      if (said.answer === undefined) throw new Error(JSON.stringify(said))
      return said.answer as Answers[Q['type']]
    },
    refusal: async (question, pid) => {
      const said = await ask(question, pid)
      if (said.answer !== undefined) throw new Error(`it was answered: ${JSON.stringify(said)}`)
      return said as Refusal
    },
  }
}
