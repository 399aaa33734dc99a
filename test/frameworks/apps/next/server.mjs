// server.mjs
import next from 'next'

const app = next({ dev: false })
await app.prepare()

export default app.getRequestHandler()
