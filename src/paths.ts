// Where the built package has what other processes and threads load. A leaf: like the bundles, it is built into dist/ itself,
// so the same relative addresses hold in all of them.

import { fileURLToPath } from 'node:url'

const here = (path: string): URL => new URL(path, import.meta.url)

/** Where all of them are, ours and nobody else's. */
export const builtFiles = fileURLToPath(here('./'))
/** The first code of a worker, by `--require`. */
export const workerEntry = fileURLToPath(here('./worker.cjs'))
/** The last `--import` of a worker that has others. */
export const importsDone = here('./worker/imports-done.js')
/** The `--import` before that one, for workers with hooks. */
export const loadHooks = here('./worker/load-hooks.js')
/** An `--import` of what `processes` has as an `entry`. */
export const besideEntry = here('./beside.js')
export const watchdogEntry = here('./watchdog.cjs')
/** Of the admin address: see scripts/bundle.mjs. */
export const pageDirectory = here('./master/page/')
export const packageJson = here('../package.json')
/** The command `supervisor jobs`: its own modules, so that nothing of it is in what `supervisor start` loads. */
export const jobsCommand = here('./jobs/command.js')
/** The processes of the job queue, and the thread or the child that a job runs in. */
export const jobsStoreEntry = fileURLToPath(here('./jobs/store/main.js'))
export const jobsRedisEntry = fileURLToPath(here('./jobs/store/redis-local.js'))
export const jobsWorkerEntry = fileURLToPath(here('./jobs/worker.js'))
export const jobsDashboardEntry = fileURLToPath(here('./jobs/dashboard/main.js'))
export const jobsThread = here('./jobs/thread.js')
export const jobsChild = fileURLToPath(here('./jobs/child.js'))
/** What an embedded store begins with: see scripts/seed-jobs.mjs. Missing where PGlite was not there at the build. */
export const jobsSeed = fileURLToPath(here('./jobs/seed.tar.br'))
