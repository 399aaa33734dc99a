// What happens to one job, as it happens, until it has ended: for event streams. Runs in applications.
import type { Client, JobEvent } from './client.ts'
import type { JobStatus } from './views.ts'

export interface Happening {
  readonly event: 'status' | 'progress' | 'completed' | 'failed' | 'ping'
  readonly data: unknown
}

/** A client that hears nothing for long thinks that the line is dead; and what was missed is noticed then, ms. */
const PING_MS = 10_000

/**
 * First its status, then its progress, then its end. Returns after that, or when `signal` is aborted. Nothing if there is no such job.
 */
export async function* watch(
  client: Client,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<Happening> {
  const heard: JobEvent[] = []
  let wake = (): void => undefined
  const unlisten = await client.listen((event) => {
    if (event.job_id !== id) return
    heard.push(event)
    wake()
  })
  const onAbort = (): void => wake()
  signal.addEventListener('abort', onAbort)
  try {
    const first = await client.status(id)
    if (!first) return
    yield { event: 'status', data: first }
    if (isOver(first)) return yield await lastOf(client, first)
    while (!signal.aborted) {
      const event = heard.shift()
      if (event) {
        // of a failed attempt too: the status knows whether there will be another
        const status = event.event === 'progress' ? undefined : await client.status(id)
        if (status && isOver(status)) return yield await lastOf(client, status)
        if (event.event === 'progress') yield { event: 'progress', data: event.data }
        continue
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, PING_MS)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
        if (heard.length > 0 || signal.aborted) wake()
      })
      if (heard.length > 0 || signal.aborted) continue
      const status = await client.status(id)
      if (!status) return
      if (isOver(status)) return yield await lastOf(client, status)
      yield { event: 'ping', data: null }
    }
  } finally {
    unlisten()
    signal.removeEventListener('abort', onAbort)
  }
}

const isOver = ({ status }: JobStatus): boolean => status === 'completed' || status === 'failed'

async function lastOf(client: Client, status: JobStatus): Promise<Happening> {
  if (status.status === 'failed') return { event: 'failed', data: status }
  const outcome = await client.outcome(status.job_id)
  return { event: 'completed', data: { ...status, result: outcome?.result ?? null } }
}

/** As `text/event-stream` has it. */
export const eventText = ({ event, data }: Happening): string =>
  event === 'ping' ? ': ping\n\n' : `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
