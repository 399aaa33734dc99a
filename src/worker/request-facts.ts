// A request as the hooks of the settings file see it. Runs in the workers that have such hooks.

import type { HookRequest, HookResponse } from '../hooks.ts'
import { statusOf } from './access-facts.ts'
import type { Entry } from './request-entry.ts'

export const requestFacts = ({ method, url, id, route }: Entry): HookRequest => ({
  method,
  url,
  id,
  route: route?.pattern,
})

export const responseFacts = (entry: Entry): HookResponse => ({
  ...requestFacts(entry),
  status: statusOf(entry),
  seconds: (performance.now() - entry.startedAt) / 1000,
  outcome: outcomeOf(entry),
})

const outcomeOf = ({ state, res }: Entry): HookResponse['outcome'] => {
  if (state === 'timed-out') return 'timeout'
  return res.writableFinished ? 'finished' : 'aborted'
}
