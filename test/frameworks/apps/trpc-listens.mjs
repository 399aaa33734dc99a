import { server } from './trpc.mjs'
import { at } from './deeds.mjs'

server.listen(at.port, at.host)
