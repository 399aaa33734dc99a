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
/** How often it is looked whether a dead worker's channel has ended, ms. */
const CHANNEL_LOOK_MS = 1

type Send = (message: ClusterMessage, ...rest: unknown[]) => boolean
type Child = NodeJS.EventEmitter & { send: Send; readonly connected: boolean }

/** Call once, before the first fork. */
export function mendRoundRobin(): void {
  cluster.on('fork', redispatchOnDeath)
}

function redispatchOnDeath(worker: Worker): void {
  const child = worker.process as unknown as Child
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
  let state: 'connected' | 'disconnected' = 'connected'
  child.once('disconnect', () => (state = 'disconnected'))
  child.once('exit', () =>
    whenChannelEnded(child, () => {
      // node leaves it out if a connection was on its way, and would go on handing connections to the dead worker
      if (state === 'connected') child.emit('disconnect')
      for (const seq of [...unacknowledged])
        child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack: seq, accepted: false })
    }),
  )
}

/** A process may be gone before the master has read its last words, of connections that it took. */
function whenChannelEnded(child: Child, then: () => void): void {
  if (child.connected) setTimeout(() => whenChannelEnded(child, then), CHANNEL_LOOK_MS)
  else setImmediate(then) // after what was read last has been heard
}
