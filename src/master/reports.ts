// What workers tell of their requests and of themselves that ends in the log. Runs in the master, for the loop.

import type { Log } from '../log.ts'
import { payload, type ToMaster } from '../protocol.ts'
import type { Alerts } from './alerts.ts'
import type { WorkerHandle } from './worker-handle.ts'

const REPORTS = {
  draining: true,
  timeout: true,
  interrupted: true,
  slow: true,
  notice: true,
  'hook-failed': true,
  'access-log-fails': true,
  'access-log-lost': true,
  'proxy-refused': true,
  loaded: true,
}
type Report = Extract<ToMaster, { type: keyof typeof REPORTS }>

/** It is for the log alone. */
export const isReport = (message: ToMaster): message is Report => message.type in REPORTS

export class Reports {
  readonly #log: Log
  readonly #alerts: Alerts
  /** Every worker, and every successor, finds the same fault with the machine or the settings: one line is enough. */
  readonly #notices = new Set<string>()

  constructor(log: Log, alerts: Alerts) {
    this.#log = log
    this.#alerts = alerts
  }

  /** `now`: ms of performance.now(). */
  hear(
    worker: WorkerHandle,
    message: Report | Extract<ToMaster, { type: 'uncaught' }>,
    now: number,
  ): void {
    const { facts } = worker
    switch (message.type) {
      case 'draining':
        return this.#log.event('workerExiting', { ...facts, ...payload(message) })
      case 'timeout':
        this.#alerts.count(now)
        return this.#log.event('requestTimeout', { ...facts, ...payload(message) })
      case 'interrupted':
        this.#alerts.count(now)
        worker.reason ??= 'interrupted' // it served well, but what was stopped halfway may hold locks and connections
        return this.#log.event('workerInterrupted', { ...facts, ...payload(message) })
      case 'slow':
        return this.#log.event('requestSlow', { ...facts, ...payload(message) })
      case 'uncaught':
        return this.#log.event('uncaught', { ...facts, ...payload(message) })
      case 'hook-failed':
        return this.#log.event('hookFailed', { ...facts, ...payload(message) })
      case 'access-log-fails':
        return this.#log.event('accessLogFails', { ...facts, ...payload(message) })
      case 'access-log-lost':
        return this.#log.event('accessLogLost', { ...facts, ...payload(message) })
      case 'proxy-refused':
        return this.#log.event('proxyRefused', { ...facts, ...payload(message) })
      case 'notice':
        if (!this.#notices.has(message.text)) this.#log.event('warning', payload(message))
        this.#notices.add(message.text)
        return
      case 'loaded': // only `supervisor check` asks for it
    }
  }
}
