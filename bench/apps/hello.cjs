// The smallest app there is: what serving itself costs.
const http = require('node:http')
http
  .createServer((req, res) => res.end('hello'))
  .listen(Number(process.env.PORT), process.env.HOST ?? '127.0.0.1')
