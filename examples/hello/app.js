// The smallest app: it listens by itself, as it would without a supervisor. `npm start` runs two workers of it.
import { createServer } from 'node:http'

const port = Number(process.env.PORT ?? 8000)

createServer((req, res) => {
  res.end(
    `Hello from worker ${process.env.SUPERVISOR_WORKER_SLOT ?? '(none)'}, pid ${process.pid}\n`,
  )
}).listen(port, '127.0.0.1')
