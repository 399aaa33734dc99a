// Imports contacts from a CSV file: each row's phone number is checked by a service that allows a few calls a second.
import Fastify from 'fastify'
import { requestId, requestSignal } from 'nodicorn/app'
import { follow, progressOf } from './progress.js'

const service = process.env.PHONE_SERVICE

export const app = Fastify({ bodyLimit: Number.MAX_SAFE_INTEGER }) // maxBody of the settings decides
app.addContentTypeParser('text/csv', { parseAs: 'string' }, (req, body, done) => done(null, body))

app.get('/', () => 'POST text/csv to /contacts/import\n')

// The answer comes at the end; meanwhile the progress is at /contacts/import/ID/events, by the X-Request-Id of this request.
app.post('/contacts/import', async (req) => {
  const [, ...rows] = req.body.trim().split('\n')
  const progress = progressOf(requestId())
  for (const [n, row] of rows.entries()) {
    requestSignal().throwIfAborted() // nobody waits for the rest of it
    await checkPhone(row.split(',')[1])
    await progress.write({ done: n + 1, of: rows.length })
  }
  return { imported: rows.length }
})

app.get('/contacts/import/:id/events', (req, reply) => {
  reply.hijack()
  reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  follow(req.params.id, reply.raw)
})

async function checkPhone(number) {
  if (!service) return
  const answer = await fetch(`${service}/${encodeURIComponent(number)}`)
  if (!answer.ok) throw new Error(`the phone service answered ${answer.status}`)
}

export default app
