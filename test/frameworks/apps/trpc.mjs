import { initTRPC } from '@trpc/server'
import { createHTTPHandler, createHTTPServer } from '@trpc/server/adapters/standalone'
import { deeds } from './deeds.mjs'

const t = initTRPC.create()
const procedures = Object.entries(deeds).map(([name, deed]) => [
  name,
  t.procedure.query(() => deed()),
])
export const router = t.router(Object.fromEntries(procedures))

export const server = createHTTPServer({ router })
export default createHTTPHandler({ router })
