import Fastify from 'fastify'
import hookring from 'hookring/fastify'

/** The server, with its plugins in front of its routes. Nobody listens yet. A plugin has at most `timeoutMs` for a request. */
export async function makeApp({ logger = false, timeoutMs = 100 } = {}) {
  const app = Fastify({ logger })
  // Makes an engine of the contract http@1, and closes it with the server.
  await app.register(hookring, {
    engine: {
      timeoutMs,
      plugins: [{ from: new URL('./plugins/no-bots.js', import.meta.url), config: { agents: ['bot', 'crawler'] } }],
    },
  })

  app.get('/', () => ({ hello: 'world' }))
  // Plugins see the body of this route as well.
  app.post('/comments', { config: { hookring: { body: true } } }, ({ body }, reply) => reply.code(201).send(body))
  // No plugin is asked about this one.
  app.get('/health', { config: { hookring: false } }, () => ({ status: 'ok' }))
  return app
}
