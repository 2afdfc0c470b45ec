import { createServer } from 'node:http'
import { createHookEngine } from 'hookring'
import { http } from 'hookring/contracts'
import { hookWebSockets } from 'hookring/http'
import { WebSocketServer } from 'ws'

const from = new URL('./plugins/manners.mjs', import.meta.url)
const engine = await createHookEngine({
  contract: http,
  plugins: [{ from, config: { origins: ['http://chat.example'], maxChars: 200 } }],
})

const server = createServer((_request, response) => response.writeHead(426).end('a WebSocket is needed\n'))
const sockets = new WebSocketServer({ server })
hookWebSockets(engine, sockets)

sockets.on('connection', (socket) => {
  // Only messages that no plugin refused come here.
  socket.on('message', (data, isBinary) => {
    for (const each of sockets.clients) each.send(data, { binary: isBinary })
  })
})

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`listening on ws://127.0.0.1:${server.address().port}`)
})
process.once('SIGTERM', async () => {
  await engine.shutdown()
  for (const socket of sockets.clients) socket.close(1001)
  server.close(() => engine.close())
})
