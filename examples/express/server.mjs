import express from 'express'
import { createHookEngine } from 'hookring'
import { http } from 'hookring/contracts'
import { hookMiddleware } from 'hookring/http'

const plugin = (file) => new URL(`./plugins/${file}`, import.meta.url)

const engine = await createHookEngine({
  contract: http,
  plugins: [{ from: plugin('maintenance.mjs'), config: { prefix: '/shop' } }, { from: plugin('access-log.mjs') }],
})

const app = express()
// Before body parsers and routes.
app.use(hookMiddleware(engine))
app.get('/', (_request, response) => response.send('hello\n'))
app.get('/shop', (_request, response) => response.send('open\n'))

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
// Plugins are told first; then the server ends, and the engine behind it.
process.once('SIGTERM', async () => {
  await engine.shutdown()
  server.close(() => engine.close())
})
