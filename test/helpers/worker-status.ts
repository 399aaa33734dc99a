// A worker as the control protocol draws it, idle and without a past: tests say what is different.
import type { WorkerStatus } from '../../src/control-protocol.ts'

export const workerStatus = (facts: Partial<WorkerStatus> = {}): WorkerStatus => ({
  slot: 0,
  pid: 1,
  state: 'ready',
  generation: 1,
  age: 1,
  requests: 0,
  inFlight: 0,
  connections: 0,
  perSecond: 0,
  p50: null,
  p99: null,
  loopDelay: null,
  utilization: null,
  rss: null,
  heapUsed: null,
  heapLimit: null,
  timeouts: 0,
  orphans: 0,
  silence: null,
  restarts: 0,
  lastRestart: null,
  ...facts,
})
