import { makeApp } from './app.js'

const app = await makeApp({ logger: true })
// First this, then the news that it listens: a signal that comes right after ends the server in order as well.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
await app.listen({ port: Number(process.env.PORT ?? 3000), listenTextResolver: (address) => `listening on ${address}` })
