// Timeouts in a burst are one alert: an event, the hook onAlert, and a POST if somebody named a webhook. Runs in the master.

import type { HookAlert } from '../hooks.ts'
import type { Log } from '../log.ts'
import type { Settings } from '../settings.ts'
import type { MasterOptions } from './inputs.ts'

/** A webhook that does not answer is given up after this, ms. */
const WEBHOOK_MS = 10_000

type AlertSettings = Pick<Settings, 'alertTimeouts' | 'alertWebhook'>

export class Alerts {
  #times: number[] = []
  /** A flood of timeouts is one alert for each such time, not one for every few of them. */
  #quietUntil = -Infinity
  readonly #log: Log
  readonly #hooks: MasterOptions['hooks']
  readonly #settings: () => AlertSettings
  readonly #app: string

  /** `settings` are read at every timeout, because a reload may change them; `birth.name` is the app's in the alert. */
  constructor(
    { log, hooks, birth }: Pick<MasterOptions, 'log' | 'hooks' | 'birth'>,
    settings: () => AlertSettings,
  ) {
    this.#log = log
    this.#hooks = hooks
    this.#app = birth.name
    this.#settings = settings
  }

  /** A request timed out, or a worker did; `now` in ms. */
  count(now: number): void {
    const { alertTimeouts, alertWebhook } = this.#settings()
    const { timeouts, seconds } = alertTimeouts
    if (timeouts === 0) return
    this.#times = [...this.#times.filter((at) => at > now - seconds * 1000), now]
    if (this.#times.length < timeouts || now < this.#quietUntil) return
    this.#times = []
    this.#quietUntil = now + seconds * 1000
    this.#log.event('alert', { timeouts, seconds })
    const time = new Date().toISOString()
    const alert: HookAlert = { event: 'alert', app: this.#app, timeouts, seconds, time }
    this.#hooks.run('onAlert', alert)
    if (alertWebhook) void this.#post(alertWebhook, alert)
  }

  async #post(url: string, alert: HookAlert): Promise<void> {
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(alert),
        signal: AbortSignal.timeout(WEBHOOK_MS),
      })
      if (!response.ok)
        this.#log.event('webhookFailed', { error: `it answered ${response.status}` })
    } catch (error) {
      this.#log.event('webhookFailed', { error: (error as Error).message })
    }
  }
}
