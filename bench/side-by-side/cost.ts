// CPU time of all the server's processes for one request: less noisy than requests a second, and true of a machine with a core to spare.

import { cpuExact } from '../proc.ts'
import type { Dimension } from './dimension.ts'
import { load } from './load.ts'

const KINDS = [
  { id: 'cpu-kept', what: 'on kept connections', fresh: false },
  { id: 'cpu-new', what: 'on new connections', fresh: true },
] as const

export const cost: Dimension = {
  name: 'cost',
  rounds: { quick: 1, full: 5 },
  rows: () =>
    KINDS.map(({ id, what }) => ({
      id,
      what: `CPU for a request ${what}`,
      unit: 'us',
      better: 'less',
    })),
  async measure(subject, { seconds }) {
    const server = await subject.server()
    const pids = server.all() // one that ends meanwhile is an error, not a saving
    const cpu = (): number => pids.reduce((sum, pid) => sum + cpuExact(pid), 0)
    const figures: Record<string, number> = {}
    for (const { id, fresh } of KINDS) {
      const before = cpu()
      const { requests } = await load(server.port, { connections: 32, seconds, fresh })
      figures[id] = ((cpu() - before) * 1_000) / requests
    }
    return figures
  },
}
