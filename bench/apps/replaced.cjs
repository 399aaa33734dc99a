// For workers that are replaced: reads bodies, GET /slow takes 800 ms, and with LEAK=<kB> each request leaves so much behind, up to 200 MB.
const http = require('node:http')
const { setTimeout: sleep } = require('node:timers/promises')

const leak = Number(process.env.LEAK ?? 0) * 1024
const MOST = 200 * 1024 ** 2
const left = []

http
  .createServer(async (req, res) => {
    if (leak > 0 && left.length * leak < MOST) left.push(Buffer.alloc(leak, 1))
    for await (const chunk of req) void chunk
    if (req.url === '/slow') await sleep(800)
    res.end('hello')
  })
  .listen(Number(process.env.PORT), '127.0.0.1')
