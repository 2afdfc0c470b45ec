/** What Fastify's users expect of a plugin, beside what every door does (http-requests). */
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { createGunzip, gzipSync } from 'node:zlib'
import Fastify, { type FastifyServerOptions } from 'fastify'
import { createHookEngine, defineContract, type EngineOptions } from 'hookring'
import { gate, http, observe, respond } from 'hookring/contracts'
import hookring, { hookringFastify, optionsFor } from 'hookring/fastify'
import { expect, onTestFinished, test, vi } from 'vitest'
import { z } from 'zod'
import { recordingLogger } from '../support/recording-logger.js'

const PLUGIN = { from: new URL('./fixtures/http-plugin.mjs', import.meta.url), timeoutMs: 5_000 }

type HttpEngineOptions = Omit<EngineOptions<typeof http.hookpoints>, 'contract'>
type Options = Parameters<typeof hookring>[1]

async function start(options: Partial<Options> = {}, server: FastifyServerOptions = {}) {
  const log = recordingLogger()
  const engine: HttpEngineOptions = { plugins: [PLUGIN], logger: log }
  const app = Fastify({ ...server })
  onTestFinished(() => app.close())
  await app.register(hookring, { engine, ...options })
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  return { app, log }
}

test('the door has a default export and a name, and asks for Fastify 5', () => {
  expect(hookring).toBe(hookringFastify)
  const meta = (hookring as unknown as Record<symbol, unknown>)[Symbol.for('plugin-meta')]
  expect(meta).toMatchObject({ name: 'hookring', fastify: '5.x' })
})

test('works under inject, for bodies too', async () => {
  const { app } = await start({ body: true })
  app.post('/*', (request) => ({ got: request.body }))
  expect((await app.inject({ method: 'POST', url: '/refuse/429', payload: 'a' })).json()).toMatchObject({ status: 429 })
  expect((await app.inject({ method: 'POST', url: '/body', payload: 'a forbidden word' })).statusCode).toBe(422)
  for (const payload of ['fine', '']) {
    const answer = await app.inject({ method: 'POST', url: '/body', payload, headers: { 'content-type': 'text/x' } })
    expect([answer.statusCode, answer.json()]).toEqual([200, { got: payload }])
  }
  const streamed = await app.inject({ method: 'POST', url: '/body', payload: Readable.from(['a ', 'forbidden']) })
  expect(streamed.statusCode).toBe(422)
})

test('works over HTTP/2', async () => {
  const app = Fastify({ http2: true })
  onTestFinished(() => app.close())
  await app.register(hookring, { engine: { plugins: [PLUGIN], logger: recordingLogger() }, body: true })
  app.post('/body', (request) => request.body)
  const client = connectHttp2(await app.listen({ port: 0 }))
  onTestFinished(() => client.close())
  const post = async (word: string) => {
    const stream = client.request({ ':path': '/body', ':method': 'POST', 'content-type': 'application/json' })
    stream.end(JSON.stringify({ word }))
    const [headers] = await once(stream, 'response')
    return [headers[':status'], JSON.parse(await text(stream))]
  }
  expect(await post('fine')).toEqual([200, { word: 'fine' }])
  expect(await post('forbidden')).toMatchObject([422, { detail: 'bad body' }])
})

test('routes of every context are asked about, and those that nobody serves', async () => {
  const { app } = await start()
  app.register(async (child) => {
    child.get('/refuse', () => 'handled')
  })
  expect((await app.inject('/refuse')).statusCode).toBe(403)
  expect((await app.inject('/refuse/404')).json()).toMatchObject({ detail: 'not today' })
  expect((await app.inject('/nowhere')).statusCode).toBe(404)
})

test('a route says that nobody is asked about it, or that its body is seen', async () => {
  const { app } = await start({ maxBodyBytes: 10 })
  app.get('/refuse', { config: { hookring: false } }, () => 'handled')
  app.post('/body/seen', { config: { hookring: { body: true, maxBodyBytes: 100 } } }, () => 'handled')
  app.post('/body/unseen', () => 'handled')
  expect((await app.inject('/refuse')).body).toBe('handled')
  const post = async (url: string, payload: string) => (await app.inject({ method: 'POST', url, payload })).statusCode
  expect(await post('/body/seen', 'a forbidden word')).toBe(422)
  expect(await post('/body/seen', 'x'.repeat(101))).toBe(413)
  expect(await post('/body/unseen', 'a'.repeat(101))).toBe(200)
})

test.each([true, 'no', { boddy: true }, { body: 'yes' }, { maxBodyBytes: -1 }])(
  'a route whose config.hookring is %j is refused',
  async (wrong) => {
    const { app } = await start()
    const add = () => app.get('/', { config: { hookring: wrong as never } }, () => 'handled')
    expect(add).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringContaining('GET /') }))
  },
)

test('handlers find the hookpoints, and plugins the route and the id of a request', async () => {
  const { app } = await start({}, { genReqId: () => 'request-7' })
  app.get('/event/:id', () => 'handled')
  app.get('/ask', async () =>
    app.hooks.onUpgrade({
      ...{ method: 'GET', path: '/', route: null, clientAddress: '', requestId: '', query: {}, headers: {} },
      ...{ credentials: {}, tlsSubject: null, protocols: [] },
    }),
  )
  expect((await app.inject('/event/1')).json()).toMatchObject({
    route: '/event/:id',
    path: '/event/1',
    requestId: 'request-7',
    traceId: 'request-7',
    clientAddress: '127.0.0.1',
  })
  expect((await app.inject('/ask')).json()).toEqual({ kind: 'continue' })
  expect(app.hookCounts.asked).toBe(2)
})

test("hooks of Fastify's own see refusals, as any reply", async () => {
  const { app } = await start()
  app.addHook('onSend', async (_request, reply) => void reply.header('x-seen', 'yes'))
  app.get('/refuse', () => 'handled')
  expect((await app.inject('/refuse')).headers['x-seen']).toBe('yes')
})

test('a stream that another plugin has put in place of the body is read, and Fastify reads it again', async () => {
  const app = Fastify()
  onTestFinished(() => app.close())
  app.addHook('preParsing', async (request, _reply, payload) => {
    if (request.headers['content-encoding'] !== 'gzip') return payload
    const unpacked = Object.assign(payload.pipe(createGunzip()), { receivedEncodedLength: 0 })
    payload.on('data', (chunk: Buffer) => {
      unpacked.receivedEncodedLength += chunk.length
    })
    return unpacked
  })
  await app.register(hookring, { engine: { plugins: [PLUGIN], logger: recordingLogger() }, body: true })
  app.post('/body', (request) => request.body)
  const post = (body: object) => {
    const headers = { 'content-encoding': 'gzip', 'content-type': 'application/json' }
    return app.inject({ method: 'POST', url: '/body', headers, payload: gzipSync(JSON.stringify(body)) })
  }
  expect((await post({ word: 'forbidden' })).statusCode).toBe(422)
  expect((await post({ word: 'fine' })).json()).toEqual({ word: 'fine' })
})

test("an engine that it makes logs to Fastify's logger and is closed with the server", async () => {
  const lines: { msg: string; plugin?: string }[] = []
  const stream = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const app = Fastify({ logger: { stream } })
  const from = new URL('./fixtures/http-shutdown-plugin.mjs', import.meta.url)
  await app.register(hookring, { engine: { plugins: [{ from, timeoutMs: 5_000 }] } })
  app.get('/', () => 'handled')
  const address = await app.listen({ port: 0 })
  expect((await fetch(address)).status).toBe(200)
  await app.close()
  const said = lines.map(({ msg }) => msg).filter((msg) => /told|destroyed/.test(msg))
  expect(said).toEqual(['told of the shutdown', 'destroyed'])
  await expect(app.hooks.onRequest({} as never)).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
})

test('an engine that it is given stays open, and hears of the shutdown while the server still listens', async () => {
  const engine = await createHookEngine({ contract: http, plugins: [PLUGIN], logger: recordingLogger() })
  onTestFinished(() => engine.close())
  const order: string[] = []
  const shutdown = vi.spyOn(engine, 'shutdown').mockImplementation(async () => void order.push('shutdown'))
  const { app } = await start({ engine })
  app.addHook('onClose', async () => void order.push('closed'))
  expect((await app.inject('/refuse')).statusCode).toBe(403)
  await app.close()
  expect(order).toEqual(['shutdown', 'closed'])
  shutdown.mockRestore()
  await expect(engine.hooks.onRequest({} as never)).rejects.toMatchObject({ code: 'EVENT_INVALID' })
})

test('an engine of another contract is asked by stages', async () => {
  const total = z.object({ total: z.int() })
  const contract = defineContract('orders', 1, {
    onOrder: gate(total),
    onQuote: respond(total, z.object({ price: z.int() })),
    onDone: observe(z.object({ status: z.int() })),
  })
  const plugins = [{ from: new URL('./fixtures/http-own-plugin.mjs', import.meta.url), timeoutMs: 5_000 }]
  const engine = await createHookEngine({ contract, plugins, logger: recordingLogger() })
  onTestFinished(() => engine.close())
  const app = Fastify()
  onTestFinished(() => app.close())
  const event = ({ query }: { query: Readonly<Record<string, readonly string[]>> }) => ({
    total: Number(query.total?.[0]),
  })
  await app.register(hookring, optionsFor({ engine, stages: { onRequest: { hookpoint: 'onOrder', event } } }))
  app.get('/', () => 'handled')
  expect((await app.inject('/?total=101')).statusCode).toBe(402)
  expect((await app.inject('/?total=1')).statusCode).toBe(200)
})

test.each([
  ['no engine', {}, 'OPTIONS_INVALID'],
  ['an unknown option', { engine: {}, hedders: [] }, 'OPTIONS_INVALID'],
  ['a plugin that is not there', { engine: { plugins: [{ from: './nowhere.mjs' }] } }, 'PLUGIN_NOT_FOUND'],
])('%s ends the start with its code', async (_, options, code) => {
  const app = Fastify()
  await expect(app.register(hookring, options as never)).rejects.toMatchObject({ code })
  await app.close()
})

test('a function of the operator that throws is a 500 that says nothing', async () => {
  const errors: unknown[] = []
  const body = () => {
    throw new Error('internal words')
  }
  const { app } = await start({ body, onError: (error) => errors.push(error) })
  app.get('/', () => 'handled')
  const answer = await app.inject('/')
  expect([answer.statusCode, answer.json().detail]).toEqual([500, 'the request could not be checked'])
  expect(errors).toContainEqual(new Error('internal words'))
})

test('the server closes while a client that has left is still asked about', async () => {
  const { app, log } = await start({}, { forceCloseConnections: true })
  app.get('/wait', () => 'handled')
  await app.listen({ port: 0 })
  const { port } = app.server.address() as { port: number }
  const socket = connect(port, '127.0.0.1')
  const asked = new Promise<void>((resolve) => {
    log.info = (_fields, message) => message === 'waits' && resolve()
  })
  socket.write('GET /wait HTTP/1.1\r\nhost: a\r\n\r\n')
  await asked
  socket.destroy()
  await once(socket, 'close')
  await app.close()
  expect(app.hookCounts.gone).toBe(1)
})
