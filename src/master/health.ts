// Whether the server should get requests, as load balancers and Kubernetes ask. Pure. Runs in the master.

import type { Phase } from './inputs.ts'

export interface Condition {
  readonly step: Phase['step']
  /** Workers that are ready, and how many of them are blocked. */
  readonly ready: number
  readonly blocked: number
  /** `minReady` of the settings. */
  readonly minReady: number
}

const PHASES: Readonly<Record<Phase['step'], string | undefined>> = {
  starting: 'the server is starting',
  running: undefined,
  'stopping-soon': 'the server is about to stop (--pre-stop-delay)',
  stopping: 'the server is stopping',
  stopped: 'the server has stopped',
}

/** Why it should not; empty if it should. */
export function unreadiness({ step, ready, blocked, minReady }: Condition): string[] {
  const phase = PHASES[step]
  const able = ready - blocked
  const of = `${able} of ${minReady} workers can serve (--min-ready)`
  const few = able >= minReady ? undefined : blocked ? `${of}; ${blocked} blocked` : of
  return [phase, few].filter((reason) => reason !== undefined)
}
