// The thread that a job's code runs in: nothing of the application is loaded anywhere else in a job process, so whatever it does,
// the locks of its neighbours are kept. Started by Piscina; workerData is the file that defines the jobs.
import { workerData } from 'node:worker_threads'
import * as jobs from './execute.ts'

/** Piscina's data lies beside its own. */
const { file } = (Array.isArray(workerData) ? workerData.at(-1) : workerData) as unknown as {
  file: string
}

export const describe = (): Promise<jobs.JobTable> => jobs.describe(file)
export default (task: jobs.Task): Promise<jobs.Outcome> => jobs.execute(file, task)
