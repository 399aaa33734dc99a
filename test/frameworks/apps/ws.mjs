import { onShutdown } from 'nodicorn/app'
import { WebSocketServer } from 'ws'
import { httpServer } from './http.mjs'

const server = httpServer()
const sockets = new WebSocketServer({ server })
sockets.on('connection', (socket) => {
  socket.on('message', (data) => socket.send(`${process.pid} ${data}`))
})
onShutdown(() => {
  for (const socket of sockets.clients) socket.close(1012, 'reload')
})

export default server
