// What every peer serves when they are compared; peer.py and peer.ru are the same in their languages.
const { existsSync } = require('node:fs')
const http = require('node:http')
const { threadId } = require('node:worker_threads')

if (existsSync(process.env.BENCH_BROKEN ?? '')) throw new Error('this version does not start')

/** Of this instance: a process, or a thread of one, since its boot. */
const id = `${process.pid}.${threadId}.${Math.random().toString(36).slice(2)}`
const small = Buffer.alloc(10_000, 'x')
const large = Buffer.alloc(1_000_000, 'x')

const send = (res, body) => res.writeHead(200, { 'content-length': body.length }).end(body)

const routes = {
  '/': (req, res) => send(res, 'hello'),
  '/10k': (req, res) => send(res, small),
  '/1m': (req, res) => send(res, large),
  '/id': (req, res) => send(res, id),
  '/slow': (req, res) => void setTimeout(send, 500, res, 'hello'),
  '/long': (req, res) => void setTimeout(send, 1_500, res, 'hello'),
  '/never': () => {},
  '/while': () => {
    for (;;);
  },
  '/throw': () =>
    void setTimeout(() => {
      throw new Error('the sky fell')
    }),
  '/post': (req, res) => {
    let size = 0
    req.on('data', (chunk) => (size += chunk.length))
    req.on('end', () => send(res, String(size)))
  },
}

http
  .createServer((req, res) => routes[req.url](req, res))
  .listen(Number(process.env.PORT), '127.0.0.1')
