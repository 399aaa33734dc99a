// The fallback when this Node lets nobody own sockets, or `sockets: cluster` asks for it: node:cluster's round robin, with
// its known leak mended. A connection handed to a worker that dies before it acknowledges would hang for ever
// (Node 20 to 26); telling node:cluster that it was not accepted makes it hand it to another. Runs in the master.

import cluster, { type Worker } from 'node:cluster'

interface ClusterMessage {
  cmd?: string
  act?: string
  seq?: number
  ack?: number
}
type Send = (message: ClusterMessage, ...rest: unknown[]) => boolean

/** Call once, before the first fork. */
export function mendRoundRobin(): void {
  cluster.on('fork', redispatchOnDeath)
}

function redispatchOnDeath(worker: Worker): void {
  const child = worker.process as unknown as NodeJS.EventEmitter & { send: Send }
  const unacknowledged = new Set<number>()
  const send = child.send
  child.send = function (message, ...rest) {
    if (message.cmd === 'NODE_CLUSTER' && message.act === 'newconn')
      unacknowledged.add(message.seq!)
    return send.call(this, message, ...rest)
  }
  child.prependListener('internalMessage', (message: ClusterMessage) => {
    if (message.ack !== undefined) unacknowledged.delete(message.ack)
  })
  child.once('exit', () => {
    for (const seq of unacknowledged)
      child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack: seq, accepted: false })
  })
}
