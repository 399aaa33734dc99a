// The process of the dashboard: bull-board, for the master alone, at a unix socket in a directory of its own. Nothing of it is loaded
// anywhere else. Forked by the master; its settings are in NODICORN_JOBS.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Queue } from 'bullmq'
import { UserError } from '../../errors.ts'
import { withoutUrl } from '../../jobs-setting.ts'
import { openStore } from '../connect.ts'
import { givenEnvironment, type JobsEnvironment } from '../environment.ts'
import { MasterChannel } from '../master-channel.ts'
import { loadBullBoard, type BullBoard } from '../packages.ts'
import { QueueLook } from '../queue-look.ts'
import type { Payload } from '../views.ts'
import { Board } from './board.ts'

type Serve = (request: IncomingMessage, response: ServerResponse) => void

async function main(): Promise<void> {
  const environment = givenEnvironment()!
  const directory = mkdtempSync(join(tmpdir(), 'nodicorn-jobs-'))
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
  let look: QueueLook | undefined
  const end = (): Promise<void> => Promise.resolve()
  const channel = new MasterChannel({
    drain: end,
    orphaned: end,
    // ECONNREFUSED: the store is away, and is asked again
    look: async () => await look?.look().catch(() => undefined),
    orphanSeconds: 5,
    onTerm: 'ignore',
  })
  process.title = 'supervisor: jobs dashboard'
  try {
    const bullBoard = await loadBullBoard().catch((error: unknown) => missing(error, channel))
    const path = join(directory, 'dashboard.sock')
    let serve: Serve
    if (typeof bullBoard === 'string') serve = (_, response) => refuse(response, bullBoard)
    else {
      const store = await openStore(environment, 'client')
      const queue = store.queue()
      look = new QueueLook(queue)
      const board = boardOf(bullBoard, queue, environment)
      serve = (request, response) => void board.serve(request, response)
      channel.event('jobsDashboard', { path: environment.dashboard })
    }
    await new Promise<void>((resolve, reject) => {
      createServer(serve).once('error', reject).listen(path, resolve)
    })
    channel.listening(path)
    channel.ready()
  } catch (error) {
    channel.fatal(withoutUrl((error as Error).message, environment.store))
  }
}

/** Again and again it would be the same: it is said once in the log, and to everybody who asks. */
function missing(error: unknown, channel: MasterChannel): string {
  if (!(error instanceof UserError)) throw error
  channel.event('jobsDashboardOff', { why: error.message })
  return error.message
}

function refuse(response: ServerResponse, why: string): void {
  response.writeHead(503, { 'content-type': 'text/plain; charset=utf-8' })
  response.end(`${why}\n`)
}

function boardOf(
  { createBullBoard, BullMQAdapter }: BullBoard,
  queue: Queue<Payload>,
  { dashboard }: JobsEnvironment,
): Board {
  const board = new Board(dashboard)
  createBullBoard({
    queues: [new BullMQAdapter(queue)],
    serverAdapter: board,
    options: {
      uiConfig: {
        boardTitle: 'Jobs',
        hideDocsLink: true,
        miscLinks: [{ text: 'Server', url: '/' }],
      },
    },
  })
  return board
}

await main()
