import Fastify from 'fastify'
import { deeds } from './deeds.mjs'

const app = Fastify()
for (const [name, deed] of Object.entries(deeds)) app.get(`/${name}`, async () => deed())

export default app
