/** Contracts of the server's own, options that are wrong, and servers that are a little different. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server, constants as http2 } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import express from 'express'
import { createHookEngine, defineContract, type HookEngine } from 'hookring'
import { gate, http, httpContract, observe, respond } from 'hookring/contracts'
import { hookFetch, hookMiddleware } from 'hookring/http'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { recordingLogger } from '../support/recording-logger.js'
import { until } from '../support/until.js'

const orders = defineContract('orders', 1, {
  onOrder: gate(z.object({ total: z.int().max(1_000) })),
  onQuote: respond(z.object({ total: z.int() }), z.object({ price: z.int() })),
  onDone: observe(z.object({ status: z.int() })),
})

async function startOrders() {
  const log = recordingLogger()
  const engine = await createHookEngine({
    contract: orders,
    plugins: [{ from: new URL('./fixtures/http-own-plugin.mjs', import.meta.url), timeoutMs: 5_000 }],
    logger: log,
  })
  onTestFinished(() => engine.close())
  return { engine, log }
}

async function startHttpEngine(logger = recordingLogger()): Promise<HookEngine<typeof http.hookpoints>> {
  const from = new URL('./fixtures/http-plugin.mjs', import.meta.url)
  const engine = await createHookEngine({
    contract: http,
    plugins: [{ from, timeoutMs: 5_000 }],
    logger,
  })
  onTestFinished(() => engine.close())
  return engine
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('a contract of its own is asked by functions from request to event', async () => {
  const { engine, log } = await startOrders()
  const totalOf = ({ query }: { query: Readonly<Record<string, readonly string[]>> }) => Number(query.total?.[0])
  const errors: unknown[] = []
  const middleware = hookMiddleware(engine, {
    onError: (error) => errors.push(error),
    stages: {
      onRequest: {
        hookpoint: 'onOrder',
        event: (request) => (request.path === '/free' ? undefined : { total: totalOf(request) }),
      },
      onRoute: {
        hookpoint: 'onQuote',
        event: (request) => {
          if (request.path === '/broken') throw new Error('internal words')
          return { total: totalOf(request) || 0 }
        },
        answer: ({ price }) => ({ status: 200, body: String(price) }),
      },
      onResponse: { hookpoint: 'onDone', event: ({ status }) => ({ status }) },
    },
  })
  const origin = await listen(createServer((req, res) => middleware(req, res, () => res.end('handled'))))
  const get = async (path: string) => {
    const response = await fetch(origin + path)
    return [response.status, await response.text()] as const
  }
  expect(await get('/?total=101')).toEqual([402, expect.stringContaining('too much')])
  expect(await get('/?total=7')).toEqual([200, '70'])
  expect(await get('/?total=8')).toEqual([200, 'handled'])
  expect(await get('/free')).toEqual([200, 'handled'])
  // What no event can be made of is the client's fault, what a function throws is the operator's; neither is told more.
  expect(await get('/?total=5000')).toEqual([400, expect.not.stringContaining('onOrder')])
  expect(await get('/broken?total=1')).toEqual([500, expect.not.stringContaining('internal')])
  expect(errors).toEqual([expect.objectContaining({ code: 'EVENT_INVALID' }), new Error('internal words')])
  await until('the ends', () => log.lines.filter(({ message }) => message === 'done').length === 6)
})

test.each([
  ['no engine', () => hookMiddleware({} as never), 'OPTIONS_INVALID', 'engine'],
  [
    'an unknown option',
    (engine: never) => hookMiddleware(engine, { heders: [] } as never),
    'OPTIONS_INVALID',
    'heders',
  ],
  [
    'a header with a colon',
    (engine: never) => hookMiddleware(engine, { headers: [':path'] }),
    'OPTIONS_INVALID',
    'headers[0]',
  ],
  [
    'a header that frames the message',
    (engine: never) => hookMiddleware(engine, { answerHeaders: ['Content-Length'] }),
    'OPTIONS_INVALID',
    'answerHeaders',
  ],
  [
    'a size below 0',
    (engine: never) => hookFetch(engine, () => new Response(), { maxBodyBytes: -1 }),
    'OPTIONS_INVALID',
    'maxBodyBytes',
  ],
  [
    'a stage that is none',
    (engine: never) => hookMiddleware(engine, { stages: { onEnd: {} } } as never),
    'OPTIONS_INVALID',
    'stages.onEnd',
  ],
  [
    'a hookpoint that is none',
    (engine: never) =>
      hookMiddleware(engine, { stages: { onRequest: { hookpoint: 'constructor', event: () => ({}) } } } as never),
    'HOOKPOINT_UNKNOWN',
    'stages.onRequest.hookpoint',
  ],
  [
    'a hookpoint of another kind',
    (engine: never) =>
      hookMiddleware(engine, { stages: { onRequest: { hookpoint: 'onResponse', event: () => ({}) } } } as never),
    'OPTIONS_INVALID',
    'stages.onRequest.hookpoint',
  ],
])('%s is refused with its path', (_, make, code, path) => {
  const engine = { contract: http, hooks: {}, isSubscribed: () => false } as never
  expect(() => make(engine)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(path) }))
})

test('a contract that is not http@1 needs to be told what to ask', () => {
  const engine = { contract: orders, hooks: {}, isSubscribed: () => false } as never
  expect(() => hookMiddleware(engine)).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }))
})

test('answers may be as large as the contract of the engine says', () => {
  expect(httpContract({ maxAnswerBytes: 1_000_000 }).id).toBe(http.id)
  expect(() => httpContract({ maxAnswerBytes: -1 })).toThrow(expect.objectContaining({ code: 'CONTRACT_INVALID' }))
})

test('HTTP/2: pseudo headers are no headers, the authority is the host, bodies are read and passed on', async () => {
  const log = recordingLogger()
  const middleware = hookMiddleware(await startHttpEngine(log), { body: true })
  const server = createHttp2Server((request, response) => {
    middleware(
      request as never,
      response as never,
      () => void text(request).then((body) => response.end(`got ${body}`)),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connectHttp2(`http://127.0.0.1:${port}`)
  onTestFinished(() => {
    client.close()
    server.close()
  })
  const ask = async (path: string, body?: string, method = body === undefined ? 'GET' : 'POST') => {
    const stream = client.request({ ':path': path, ':method': method })
    stream.end(body)
    const [headers] = await once(stream, 'response')
    return { status: headers[':status'] as number, body: String(await buffer(stream)) }
  }
  const event = JSON.parse((await ask('/event?a=1', 'hello')).body)
  expect(event).toMatchObject({ method: 'POST', path: '/event', body: 'hello', clientAddress: '127.0.0.1' })
  expect(event.headers).toEqual({ host: `127.0.0.1:${port}` })
  expect(await ask('/body', 'one')).toEqual({ status: 200, body: 'got one' })
  expect(await ask('/body', 'forbidden')).toMatchObject({ status: 422 })
  expect(await ask('/body', '')).toEqual({ status: 200, body: 'got ' })
  expect(await ask('/body')).toEqual({ status: 200, body: 'got ' })
  expect(await ask('/body', 'x'.repeat(70_000))).toMatchObject({ status: 413 })
  await until('the ends', () => log.lines.filter(({ message }) => message === 'ended').length === 6)
  const leaving = client.request({ ':path': '/wait' })
  await until('the hook to wait', () => log.lines.some(({ message }) => message === 'waits'))
  leaving.close(http2.NGHTTP2_CANCEL)
  await until('the hook to hear of it', () => log.lines.some(({ message }) => message === 'aborted'))
  await until('it to be counted', () => middleware.counts.gone === 1)
  await until('its end', () => log.lines.filter(({ message }) => message === 'ended').length === 7)
  const ends = log.lines.flatMap(({ message, fields }) => (message === 'ended' ? [fields.event] : []))
  expect(ends[1]).toMatchObject({ status: 200, bytes: 7, isAborted: false })
  expect(ends[6]).toMatchObject({ path: '/wait', bytes: 0, isAborted: true })
})

/** An Express app whose body was parsed before the hooks. */
async function startParsedBefore(parse: express.RequestHandler) {
  const errors: unknown[] = []
  const app = express()
  app.use(parse, hookMiddleware(await startHttpEngine(), { body: true, onError: (error) => errors.push(error) }))
  app.use((_request, response) => void response.send('handled'))
  const origin = await listen(createServer(app))
  const post = (path: string, body: string) =>
    fetch(origin + path, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
  return { post, errors }
}

test('a body that was parsed before is shown if its bytes were kept', async () => {
  const keep = express.json({ verify: (request, _response, bytes) => void Object.assign(request, { rawBody: bytes }) })
  const { post } = await startParsedBefore(keep)
  expect((await post('/body', '["forbidden"]')).status).toBe(422)
  expect((await post('/body', '["fine"]')).status).toBe(200)
})

test('a body that was parsed before and not kept leaves it undecided, and the operator is told', async () => {
  const { post, errors } = await startParsedBefore(express.json())
  expect((await post('/body', '["forbidden"]')).status).toBe(500)
  expect(errors).toEqual([expect.objectContaining({ code: 'BODY_UNAVAILABLE' })])
})

test("Express' mounts and its trust in proxies are heeded", async () => {
  const app = express()
  app.set('trust proxy', 'loopback')
  app.use('/event', hookMiddleware(await startHttpEngine()))
  const origin = await listen(createServer(app as RequestListener))
  const response = await fetch(`${origin}/event/a?b=1`, { headers: { 'x-forwarded-for': '198.51.100.1' } })
  expect(await response.json()).toMatchObject({ path: '/event/a', clientAddress: '198.51.100.1', query: { b: ['1'] } })
})

test('a handler that calls next with an error is told of as what its client got', async () => {
  const { engine, log } = await startOrders()
  const app = express()
  app.use(
    hookMiddleware(engine, { stages: { onResponse: { hookpoint: 'onDone', event: ({ status }) => ({ status }) } } }),
  )
  app.use((_request, _response, next) => next(Object.assign(new Error('no'), { status: 418 })))
  app.use(((_error, _request, response, _next) => void response.status(418).end()) as express.ErrorRequestHandler)
  const origin = await listen(createServer(app as RequestListener))
  expect((await fetch(origin)).status).toBe(418)
  await until('its end', () => log.lines.some(({ fields }) => (fields.event as { status: number })?.status === 418))
})

test('a server that listens to checkContinue refuses a client before it sends its body', async () => {
  const middleware = hookMiddleware(await startHttpEngine())
  const server = createServer()
  server.on('checkContinue', (request, response) => {
    middleware(request, response, () => {
      response.writeContinue()
      void text(request).then((body) => response.end(`got ${body}`))
    })
  })
  const { port } = new URL(await listen(server))
  const expecting = async (path: string) => {
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 3\r\n\r\n`,
    )
    const [first] = await once(socket, 'data')
    if (String(first).startsWith('HTTP/1.1 100 ')) socket.write('abc')
    return [String(first).slice(0, 12), await text(socket)]
  }
  expect(await expecting('/refuse')).toEqual(['HTTP/1.1 403', expect.anything()])
  expect(await expecting('/')).toEqual(['HTTP/1.1 100', expect.stringContaining('got abc')])
})

test('whoever answers while plugins are asked has answered', async () => {
  const middleware = hookMiddleware(await startHttpEngine())
  const origin = await listen(
    createServer((request, response) => {
      middleware(request, response, () => response.end('handled'))
      response.statusCode = 202
      response.end('first')
    }),
  )
  for (const path of ['/', '/refuse', '/answer/plain']) {
    const response = await fetch(origin + path)
    expect([response.status, await response.text()]).toEqual([202, 'first'])
  }
})
