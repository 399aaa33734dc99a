import server from './socketio.mjs'
import { at } from './deeds.mjs'

server.listen(at)
