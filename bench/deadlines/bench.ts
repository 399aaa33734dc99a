// What the parts of this benchmark share: the Node under test, the report, our server and how a request ends.

import { request, type Answer } from '../../test/helpers/client.ts'
import {
  startServer,
  type LogLine,
  type Server,
  type StartArgs,
} from '../../test/helpers/server.ts'
import type { Teardown } from '../../test/helpers/temp.ts'
import type { Report } from '../report.ts'
import type { Site } from '../site.ts'
import { cli } from '../variants.ts'

export interface Bench {
  /** The Node that runs the servers. */
  readonly node: string
  readonly site: Site
  readonly report: Report
  /** Repetitions of what is short. */
  readonly rounds: number
  /** Of one run of wrk. */
  readonly seconds: number
}

/** Our server; the log may say that something timed out. `from`: the CLI of another build. */
export async function ours(
  t: Teardown,
  node: string,
  app: string,
  flags: readonly string[] = [],
  options: { config?: Record<string, unknown>; from?: string } = {},
): Promise<Server> {
  const { config, from = cli } = options
  const args: StartArgs = [...flags, { command: [node, from], ...(config && { config }) }]
  const server = await startServer(t, app, ...args)
  server.expectLog(/^REQUEST TIMEOUT/, /^WORKER TIMEOUT/, /^ALERT/)
  return server
}

/** Of a log line, ms since 1970. */
export const at = (line: LogLine): number => Date.parse(line.time)

export interface End {
  /** A status, the code of an error, or `no answer`. */
  readonly end: number | string
  readonly ms: number
}

/** How a request ends that nobody waits for longer than `patience` ms. */
export async function endOf(url: string, path: string, patience: number): Promise<End> {
  const signal = AbortSignal.timeout(patience)
  const began = performance.now()
  const end = await request(url, path, { signal }).then(
    ({ status }: Answer): number | string => status,
    (error: NodeJS.ErrnoException) => (signal.aborted ? 'no answer' : String(error.code)),
  )
  return { end, ms: performance.now() - began }
}

export const inSeconds = (ms: number, digits = 2): string => `${(ms / 1000).toFixed(digits)} s`
