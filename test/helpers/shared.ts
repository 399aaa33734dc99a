// One server for all tests of a describe: for questions that leave it as it was.
import { afterAll, beforeAll } from 'vitest'
import { startServer, type Server, type StartArgs } from './server.ts'

/** Starts it before the first test and ends and checks it after the last one. The tests get it by a call. */
export function sharedServer(app: string, ...args: StartArgs): () => Server {
  const ends: (() => void | Promise<void>)[] = []
  let server: Server | undefined
  beforeAll(async () => {
    server = await startServer({ onTestFinished: (end) => void ends.push(end) }, app, ...args)
  })
  afterAll(async () => {
    for (const end of ends.reverse()) await end()
  })
  return () => server!
}
