// Which groups of processes are to live beside the workers: settings in, a list out. Pure; runs in the master.

import { resolve } from 'node:path'
import type { Config } from '../config.ts'
import { dashboardGroup, hasDashboard, jobGroups } from '../jobs/groups.ts'
import type { CompleteJobs } from '../jobs-setting.ts'
import type { GroupSpec } from './side-process.ts'

/** What the settings of a server ask for. `directory`: where it was started. */
export function specsOf({ settings }: Config, directory: string): GroupSpec[] {
  const cwd = settings.chdir || directory
  const beside = Object.entries(settings.processes).map(([name, group]): GroupSpec => ({
    name,
    count: group.workers,
    kind: group.entry === undefined ? 'program' : 'node',
    order: 'rest',
    words: group.entry === undefined ? group.command : [resolve(cwd, group.entry)],
    env: { ...settings.env, ...group.env },
    cwd,
    grace: group.grace ?? settings.gracefulTimeout,
  }))
  const { jobs, env } = settings
  if (!jobs) return beside
  const complete = jobs as CompleteJobs
  const dashboard = hasDashboard(settings) ? [dashboardGroup(complete, env, cwd)] : []
  return [...jobGroups(complete, env, cwd), ...dashboard, ...beside]
}
