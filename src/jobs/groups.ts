// Which processes the jobs need, in the order of their start. Pure: settings in, a list out; who starts them is somebody else.
import type { CompleteJobs } from '../jobs-setting.ts'
import { jobsDashboardEntry, jobsStoreEntry, jobsWorkerEntry } from '../paths.ts'
import type { Settings } from '../settings.ts'
import { environmentOf, VARIABLE } from './environment.ts'

export interface ProcessSpec {
  /** As in the log. */
  readonly name: 'jobs-store' | 'jobs' | 'jobs-dashboard'
  /** To fork, with an IPC channel: see master-channel.ts for what goes over it. */
  readonly file: string
  readonly count: number
  /** Beside what they inherit. */
  readonly env: Readonly<Record<string, string>>
}

/** `directory`: what relative paths of the settings are relative to. A store that runs already is left out with `hasStore`. */
export function jobGroups(
  settings: CompleteJobs,
  directory: string,
  { hasStore = false } = {},
): ProcessSpec[] {
  const env = jobVariables(settings, directory)
  const store: ProcessSpec = { name: 'jobs-store', file: jobsStoreEntry, count: 1, env }
  const workers: ProcessSpec = {
    name: 'jobs',
    file: jobsWorkerEntry,
    count: settings.workers,
    env,
  }
  return [
    ...(settings.store === 'embedded' && !hasStore ? [store] : []),
    ...(settings.workers > 0 ? [workers] : []),
  ]
}

/** Without a token, nobody could see it. */
export const hasDashboard = ({
  jobs,
  admin,
  adminToken,
}: Pick<Settings, 'jobs' | 'admin' | 'adminToken'>): boolean =>
  Boolean(jobs?.dashboard) && admin !== '' && adminToken !== ''

/** Of a server with an admin address, where somebody may see it. */
export const dashboardGroup = (settings: CompleteJobs, directory: string): ProcessSpec => ({
  name: 'jobs-dashboard',
  file: jobsDashboardEntry,
  count: 1,
  env: jobVariables(settings, directory),
})

/** What an application needs that enqueues, too. */
export const jobVariables = (
  settings: CompleteJobs,
  directory: string,
): Record<string, string> => ({
  [VARIABLE]: JSON.stringify(environmentOf(settings, directory)),
})
