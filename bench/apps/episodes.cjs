// The fixture that blocks in every way, as an app that listens itself: every contestant can run it.
const http = require('node:http')
const handler = require('../../test/fixtures/blocking.js')
http.createServer(handler).listen(Number(process.env.PORT), process.env.HOST ?? '127.0.0.1')
