import app from './fastify.mjs'
import { at } from './deeds.mjs'

await app.listen(at)
