// From the command to the first 200.

import type { Dimension } from './dimension.ts'

export const boot: Dimension = {
  name: 'boot',
  rounds: { quick: 1, full: 5 },
  rows: () => [{ id: 'boot', what: 'boot: command to first 200', unit: 'ms', better: 'less' }],
  measure: async (subject) => ({ boot: (await subject.start({})).bootMs }),
}
