import { serve } from '@hono/node-server'
import app from './hono.mjs'
import { at } from './deeds.mjs'

serve({ fetch: app.fetch, port: at.port, hostname: at.host })
