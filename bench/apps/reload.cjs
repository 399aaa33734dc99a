// What reloads are measured with: answers at once, without reading a body, or after 800 ms. TRANSPORT says what it speaks.
const { readFileSync } = require('node:fs')
const { join } = require('node:path')

const handler = (req, res) => {
  if (req.url === '/slow') setTimeout(() => res.end('hello'), 800)
  else res.end('hello')
}
const pem = (name) => readFileSync(join(__dirname, `../../test/fixtures/tls/${name}.pem`))
const secure = () => ({ key: pem('key'), cert: pem('cert') })

const servers = {
  http: () => require('node:http').createServer(handler),
  https: () => require('node:https').createServer(secure(), handler),
  http2: () => require('node:http2').createSecureServer(secure(), handler),
}
module.exports = servers[process.env.TRANSPORT]()
