import express from 'express'
import { deeds } from './deeds.mjs'

const app = express()
for (const [name, deed] of Object.entries(deeds))
  app.get(`/${name}`, async (req, res) => res.send(await deed()))

export default app
