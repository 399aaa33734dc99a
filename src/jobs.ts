// For applications with background jobs: define them, enqueue them, look after them. A door (`nodicorn/jobs`); the packages behind
// it are loaded with the first job that is enqueued or looked at.
import type { ServerResponse } from 'node:http'
import {
  type Cancelled,
  Client,
  type EnqueueOptions,
  type JobEvent,
  type ListOptions,
} from './jobs/client.ts'
import { type Definition, define, type JobHandler, type JobOptions } from './jobs/define.ts'
import { acceptanceOf, type JobRoutes, makeRoutes } from './jobs/routes.ts'
import { type JobStatus, type Status, type Urls, urlsOf } from './jobs/views.ts'

export { UnrecoverableError, type JobContext, type JobOptions } from './jobs/define.ts'
export type { Cancelled, EnqueueOptions, JobEvent, JobRoutes, JobStatus, ListOptions, Status }

const BASE = '/v1/jobs'
const client = new Client()

/** A job that was enqueued. */
export interface EnqueuedJob<Result = unknown> {
  readonly id: string
  status(): Promise<JobStatus | undefined>
  /** Undefined as long as it has not completed. */
  result(): Promise<Result | undefined>
}

/** A job's definition, by which it is enqueued too: data and result have its types. */
export interface DefinedJob<Name extends string, Data, Result> extends Definition<
  Name,
  Data,
  Result
> {
  /** Rejects if the store does not answer within 15 s. Once it resolves, the job is in the store. */
  enqueue(data: Data, options?: EnqueueOptions): Promise<EnqueuedJob<Awaited<Result>>>
}

/**
 * Defines a job. The handler runs in a thread of a job process, never where HTTP is served.
 * @throws UserError for an option that can't be right.
 */
export function defineJob<const Name extends string, Data, Result>(
  name: Name,
  options: JobOptions,
  handler: JobHandler<Data, Result>,
): DefinedJob<Name, Data, Result>
export function defineJob<const Name extends string, Data, Result>(
  name: Name,
  handler: JobHandler<Data, Result>,
): DefinedJob<Name, Data, Result>
export function defineJob<const Name extends string, Data, Result>(
  name: Name,
  ...rest: [JobHandler<Data, Result>] | [JobOptions, JobHandler<Data, Result>]
): DefinedJob<Name, Data, Result> {
  const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest
  const definition = define(name, options, handler)
  return {
    ...definition,
    enqueue: async (data, more) => enqueued(await client.enqueue(name, data, more)),
  }
}

const enqueued = <Result>(id: string): EnqueuedJob<Result> => ({
  id,
  status: () => client.status(id),
  result: async () => (await client.outcome(id))?.result as Result | undefined,
})

type AnyJob = DefinedJob<string, never, unknown>
type DataOf<J> = J extends DefinedJob<string, infer Data, unknown> ? Data : unknown
type ResultOf<J> = J extends DefinedJob<string, never, infer Result> ? Awaited<Result> : unknown
type NameOf<J> = J extends AnyJob ? J['name'] : string

/** By a definition, or by the name of one, `enqueue<typeof parsePdf>('parse-pdf', data)`. */
async function enqueue<J = unknown>(
  job: NameOf<J> | (J & AnyJob),
  data: DataOf<J>,
  options?: EnqueueOptions,
): Promise<EnqueuedJob<ResultOf<J>>> {
  const name = typeof job === 'string' ? job : (job as AnyJob).name
  return enqueued(await client.enqueue(name, data, options))
}

/** `base`: the path below which routes() answers; default /v1/jobs. Ends the response with a 202. */
function accepted(res: ServerResponse, job: { readonly id: string }, base?: string): void
/** The 202 as a Response, for Hono and whatever wants one. */
function accepted(job: { readonly id: string }, base?: string): Response
function accepted(
  first: ServerResponse | { readonly id: string },
  second?: { readonly id: string } | string,
  third?: string,
): Response | void {
  const isNode = typeof second === 'object'
  const { id } = isNode ? second : (first as { readonly id: string })
  const { status, headers, body } = acceptanceOf(id, urlsOf(id, (isNode ? third : second) ?? BASE))
  if (!isNode) return new Response(body, { status, headers })
  const res = first as ServerResponse
  res.writeHead(status, headers).end(body)
}

export const jobs = {
  enqueue,
  accepted,
  /** Where a job's status and result are, below `base`, default /v1/jobs. */
  urls: (id: string, base = BASE): Urls => urlsOf(id, base),
  /** Answers GET base?limit=50, GET base/ID/status, /result and /events (server-sent), and DELETE base/ID. Default /v1/jobs. */
  routes: (base = BASE): JobRoutes => makeRoutes(client, base),
  /** Undefined if there is no such job. */
  status: (id: string): Promise<JobStatus | undefined> => client.status(id),
  /** Undefined as long as it has not completed. */
  result: async (id: string): Promise<unknown> => (await client.outcome(id))?.result,
  /** Newest first. */
  list: (options?: ListOptions): Promise<JobStatus[]> => client.list(options),
  /** Returns when the job has ended. Undefined if there is no such job. */
  cancel: (id: string): Promise<Cancelled | undefined> => client.cancel(id),
  /** Queues a failed job again. False if it is not a failed one. */
  retry: (id: string): Promise<boolean> => client.retry(id),
  /** How many jobs there are of each status. */
  stats: (): Promise<Record<Status, number>> => client.stats(),
  /** Calls `hear` for what happens to any job, wherever it runs. Resolves, when that has begun, to what ends it. */
  on: async (event: JobEvent['event'], hear: (event: JobEvent) => void): Promise<() => void> =>
    await client.listen((one) => {
      if (one.event === event) hear(one)
    }),
  /** Closes the connections, so that a script can end. */
  close: (): Promise<void> => client.close(),
}
