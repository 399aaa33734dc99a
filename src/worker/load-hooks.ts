// An --import of the workers whose settings file has hooks for them: the application is loaded when it is done.
// In the threads and processes that the application starts with this worker's flags it does nothing.

import { wantedHooks } from './hook-slot.ts'

const wanted = wantedHooks()
if (wanted) {
  const { WorkerHooks } = await import('./worker-hooks.ts')
  await new WorkerHooks(wanted).load()
}
