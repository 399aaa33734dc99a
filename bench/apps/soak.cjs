// What the soak asks for: answers that say whose they are, hangs, blocks, half responses, uploads,
// errors, leaks. /heap needs --expose-gc.
const { pbkdf2Sync } = require('node:crypto')
const http = require('node:http')
const { setTimeout: sleep } = require('node:timers/promises')

function spin() {
  for (;;);
}

function raise(message) {
  throw new Error(message)
}

const leaked = []

const send = (res, text) => res.setHeader('content-length', text.length).end(text)

/** @type {Record<string, (req: http.IncomingMessage, res: http.ServerResponse, query: URLSearchParams) => unknown>} */
const routes = {
  '/ok': (req, res, query) => send(res, query.get('id')),
  '/pid': (req, res) => send(res, String(process.pid)),
  '/heap': (req, res) => {
    globalThis.gc()
    globalThis.gc()
    const pid = process.pid
    send(res, JSON.stringify({ pid, heap: process.memoryUsage().heapUsed }))
  },
  '/wait': async (req, res, query) => {
    await sleep(Number(query.get('ms')))
    send(res, query.get('id'))
  },
  '/hang': () => {},
  '/upload-hang': (req) => void req.resume(),
  '/half': (req, res) => {
    res.writeHead(200, { 'content-length': 1_000 })
    res.write('half of it')
  },
  '/stream': async (req, res, query) => {
    for (let n = 0; n < 5; n++) {
      res.write('.')
      await sleep(Number(query.get('ms')) / 5)
    }
    res.end(query.get('id'))
  },
  '/big': (req, res) => send(res, 'x'.repeat(4 << 20)),
  '/upload': (req, res, query) => {
    let size = 0
    req.on('data', (chunk) => (size += chunk.length))
    req.on('end', () => send(res, `${query.get('id')} ${size}`))
  },
  // Nobody catches it.
  '/throw': () => void setTimeout(() => raise('thrown on purpose'), 5),
  '/exit': (req, res, query) => process.exit(Number(query.get('code'))),
  // Memory that stays, a fresh page each 4 kB.
  '/leak': (req, res, query) => {
    leaked.push(Buffer.alloc(Number(query.get('mb')) << 20, 1))
    send(res, 'leaked')
  },
  '/block/loop': spin,
  '/block/await': async () => {
    await sleep(10)
    spin()
  },
  '/block/timer': () => void setTimeout(spin, 10),
  '/block/regex': () => /^(a+)+$/.test('a'.repeat(60) + '!'),
  '/block/native': () => pbkdf2Sync('secret', 'salt', 2 ** 30, 64, 'sha512'),
}

http
  .createServer((req, res) => {
    const { pathname, searchParams } = new URL(req.url, 'http://localhost')
    void routes[pathname](req, res, searchParams)
  })
  .listen(Number(process.env.PORT), process.env.HOST)
