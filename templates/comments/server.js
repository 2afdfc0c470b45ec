import { startServer } from './app.js'

const { server, close } = await startServer({ port: Number(process.env.PORT ?? 3000) })
// First this, then the news that it listens: a signal that comes right after ends the server in order as well.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, close)
console.log('listening on', server.address())
