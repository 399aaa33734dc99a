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
import { isShared, jobsWords } from './jobs.ts'

export const procfile = (facts: Facts): Made => ({
  files: { Procfile: isShared(facts.jobs) ? withWorker(facts) : `web: ${web(facts)}\n` },
  next: [
    'The platform sets PORT, and WEB_CONCURRENCY is the number of workers if neither flag nor file says it.',
    lastWord(facts),
  ],
})

const web = (facts: Facts): string => lineOf(wordsOf(facts))

/** On a machine of its own, as many as there are. */
const withWorker = (facts: Facts): string =>
  `web: env NUM_WORKERS=0 ${web(facts)}\nworker: ${lineOf(jobsWords(facts.words))}\n`

const lineOf = (words: readonly string[]): string =>
  [SUPERVISOR, ...words].map(shellQuoted).join(' ')

function lastWord(facts: Facts): string {
  if (facts.jobs?.store === 'embedded')
    return 'Jobs are on the disk of the web process, which Heroku empties each day: put them into a Redis, by npm install ioredis and REDIS_URL.'
  if (facts.jobs && facts.jobs.grace > MOST_SECONDS)
    return `Heroku kills after 30 s: a jobs.grace of ${MOST_SECONDS - 10} gives jobs back in time.`
  return proxyTimeout(facts) > ROUTER_SECONDS + 5
    ? 'Heroku itself gives up on a request that has no answer after 30 s, whatever the timeout is.'
    : 'Deploy it: git push heroku main'
}

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
