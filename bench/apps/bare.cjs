// What people write themselves, a page of node:cluster around the app in APP: WORKERS of them (2), replaced one by one at HUP.
const cluster = require('node:cluster')
const { once } = require('node:events')
const WORKERS = Number(process.env.WORKERS ?? 2)

async function roll() {
  for (const old of Object.values(cluster.workers)) {
    const fresh = cluster.fork()
    await Promise.race([once(fresh, 'listening'), once(fresh, 'exit')])
    if (fresh.isDead()) return console.error('the new version does not start')
    old.disconnect()
  }
}

if (cluster.isPrimary) {
  for (let n = 0; n < WORKERS; n++) cluster.fork()
  cluster.on('exit', (worker, code, signal) => {
    if (worker.exitedAfterDisconnect) return
    console.error('worker', worker.process.pid, 'ended with', signal ?? code)
    cluster.fork()
  })
  process.on('SIGHUP', () => void roll())
  process.on('SIGTERM', () => {
    cluster.disconnect(() => process.exit())
    setTimeout(() => process.exit(1), 5_000) // as long as the others are given
  })
} else {
  require(process.env.APP)
}
