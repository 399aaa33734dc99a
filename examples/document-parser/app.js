// Turns documents into Markdown: they are uploaded here, and read page by page in the background. A Hono app.
import { Hono } from 'hono'
import { requestSignal } from 'nodicorn/app'
import { jobs } from 'nodicorn/jobs'
import { saveDocument } from './documents.js'
import { parseDocument } from './jobs.js'
import { modes, parse } from './parser.js'

export const app = new Hono()

app.get('/', (c) => c.text('POST a document to /v1/process/async\n'))

// The list, and of each job its status, result and events.
const routes = jobs.routes('/v1/jobs')
app.all('/v1/jobs', (c) => routes.fetch(c.req.raw))
app.all('/v1/jobs/*', (c) => routes.fetch(c.req.raw))

app.post('/v1/process/async', async (c) => {
  const { file, mode, error } = await formOf(c)
  if (error) return c.json({ error }, 400)
  const document = await saveDocument(file)
  const job = await jobs.enqueue(
    parseDocument,
    { document, filename: file.name, mode },
    { id: c.req.header('Idempotency-Key'), meta: { filename: file.name } },
  )
  return jobs.accepted(job, '/v1/jobs')
})

// For small documents: --timeout is the limit.
app.post('/v1/process/sync', async (c) => {
  const { file, mode, error } = await formOf(c)
  if (error) return c.json({ error }, 400)
  const markdown = await parse(await file.text(), mode, { signal: requestSignal() })
  return c.json({ markdown, filename: file.name })
})

async function formOf(c) {
  const {
    file,
    accuracy_mode: mode = 'balanced',
    output_format = 'markdown',
  } = await c.req.parseBody()
  if (!(file instanceof File)) return { error: 'file is missing, as multipart/form-data' }
  if (!modes.includes(mode)) return { error: `accuracy_mode must be one of ${modes.join(', ')}` }
  if (output_format !== 'markdown') return { error: 'output_format must be markdown' }
  return { file, mode }
}

export default app
