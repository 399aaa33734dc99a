// Takes invoices, keeps what was read from each as a session on disk, and shows it again, whichever worker is asked.
import { Hono } from 'hono'
import { loadImage, loadSession, saveSession } from './sessions.js'

export const app = new Hono()

app.get('/', (c) => c.text('POST an invoice to /sessions\n'))

app.post('/sessions', async (c) => {
  const image = Buffer.from(await c.req.arrayBuffer())
  if (image.length === 0) return c.json({ error: 'there is no invoice in the body' }, 400)
  const session = await saveSession(
    { ...extract(image), type: c.req.header('content-type') },
    image,
  )
  return c.json(session, 201)
})

app.get('/sessions/:id', async (c) => {
  const session = await loadSession(c.req.param('id'))
  return session ? c.json(session) : c.json({ error: 'no such session' }, 404)
})

app.get('/sessions/:id/image', async (c) => {
  const session = await loadSession(c.req.param('id'))
  if (!session) return c.json({ error: 'no such session' }, 404)
  const type = session.type ?? 'application/octet-stream'
  return c.body(await loadImage(session.id), 200, { 'content-type': type })
})

/** A model would read it, at temperature 0; here it is its size. */
const extract = (image) => ({ total: image.length })

export default app
