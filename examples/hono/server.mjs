import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createHookEngine } from 'hookring'
import { http } from 'hookring/contracts'
import { hookFetch } from 'hookring/http'

const from = new URL('./plugins/api-keys.mjs', import.meta.url)
const engine = await createHookEngine({
  contract: http,
  plugins: [{ from, config: { keys: { 'key-1': 'ada' }, prefix: '/api/' } }],
})

const app = new Hono()
app.get('/', (context) => context.text('hello\n'))
app.get('/api/items', (context) => context.json(['pen', 'ink']))

// Plugins see the header that the key is in, beside nothing else.
const fetch = hookFetch(engine, app.fetch, { headers: ['x-api-key'] })
const server = serve({ fetch, port: Number(process.env.PORT ?? 3000), hostname: '127.0.0.1' }, ({ port }) => {
  console.log(`listening on http://127.0.0.1:${port}`)
})
process.once('SIGTERM', async () => {
  await engine.shutdown()
  server.close(() => engine.close())
})
