// Which processes the jobs need, in the order of their start. Pure: settings in, a list out; who starts them is somebody else.
import type { Settings } from '../settings.ts'
import { type CompleteJobs, isLocal } from '../jobs-setting.ts'
import type { GroupSpec } from '../master/side-process.ts'
import { jobsDashboardEntry, jobsRedisEntry, jobsStoreEntry, jobsWorkerEntry } from '../paths.ts'
import { environmentOf, VARIABLE } from './environment.ts'

/** `cwd`: what relative paths of the settings are relative to. A store that runs already is left out with `hasStore`. */
export function jobGroups(
  jobs: CompleteJobs,
  env: Settings['env'],
  cwd: string,
  { hasStore = false } = {},
): GroupSpec[] {
  const { workers, grace } = jobs
  // without job workers there is no store either: whoever runs `supervisor jobs` here has it
  if (workers === 0) return []
  const all = { kind: 'jobs', env: { ...env, ...jobVariables(jobs, cwd) }, cwd, grace } as const
  const store: GroupSpec = {
    ...all,
    name: 'jobs-store',
    order: 'store',
    words: [jobs.store === 'embedded' ? jobsStoreEntry : jobsRedisEntry],
    count: 1,
  }
  const crew: GroupSpec = {
    ...all,
    name: 'jobs',
    order: 'rest',
    words: [jobsWorkerEntry],
    count: workers,
  }
  return isLocal(jobs.store) && !hasStore ? [store, crew] : [crew]
}

/** Without a token, nobody could see it. */
export const hasDashboard = ({
  jobs,
  admin,
  adminToken,
}: Pick<Settings, 'jobs' | 'admin' | 'adminToken'>): boolean =>
  Boolean(jobs?.dashboard) && admin !== '' && adminToken !== ''

/** Of a server with an admin address, where somebody may see it. */
export const dashboardGroup = (
  jobs: CompleteJobs,
  env: Settings['env'],
  cwd: string,
): GroupSpec => ({
  kind: 'jobs',
  name: 'jobs-dashboard',
  order: 'rest',
  words: [jobsDashboardEntry],
  count: 1,
  env: { ...env, ...jobVariables(jobs, cwd) },
  cwd,
  grace: jobs.grace,
})

/** What an application needs that enqueues, too. */
export const jobVariables = (
  settings: CompleteJobs,
  directory: string,
): Record<string, string> => ({
  [VARIABLE]: JSON.stringify(environmentOf(settings, directory)),
})
