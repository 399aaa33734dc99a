// The deeds for those that bring sockets and leave HTTP to Node.
import { createServer } from 'node:http'
import { deeds } from './deeds.mjs'

export const httpServer = () =>
  createServer(async (req, res) => {
    const deed = deeds[new URL(req.url, 'http://localhost').pathname.slice(1)]
    if (!deed) res.statusCode = 404
    res.end(await deed?.())
  })
