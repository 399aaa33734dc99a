import { Hono } from 'hono'
import { deeds } from './deeds.mjs'

const app = new Hono()
for (const [name, deed] of Object.entries(deeds))
  app.get(`/${name}`, async (c) => c.text(await deed()))

export default app
