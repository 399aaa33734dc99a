import { createAdapter } from '@socket.io/cluster-adapter'
import { Server } from 'socket.io'
import { httpServer } from './http.mjs'

const server = httpServer()
const io = new Server(server, { adapter: createAdapter(), transports: ['websocket'] })
io.on('connection', (socket) => {
  socket.emit('pid', process.pid)
  socket.on('say', (text) => io.emit('said', text))
})

export default server
