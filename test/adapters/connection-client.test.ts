/** The client: what it promises, against the server and against servers that break the protocol. */
import { createServer, type Socket } from 'node:net'
import { connect } from 'hookring/connection'
import { expect, onTestFinished, test } from 'vitest'
import { frame, serve, socketPath } from '../support/connections.js'
import { refusalOf, until } from '../support/lab.js'

const welcome = () => {
  const payload = Buffer.alloc(14)
  payload[0] = 1
  payload.writeInt32BE(5, 2)
  payload.writeUInt32BE(1_000_000, 6)
  payload.writeUInt32BE(64, 10)
  return frame(2, payload)
}

/** A server that does to each socket what the test says. */
async function strange(act: (socket: Socket) => void) {
  const path = socketPath()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    act(socket)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { path }
}

const HELLO_BYTES = 7
/** Of a number below 128. */
const REQUEST_BYTES = 10

/** Once. */
function afterBytes(socket: Socket, count: number, act: () => void): void {
  let left = count
  socket.on('data', (chunk: Buffer) => {
    if (left <= 0) return
    left -= chunk.byteLength
    if (left <= 0) act()
  })
}

test('many requests at once have their own answers, in JSON and in MessagePack', async () => {
  const { client } = await serve({
    async handler(message) {
      const { wait, value } = message as { wait: number; value: unknown }
      for (let i = 0; i < wait; i += 1) await new Promise((resolve) => setImmediate(resolve))
      return value
    },
  })
  for (const codec of ['json', 'msgpack'] as const) {
    const c = await client({ codec })
    const values = Array.from({ length: 50 }, (_, value) => value)
    const answers = values.map((value) => c.sync({ wait: (50 - value) % 7, value }))
    expect(await Promise.all(answers)).toEqual(values)
  }
})

test.each([
  ['nobody listens', { port: 1 }, 'CONNECTION_FAILED'],
  ['there is no socket', { path: '/nowhere/at-all' }, 'CONNECTION_FAILED'],
  ['neither port nor path is given', {}, 'OPTIONS_INVALID'],
  ['both are given', { port: 1, path: '/x' }, 'OPTIONS_INVALID'],
  ['the codec is unknown', { port: 1, codec: 'xml' as never }, 'OPTIONS_INVALID'],
  ['the user has a colon', { port: 1, user: 'a:b' }, 'OPTIONS_INVALID'],
  ['the password is endless', { port: 1, user: 'a', password: 'x'.repeat(2000) }, 'OPTIONS_INVALID'],
  ['a timeout is no number', { port: 1, requestTimeoutMs: Number.NaN }, 'OPTIONS_INVALID'],
])('when %s, connecting fails with a code', async (_, options, code) => {
  expect(await refusalOf(connect(options))).toMatchObject({ code })
})

test.each([
  ['says nothing', () => {}, 'CONNECTION_TIMEOUT'],
  ['hangs up', (socket: Socket) => socket.end(), 'CONNECTION_FAILED'],
  ['is one of HTTP', (socket: Socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), 'HANDSHAKE_INVALID'],
  ['is one of TLS', (socket: Socket) => socket.write(Buffer.of(0x15, 3, 1, 0, 2, 2, 40)), 'HANDSHAKE_INVALID'],
  ['answers before it greets', (socket: Socket) => socket.write(frame(6, [0, 0, 0, 1, 1])), 'HANDSHAKE_INVALID'],
  ['greets in another version', (socket: Socket) => socket.write(frame(2, new Uint8Array(14))), 'HANDSHAKE_INVALID'],
  ['refuses in no known words', (socket: Socket) => socket.write(frame(3, [1, 2])), 'FRAME_INVALID'],
  [
    'refuses with a code of its own',
    (socket: Socket) => socket.write(frame(3, Buffer.from('{"code":"NO","message":"no"}'))),
    'REQUEST_FAILED',
  ],
])('a server that %s is an error with a code', async (_, act, code) => {
  const where = await strange(act)
  expect(await refusalOf(connect({ ...where, connectTimeoutMs: 100 }))).toMatchObject({ code })
})

test.each([
  ['a frame of the client’s', frame(4, [0, 0, 0, 1, 1]), 'FRAME_INVALID'],
  ['a frame that is too large', Buffer.of(0xff, 0xff, 0xff, 0xff), 'FRAME_TOO_LARGE'],
  ['an answer without a number', frame(6, [1]), 'FRAME_INVALID'],
])('after %s the connection is over, and requests under way know why', async (_, bytes, code) => {
  const where = await strange((socket) => {
    socket.write(welcome())
    afterBytes(socket, HELLO_BYTES + REQUEST_BYTES, () => socket.write(bytes))
  })
  const c = await connect(where)
  expect(await refusalOf(c.sync(1))).toMatchObject({ code: 'CONNECTION_CLOSED', cause: { code } })
  expect(await c.closed).toMatchObject({ code })
  expect(await refusalOf(c.sync(1))).toMatchObject({ code: 'CONNECTION_CLOSED' })
  expect(await refusalOf(c.async(1))).toMatchObject({ code: 'CONNECTION_CLOSED' })
})

test('answers that nobody asked for, or that cannot be read, harm nobody else', async () => {
  const where = await strange((socket) => {
    socket.write(welcome())
    const answers = [frame(6, [0, 0, 0, 99, 1]), frame(6, [0, 0, 0, 1, 0xc1]), frame(6, [0, 0, 0, 2, 5])]
    afterBytes(socket, HELLO_BYTES + 2 * REQUEST_BYTES, () => socket.write(Buffer.concat(answers)))
  })
  const c = await connect(where)
  onTestFinished(() => c.close())
  const [first, second] = [refusalOf(c.sync(1)), c.sync(2)]
  expect(await first).toMatchObject({ code: 'BODY_INVALID' })
  expect(await second).toBe(5)
  expect(c.handle).toBe(5)
})

test('a request is given up by its signal and by its time, and its answer is thrown away', async () => {
  const releases: (() => void)[] = []
  const { client } = await serve({
    handler: (message) => new Promise((resolve) => releases.push(() => resolve(message))),
  })
  const c = await client()
  const controller = new AbortController()
  const aborted = refusalOf(c.sync(1, { signal: controller.signal }))
  await until('it is asked', () => releases.length === 1)
  controller.abort(new Error('enough'))
  expect(await aborted).toMatchObject({ code: 'CALL_ABORTED', cause: { message: 'enough' } })
  expect(await refusalOf(c.sync(2, { timeoutMs: 20 }))).toMatchObject({ code: 'REQUEST_TIMEOUT' })
  expect(await refusalOf(c.sync(3, { signal: AbortSignal.abort() }))).toMatchObject({ code: 'CALL_ABORTED' })
  await until('both are asked', () => releases.length === 2)
  const last = c.sync(4)
  await until('three are asked', () => releases.length === 3)
  for (const release of releases) release()
  expect(await last).toBe(4)
})

test('connecting is given up by its signal', async () => {
  const where = await strange(() => {})
  const controller = new AbortController()
  const given = refusalOf(connect({ ...where, signal: controller.signal }))
  controller.abort()
  expect(await given).toMatchObject({ code: 'CALL_ABORTED' })
  expect(await refusalOf(connect({ ...where, signal: AbortSignal.abort() }))).toMatchObject({ code: 'CALL_ABORTED' })
})

test('more requests than maxPending are refused, and none of the others is harmed', async () => {
  const { client } = await serve({ handler: (message) => message })
  const c = await client({ maxPending: 2 })
  const first = [c.sync(1), c.sync(2)]
  expect(await refusalOf(c.sync(3))).toMatchObject({ code: 'REQUEST_OVERLOAD' })
  expect(await Promise.all(first)).toEqual([1, 2])
  expect(await c.sync(4)).toBe(4)
})

test('what is sent to a server that does not read is bounded', async () => {
  const where = await strange((socket) => {
    socket.write(welcome())
    socket.pause()
  })
  const c = await connect(where)
  const body = 'x'.repeat(900_000)
  let refused: unknown = null
  for (let i = 0; i < 40 && refused === null; i += 1) {
    void c.async(body).catch((error) => {
      refused ??= error
    })
    await null
  }
  expect(refused).toMatchObject({ code: 'REQUEST_OVERLOAD' })
})

test('close ends requests under way, lets messages arrive, and may be called again', async () => {
  const got: unknown[] = []
  const { client } = await serve({
    handler(message, { kind }) {
      if (kind === 'async') got.push(message)
      else return new Promise(() => {})
    },
  })
  const c = await client()
  for (let n = 0; n < 100; n += 1) void c.async(n)
  const under = refusalOf(c.sync('never'))
  await Promise.all([c.close(), c.close()])
  expect(await under).toMatchObject({ code: 'CONNECTION_CLOSED' })
  expect(await c.closed).toBe(null)
  expect(c.isOpen).toBe(false)
  await until('all messages', () => got.length === 100)
})

test('a message that its codec cannot write is refused before it is sent', async () => {
  const { client, server } = await serve({ handler: () => 1 })
  const c = await client({ codec: 'json' })
  expect(await refusalOf(c.sync(1n))).toMatchObject({ code: 'BODY_INVALID' })
  expect(await refusalOf(c.async(() => 1))).toMatchObject({ code: 'BODY_INVALID' })
  expect(server.counts).toMatchObject({ sync: 0, async: 0 })
})

test('a server that dies ends its clients with a code', async () => {
  let socketOf: Socket | null = null
  const where = await strange((socket) => {
    socketOf = socket
    socket.write(welcome())
  })
  const c = await connect(where)
  const under = refusalOf(c.sync(1))
  await until('the socket', () => socketOf !== null)
  ;(socketOf as unknown as Socket).destroy()
  expect(await under).toMatchObject({ code: 'CONNECTION_CLOSED' })
  expect(await c.closed).toMatchObject({ code: expect.stringMatching(/^CONNECTION_/) })
})
