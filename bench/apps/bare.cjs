// What people write themselves: 15 lines of node:cluster around the app in APP.
const cluster = require('node:cluster')
const WORKERS = 2

if (cluster.isPrimary) {
  for (let n = 0; n < WORKERS; n++) cluster.fork()
  cluster.on('exit', (worker, code, signal) => {
    if (worker.exitedAfterDisconnect) return
    console.error('worker', worker.process.pid, 'ended with', signal ?? code)
    cluster.fork()
  })
  process.on('SIGTERM', () => process.exit())
} else {
  require(process.env.APP)
}
