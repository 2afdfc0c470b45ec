/** WebSockets of `ws` and Socket.IO behind the hooks: real servers, real clients. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { createHookEngine, type EngineOptions } from 'hookring'
import { http } from 'hookring/contracts'
import { hookSocketIo, hookWebSockets, type WebSocketOptions } from 'hookring/http'
import { Server as SocketIo } from 'socket.io'
import { io as connectIo, type Socket } from 'socket.io-client'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { createWebSocketStream, WebSocket, WebSocketServer } from 'ws'
import { recordingLogger } from '../support/recording-logger.js'
import { until } from '../support/until.js'

type Points = typeof http.hookpoints
const PLUGIN = { from: new URL('./fixtures/http-sockets-plugin.mjs', import.meta.url), timeoutMs: 5_000 }
const log = recordingLogger()
const shared = createHookEngine({ contract: http, plugins: [PLUGIN], logger: log })
afterAll(async () => (await shared).close())

async function startEngine(settings: Partial<EngineOptions<Points>> = {}) {
  const engine = await createHookEngine({ contract: http, plugins: [PLUGIN], logger: recordingLogger(), ...settings })
  onTestFinished(() => engine.close())
  return engine
}

interface Setup {
  readonly options?: WebSocketOptions<Points>
  readonly engine?: Awaited<typeof shared>
  readonly mode?: 'server' | 'noServer'
  readonly server?: object
}

/** A server that keeps what its sockets say, in order, and greets each. */
async function startSockets({ options = {}, engine, mode = 'server', server: settings = {} }: Setup = {}) {
  const server = createServer()
  const sockets = new WebSocketServer({ ...settings, ...(mode === 'server' ? { server } : { noServer: true }) })
  const { counts } = hookWebSockets(engine ?? (await shared), sockets, options)
  if (mode === 'noServer') {
    server.on('upgrade', (request, socket, head) => {
      sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit('connection', opened, request))
    })
  }
  const heard: string[] = []
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => void heard.push(`${isBinary ? 'binary ' : ''}${String(data)}`))
    socket.on('close', (code) => void heard.push(`closed ${code}`))
    socket.send('welcome')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `ws://127.0.0.1:${port}`, port, sockets, counts, heard }
}

/** An open client, or the response that it got in place of a socket. */
async function open(url: string, protocols: string[] = []) {
  const socket = new WebSocket(url, protocols)
  onTestFinished(() => socket.terminate())
  const refused = once(socket, 'unexpected-response').then(async ([, response]) => ({
    status: response.statusCode as number,
    headers: response.headers as Record<string, string>,
    body: await text(response),
  }))
  refused.catch(() => {})
  const greeted = once(socket, 'message')
  greeted.catch(() => {})
  const response = await Promise.race([greeted.then(() => null), refused])
  return { socket, response }
}

describe.each(['server', 'noServer'] as const)('ws, in mode %s', (mode) => {
  test('a client that nobody objects to has a socket, with its subprotocol', async () => {
    const server = await startSockets({ mode })
    const { socket, response } = await open(`${server.url}/chat`, ['a', 'b'])
    expect([response, socket.protocol]).toEqual([null, 'a'])
    socket.send('one')
    socket.send(Buffer.from('two'))
    socket.close(4_000)
    await until('its messages and its end', () => server.heard.length === 3)
    expect(server.heard).toEqual(['one', 'binary two', 'closed 4000'])
    expect(server.counts).toMatchObject({ asked: 1, messagesAsked: 2, messagesRefused: 0 })
  })

  test('a client that is refused gets the response, and no socket', async () => {
    const server = await startSockets({ mode })
    const { response } = await open(`${server.url}/refuse`)
    expect(response).toMatchObject({ status: 401, headers: { 'content-type': 'application/problem+json' } })
    expect(JSON.parse(response?.body ?? '')).toMatchObject({ title: 'Unauthorized', detail: 'no socket for you' })
    expect(server.sockets.clients.size).toBe(0)
  })

  test('what nobody has decided is 503, and says nothing internal', async () => {
    const server = await startSockets({ mode })
    const { response } = await open(`${server.url}/throw`)
    expect(response).toMatchObject({ status: 503, headers: { 'retry-after': '1', connection: 'close' } })
    expect(response?.body).not.toMatch(/secret|plugin/)
  })
})

test('plugins see the subprotocols that are offered', async () => {
  const server = await startSockets()
  expect((await open(`${server.url}/protocols`, ['x', 'y'])).response?.body).toContain('x+y')
})

test('a path that the server does not serve, and a handshake that is none, are its own to refuse', async () => {
  const server = await startSockets({ server: { path: '/here' } })
  expect((await open(`${server.url}/refuse`)).response?.status).toBe(400)
  const socket = connect(server.port, '127.0.0.1')
  socket.write('GET /here HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 /)
})

test('a client that leaves before it is decided aborts the hook', async () => {
  const server = await startSockets()
  log.lines.length = 0
  const socket = new WebSocket(`${server.url}/wait`)
  socket.on('error', () => {})
  await until('the hook to wait', () => log.lines.some(({ message }) => message === 'waits'))
  socket.terminate()
  await until('the hook to hear of it', () => log.lines.some(({ message }) => message === 'aborted'))
  await until('the client to be counted', () => server.counts.gone === 1)
  expect(server.counts).toMatchObject({ refused: 0, undecided: 0 })
})

test('a closed engine is 503', async () => {
  const engine = await startEngine()
  const server = await startSockets({ engine })
  await engine.close()
  expect((await open(server.url)).response?.status).toBe(503)
})

test('a refused message is dropped, and those around it keep their order', async () => {
  const server = await startSockets()
  const { socket } = await open(server.url)
  const sent = ['slow 1', '2', 'bad 3', 'slow 4', '5', ...Array.from({ length: 100 }, (_, at) => `more ${at}`)]
  for (const each of sent) socket.send(each)
  socket.close()
  await until('the end', () => server.heard.at(-1)?.startsWith('closed') === true)
  expect(server.heard.slice(0, -1)).toEqual(sent.filter((each) => !each.startsWith('bad')))
  expect(server.counts).toMatchObject({ messagesAsked: 105, messagesRefused: 1 })
})

test('a refused message closes the socket if that is asked for, with a reason that fits, and what waited is dropped', async () => {
  const server = await startSockets({ options: { messages: { onRefused: 'close' } } })
  const { socket } = await open(server.url)
  const closed = once(socket, 'close')
  for (const each of ['1', 'bad 2', '3']) socket.send(each)
  const [code, reason] = await closed
  expect([code, String(reason)]).toEqual([1008, 'not that'.repeat(30).slice(0, 123)])
  await until('the end', () => server.heard.at(-1)?.startsWith('closed') === true)
  expect(server.heard).toEqual(['1', 'closed 1008'])
})

test.each([
  ['throw', {}, 1013, 'the message could not be checked'],
  ['x'.repeat(5_000), {}, 1009, 'the message is too large'],
] as const)('a message that nobody has decided (%.5s) closes the socket', async (message, options, code, reason) => {
  const server = await startSockets({ options, engine: await startEngine({ maxEventBytes: 4_096 }) })
  const { socket } = await open(server.url)
  const closed = once(socket, 'close')
  socket.send(message)
  expect((await closed).map(String)).toEqual([String(code), reason])
  expect(server.counts).toMatchObject({ messagesRefused: 0, messagesUndecided: 1 })
})

test('a message that nobody has decided is dropped if that is asked for', async () => {
  const server = await startSockets({ options: { messages: { onUndecided: 'drop' } } })
  const { socket } = await open(server.url)
  for (const each of ['throw', '2']) socket.send(each)
  await until('the other', () => server.heard.length === 1)
  expect(server.heard).toEqual(['2'])
})

test.each(['arraybuffer', 'fragments', 'nodebuffer'] as const)(
  'data as %s are the same to plugins',
  async (binaryType) => {
    const server = await startSockets({ options: { messages: { onRefused: 'close' } } })
    server.sockets.on('connection', (socket) => {
      socket.binaryType = binaryType
    })
    const { socket } = await open(server.url)
    const closed = once(socket, 'close')
    socket.send(Buffer.from('des'), { fin: false, binary: true })
    socket.send(Buffer.from('cribe'), { fin: true, binary: true })
    expect(JSON.parse(String((await closed)[1]))).toEqual({ text: 'describe', isBinary: true, event: null, socket: 1 })
  },
)

test('a socket is not read from while many of its messages wait, and what its user has paused stays paused', async () => {
  const server = await startSockets({ options: { messages: { maxAtOnce: 1, maxWaiting: 2 } } })
  const opened = once(server.sockets, 'connection') as Promise<WebSocket[]>
  const { socket } = await open(server.url)
  const theirs = (await opened)[0] as WebSocket
  socket.send('slow')
  socket.send('2')
  await until('a pause', () => theirs.isPaused)
  await until('its end', () => !theirs.isPaused && server.heard.length === 2)
  socket.send('slow')
  socket.send('4')
  await until('a pause', () => theirs.isPaused)
  theirs.pause()
  await until('both', () => server.heard.length === 4)
  expect(theirs.isPaused).toBe(true)
  theirs.resume()
  expect(theirs.isPaused).toBe(false)
})

test('streams of sockets read what nobody objects to', async () => {
  const server = await startSockets()
  const opened = once(server.sockets, 'connection') as Promise<WebSocket[]>
  const { socket } = await open(server.url)
  const stream = createWebSocketStream((await opened)[0] as WebSocket)
  for (const each of ['one ', 'bad ', 'two']) socket.send(each)
  socket.close()
  expect(await text(stream)).toBe('one two')
})

test('messages cost nothing where no plugin sees them', async () => {
  const from = new URL('./fixtures/http-shutdown-plugin.mjs', import.meta.url)
  const server = await startSockets({ engine: await startEngine({ plugins: [{ from, timeoutMs: 5_000 }] }) })
  const { socket } = await open(server.url)
  socket.send('one')
  await until('it', () => server.heard.length === 1)
  expect(server.counts).toMatchObject({ asked: 0, messagesAsked: 0 })
})

test.each([
  ['messages', { messages: { maxWaiting: 0 } }],
  ['messages', { messages: { onRefused: 'close it' } }],
  ['headers', { headers: 'all' }],
])('%s that are wrong are refused', async (path, options) => {
  const sockets = new WebSocketServer({ noServer: true })
  const engine = await shared
  expect(() => hookWebSockets(engine, sockets, options as never)).toThrow(
    expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringContaining(path) }),
  )
})

/** A Socket.IO server that keeps what it hears, and acknowledges it. */
async function startSocketIo(options: WebSocketOptions<Points> = {}) {
  const server = createServer()
  const io = new SocketIo(server)
  const { counts } = hookSocketIo(await shared, io, options)
  const heard: unknown[] = []
  for (const name of ['/', '/own']) {
    io.of(name).on('connection', (socket) => {
      socket.on('say', (what: unknown, done?: (answer: string) => void) => {
        heard.push(what)
        done?.('heard')
      })
    })
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void io.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, counts, heard }
}

function client(url: string, transports: ('polling' | 'websocket')[], query = {}): Socket {
  const socket = connectIo(url, { transports, query, reconnection: false, forceNew: true })
  onTestFinished(() => void socket.disconnect())
  return socket
}

describe.each([[['polling']], [['websocket']], [['polling', 'websocket']]] as const)(
  'Socket.IO over %s',
  (transports) => {
    test('events pass in their order, dropped ones are left out, in every namespace', async () => {
      const { url, heard, counts } = await startSocketIo()
      for (const name of ['', '/own']) {
        const socket = client(url + name, [...transports])
        socket.emit('say', 'slow 1')
        socket.emit('say', 'bad 2')
        expect(await socket.emitWithAck('say', '3')).toBe('heard')
        expect(heard.splice(0)).toEqual(['slow 1', '3'])
      }
      expect(counts).toMatchObject({ asked: 2, messagesAsked: 6, messagesRefused: 2, messagesUndecided: 0 })
    })

    test('a client that is refused never connects', async () => {
      const { url, counts } = await startSocketIo()
      const socket = client(url, [...transports], { act: 'refuse' })
      await once(socket as never, 'connect_error')
      expect(counts).toMatchObject({ asked: 1, refused: 1 })
      if (transports[0] === 'polling') {
        const answer = await fetch(`${url}/socket.io/?EIO=4&transport=polling&act=refuse`)
        expect([answer.status, await answer.json()]).toMatchObject([401, { detail: 'no socket for you' }])
      }
    })

    test('what nobody has decided disconnects', async () => {
      const { url, heard } = await startSocketIo()
      const socket = client(url, [...transports])
      await once(socket as never, 'connect')
      socket.emit('say', 'throw')
      socket.emit('say', '2')
      await once(socket as never, 'disconnect')
      expect(heard).toEqual([])
    })
  },
)

test('a Socket.IO client of which too many events wait is disconnected', async () => {
  const { url } = await startSocketIo({ messages: { maxWaiting: 3, maxAtOnce: 1 } })
  const socket = client(url, ['websocket'])
  await once(socket as never, 'connect')
  for (let at = 0; at < 5; at++) socket.emit('say', 'slow')
  await once(socket as never, 'disconnect')
})

test('plugins see the name of an event and its arguments', async () => {
  const { url, counts } = await startSocketIo({ messages: { onRefused: 'close' } })
  const socket = client(url, ['websocket'])
  await once(socket as never, 'connect')
  socket.emit('say', 'describe', { a: [1, null] })
  await once(socket as never, 'disconnect')
  expect(counts.messagesRefused).toBe(1)
})

test('a Socket.IO server that is not attached is refused', async () => {
  const engine = await shared
  expect(() => hookSocketIo(engine, new SocketIo())).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }))
})
