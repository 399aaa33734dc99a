import server from './ws.mjs'
import { at } from './deeds.mjs'

server.listen(at)
