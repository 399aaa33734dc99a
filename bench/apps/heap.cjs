// Holds requests and says what they weigh: /never is held, /count says how many are, /heap what is used after a collection.
// Needs --expose-gc.
const http = require('node:http')
let held = 0

http
  .createServer((req, res) => {
    if (req.url === '/never') held++
    else if (req.url === '/count') res.end(String(held))
    else {
      globalThis.gc()
      globalThis.gc()
      res.end(String(process.memoryUsage().heapUsed))
    }
  })
  .listen(Number(process.env.PORT), process.env.HOST ?? '127.0.0.1')
