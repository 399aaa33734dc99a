// What workers say for the log alone. Runs in the master, for the loop.

import type { Log } from '../log.ts'
import { payload, type ToMaster } from '../protocol.ts'
import type { WorkerHandle } from './worker-handle.ts'

export type Report = Extract<
  ToMaster,
  { type: 'draining' | 'timeout' | 'slow' | 'uncaught' | 'notice' | 'hook-failed' }
>

export function report(log: Log, { facts }: WorkerHandle, message: Report): void {
  switch (message.type) {
    case 'draining':
      return log.event('workerExiting', { ...facts, ...payload(message) })
    case 'timeout':
      return log.event('requestTimeout', { ...facts, ...payload(message) })
    case 'slow':
      return log.event('requestSlow', { ...facts, ...payload(message) })
    case 'uncaught':
      return log.event('uncaught', { ...facts, ...payload(message) })
    case 'notice':
      return log.event('warning', payload(message))
    case 'hook-failed':
      return log.event('hookFailed', { ...facts, ...payload(message) })
  }
}
