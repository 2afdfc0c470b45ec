import Fastify from 'fastify'
import hookring from 'hookring/fastify'

const plugin = (file) => new URL(`./plugins/${file}`, import.meta.url)

const app = Fastify({ logger: { level: 'warn' } })

// Makes an engine of http@1 that logs to app.log and is closed with the server.
await app.register(hookring, {
  engine: {
    plugins: [
      { from: plugin('no-bots.mjs'), config: { paths: ['/admin'] } },
      { from: plugin('clean-comments.mjs'), config: { words: ['casino'] }, match: { path: '/comments' } },
    ],
  },
})

app.get('/', () => 'hello\n')
app.get('/admin', () => 'welcome\n')
// Plugins see the body of this route, and Fastify parses it as ever.
app.post('/comments', { config: { hookring: { body: true } } }, ({ body }) => `${body.text}\n`)
// Nobody is asked about this one.
app.get('/health', { config: { hookring: false } }, () => 'ok\n')

console.log(`listening on ${await app.listen({ port: Number(process.env.PORT ?? 3000) })}`)
process.once('SIGTERM', () => app.close())
