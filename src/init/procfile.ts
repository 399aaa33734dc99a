// `supervisor init procfile`: the app on Heroku, Dokku and other platforms with a Procfile. Pure. Runs in the CLI.
import {
  type Made,
  openWords,
  proxyTimeout,
  shellQuoted,
  SUPERVISOR,
  withoutFlag,
} from './derived.ts'
import type { Facts } from './facts.ts'

export const procfile = (facts: Facts): Made => ({
  files: { Procfile: `web: ${[SUPERVISOR, ...wordsOf(facts)].map(shellQuoted).join(' ')}\n` },
  next: [
    'The platform sets PORT, and WEB_CONCURRENCY is the number of workers if neither flag nor file says it.',
    proxyTimeout(facts) > ROUTER_SECONDS + 5
      ? 'Heroku itself gives up on a request that has no answer after 30 s, whatever the timeout is.'
      : 'Deploy it: git push heroku main',
  ],
})

const ROUTER_SECONDS = 30
/** Heroku kills after 30 s. */
const MOST_SECONDS = 25

function wordsOf(facts: Facts): readonly string[] {
  const { settings } = facts
  const words = openWords(facts, '$PORT')
  if (settings.preStopDelay + settings.gracefulTimeout <= MOST_SECONDS) return words
  const graceful = Math.max(5, Math.floor(MOST_SECONDS - settings.preStopDelay))
  const kept = withoutFlag(words, '--graceful-timeout', '--graceful-timeout')
  return [...kept, '--graceful-timeout', String(graceful)]
}
