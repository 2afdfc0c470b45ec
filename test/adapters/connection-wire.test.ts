/** Bad input: each is a coded error or a count, nothing hangs, and the next client is served. */
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { frame, journal, raw, type Served, serve } from '../support/connections.js'
import { until } from '../support/lab.js'

const HELLO = 1
const REFUSED = 3
const SYNC = 4
const ASYNC = 5
const RESPONSE = 6
const ERROR = 7
const GOODBYE = 8
const idOf = (id: number) => [0, 0, 0, id]

async function stillServes({ client }: Served): Promise<void> {
  const c = await client({ user: 'ada', password: 'x' })
  expect(await c.sync('well?')).toBe('well?')
  await c.close()
}

const open = (given: Parameters<typeof serve>[0] = {}) => serve({ handler: (message) => message, ...given })

test.each([
  ['another version', [HELLO, [2, 0]], 'HANDSHAKE_INVALID', /version 2 .* is not spoken here, version 1 is/],
  ['version 0', [HELLO, [0, 0]], 'HANDSHAKE_INVALID', /version 0/],
  ['no version', [HELLO, []], 'HANDSHAKE_INVALID', /version none/],
  ['no codec', [HELLO, [1]], 'HANDSHAKE_INVALID', /codec none/],
  ['an unknown codec', [HELLO, [1, 9]], 'HANDSHAKE_INVALID', /codec 9/],
  ['credentials without a colon', [HELLO, [1, 0, 0x61]], 'HANDSHAKE_INVALID', /colon/],
  ['credentials that are no UTF-8', [HELLO, [1, 0, 0xff, 0x3a]], 'HANDSHAKE_INVALID', /UTF-8/],
  ['a request instead of a hello', [SYNC, [...idOf(1), 1]], 'HANDSHAKE_INVALID', /must be a hello/],
  ['a frame of the server’s', [RESPONSE, [...idOf(1), 1]], 'HANDSHAKE_INVALID', /must be a hello/],
  ['a hello that is too long', [HELLO, new Uint8Array(5_000)], 'FRAME_TOO_LARGE', /at most 1024/],
] as const)('a handshake with %s is refused', async (_, [type, payload], code, message) => {
  const served = await open()
  const bare = await served.socket()
  bare.frame(type, payload)
  expect(await bare.error()).toMatchObject({ type: REFUSED, code, message: expect.stringMatching(message) })
  expect(await bare.next()).toBe(null)
  expect(served.server.counts.refused.handshake).toBe(1)
  expect(served.server.counts.opened).toBe(0)
  await stillServes(served)
})

const clientHello = Buffer.concat([Buffer.of(0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3), Buffer.alloc(194, 7)])

test.each([
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'), /^HTTP\/1\.1 400 .*not HTTP\.\s*$/s],
  ['TLS', clientHello, '\x15\x03\x01\x00\x02\x02\n'],
  ['kdb+', Buffer.from('ada:secret\x03\0', 'latin1'), /^$/],
  ['kdb+', Buffer.from(':\0', 'latin1'), /^$/],
  ['another protocol', Buffer.from('*1\r\n$4\r\nPING\r\n'), /not hookring's protocol/],
])('a greeting of %s is told apart, and refused in words that its client understands', async (name, bytes, reply) => {
  const served = await open()
  const socket = connectSocket(served.address as { port: number })
  onTestFinished(() => void socket.destroy())
  const got: Buffer[] = []
  socket.on('data', (chunk: Buffer) => got.push(chunk))
  socket.write(bytes)
  await once(socket, 'end')
  expect(Buffer.concat(got).toString('latin1')).toMatch(reply)
  expect(served.server.counts).toMatchObject({ opened: 0, refused: { handshake: 1 } })
  expect(served.lines.map(({ message }) => message)).toEqual([
    `this is not hookring's protocol: the first bytes are those of ${name}`,
  ])
  await stillServes(served)
})

test.each([
  ['a wrong password', 'ada:y'],
  ['a user who is not known', 'eve:x'],
  ['a password that is longer', 'ada:xx'],
  ['a user of Object’s', 'constructor:x'],
  ['no credentials', ''],
])('%s is refused', async (_, credentials) => {
  const served = await open({ users: { ada: 'x' } })
  const bare = await served.socket()
  bare.hello(credentials)
  expect(await bare.error()).toEqual({
    type: REFUSED,
    code: 'CREDENTIALS_REFUSED',
    message: 'user and password were not accepted',
  })
  expect(served.server.counts.refused.credentials).toBe(1)
  await stillServes(served)
})

test('a password may have colons, and be empty', async () => {
  const served = await open({ users: { ada: 'a:b:c', bob: '' } })
  for (const [user, password] of [
    ['ada', 'a:b:c'],
    ['bob', ''],
  ] as const) {
    expect((await served.client({ user, password })).isOpen).toBe(true)
  }
})

test('users may be a function, and one that throws accepts nobody', async () => {
  const { client, lines } = await open({
    users(user, password) {
      if (user === 'eve') throw new Error('the directory is down')
      return Promise.resolve(user === password)
    },
  })
  expect((await client({ user: 'a', password: 'a' })).isOpen).toBe(true)
  for (const user of ['b', 'eve']) {
    await expect(client({ user, password: 'x' })).rejects.toMatchObject({ code: 'CREDENTIALS_REFUSED' })
  }
  expect(lines.map(({ message }) => message)).toEqual(['a user could not be checked: the directory is down'])
})

test.each([
  ['nothing', []],
  ['one byte', [0]],
  ['half a hello', [0, 0, 0, 3, 1]],
])('a client that sends %s and then keeps silent is refused in time', async (_, bytes) => {
  const served = await open({ handshakeTimeoutMs: 60 })
  const bare = await served.socket()
  bare.write(bytes)
  expect(await bare.error()).toMatchObject({ type: REFUSED, code: 'CONNECTION_TIMEOUT' })
  expect(served.server.counts.refused.timeout).toBe(1)
  await stillServes(served)
})

test('a client that sends its handshake byte by byte, each a little later, is refused in time', async () => {
  const served = await open({ handshakeTimeoutMs: 80 })
  const bare = await served.socket()
  const bytes = frame(HELLO, [1, 0, ...Buffer.alloc(900, 0x61)])
  let at = 0
  const drip = setInterval(() => bare.socket.writable && bare.write([bytes[at++] as number]), 10)
  expect(await bare.error()).toMatchObject({ type: REFUSED, code: 'CONNECTION_TIMEOUT' })
  clearInterval(drip)
  expect(at).toBeLessThan(bytes.byteLength)
  await stillServes(served)
})

test('an auth hook that does not answer is no handshake', async () => {
  const served = await open({
    users: { ada: 'x' },
    handshakeTimeoutMs: 60,
    plugins: [raw({ auth: 'hangs' }, { timeoutMs: 5_000 })],
  })
  const bare = await served.socket()
  bare.hello('ada:x')
  expect(await bare.error()).toMatchObject({ type: REFUSED, code: 'CONNECTION_TIMEOUT' })
  await served.engine.remove('raw')
  await stillServes(served)
})

test.each([
  ['a frame without a type', [0, 0, 0, 0], 'FRAME_INVALID'],
  ['a frame of no known type', [...frame(99)], 'FRAME_INVALID'],
  ['a second hello', [...frame(HELLO, [1, 0])], 'FRAME_INVALID'],
  ['a request without its number', [...frame(SYNC, [1, 2])], 'FRAME_INVALID'],
  ['a frame that is too large', [0xff, 0xff, 0xff, 0xff, SYNC], 'FRAME_TOO_LARGE'],
  ['a frame just too large', [0, 0x0f, 0x42, 0x41, SYNC], 'FRAME_TOO_LARGE'],
])('%s ends the connection with a word', async (_, bytes, code) => {
  const served = await open({ plugins: [journal()] })
  const bare = await served.socket()
  bare.hello()
  await bare.next()
  bare.write(bytes)
  expect(await bare.error()).toMatchObject({ type: GOODBYE, code })
  expect(await bare.next()).toBe(null)
  await until('the count', () => served.server.counts.closed.protocol === 1)
  await stillServes(served)
})

test('frames that come byte by byte, and many in one piece, are the same frames', async () => {
  const served = await open()
  const bare = await served.socket()
  const hello = frame(HELLO, [1, 0])
  const requests = [1, 2, 3].map((id) => frame(SYNC, [...idOf(id), id]))
  for (const byte of [...hello, ...requests[0]!]) {
    bare.write([byte])
    await new Promise((resolve) => setImmediate(resolve))
  }
  await bare.next()
  bare.write(Buffer.concat([requests[1]!, requests[2]!.subarray(0, 7)]))
  bare.write(requests[2]!.subarray(7))
  for (const id of [1, 2, 3]) {
    const { type, payload } = (await bare.next())!
    expect([type, ...payload]).toEqual([RESPONSE, ...idOf(id), id])
  }
})

test('a frame of the largest size is taken, in pieces too', async () => {
  const served = await open({ maxFrameBytes: 300_000 })
  const c = await served.client()
  const body = 'x'.repeat(300_000 - 5 - 5)
  expect(await c.sync(body)).toBe(body)
  await expect(c.sync(`${body}x`)).rejects.toMatchObject({ code: 'FRAME_TOO_LARGE' })
  expect(c.isOpen).toBe(true)
})

test('a response that is too large is an error, and its connection goes on', async () => {
  const served = await open({ maxFrameBytes: 2_000, handler: (n) => 'x'.repeat(n as number) })
  const c = await served.client()
  await expect(c.sync(5_000)).rejects.toMatchObject({ code: 'FRAME_TOO_LARGE' })
  expect(await c.sync(3)).toBe('xxx')
})

test.each([
  ['nothing', []],
  ['garbage', [0xc1, 0xff, 0x00]],
  ['a list of four billion', [0xdd, 0xff, 0xff, 0xff, 0xff]],
])('a MessagePack body of %s is an error of its request alone', async (_, body) => {
  const served = await open({ plugins: [journal()] })
  const bare = await served.socket()
  bare.hello()
  await bare.next()
  bare.frame(ASYNC, body)
  bare.frame(SYNC, [...idOf(7), ...body])
  const { type, payload } = (await bare.next())!
  expect([type, payload.readUInt32BE(0)]).toEqual([ERROR, 7])
  expect(JSON.parse(payload.subarray(4).toString())).toMatchObject({ code: 'BODY_INVALID' })
  bare.frame(SYNC, [...idOf(8), 5])
  expect([...(await bare.next())!.payload]).toEqual([...idOf(8), 5])
  expect(served.server.counts).toMatchObject({ failed: 1, answered: 1, unreadable: 1 })
  expect(served.lines.filter(({ message }) => message.startsWith('async: '))).toHaveLength(1)
})

test('a JSON body that is none is an error of its request alone', async () => {
  const served = await open()
  const bare = await served.socket()
  bare.frame(HELLO, [1, 1])
  await bare.next()
  bare.frame(SYNC, [...idOf(1), ...Buffer.from('{"a":')])
  expect(await bare.error()).toMatchObject({ type: ERROR, code: 'BODY_INVALID' })
  bare.frame(SYNC, [...idOf(2), ...Buffer.from('{"a":[1]}')])
  expect((await bare.next())!.payload.subarray(4).toString()).toBe('{"a":[1]}')
})

test('a frame that is cut off by the end of the connection is nobody’s', async () => {
  const served = await open({ plugins: [journal()] })
  const bare = await served.socket()
  bare.hello()
  await bare.next()
  bare.write([0, 0, 0, 100, SYNC, 0, 0])
  bare.socket.end()
  expect(await bare.next()).toBe(null)
  expect(served.server.counts).toMatchObject({ sync: 0, closed: { client: 1 } })
  await stillServes(served)
})

test('a frame that is begun and never finished ends the connection in time', async () => {
  const served = await open({ stallTimeoutMs: 60 })
  const bare = await served.socket()
  bare.hello()
  await bare.next()
  bare.write([0, 0, 0, 100, SYNC])
  expect(await bare.error()).toMatchObject({ type: GOODBYE, code: 'CONNECTION_TIMEOUT' })
  expect(served.server.counts.closed.stalled).toBe(1)
  await stillServes(served)
})

test('what a client sends ahead of its welcome is answered after it, and not before its user was checked', async () => {
  let release: (isRight: boolean) => void = () => {}
  const checked = new Promise<boolean>((resolve) => {
    release = resolve
  })
  const served = await open({ users: () => checked })
  const bare = await served.socket()
  bare.hello('ada:x')
  for (let id = 1; id <= 3; id += 1) bare.frame(SYNC, [...idOf(id), id])
  await until('the check', () => served.server.counts.accepted === 1)
  expect(served.server.counts.sync).toBe(0)
  release(true)
  expect((await bare.next())?.type).toBe(2)
  for (let id = 1; id <= 3; id += 1) expect((await bare.next())?.payload[4]).toBe(id)
})

test('what a client sends before its user was checked waits outside the server', async () => {
  const served = await open({ users: () => new Promise<boolean>(() => {}) })
  const bare = await served.socket()
  bare.hello('ada:x')
  bare.write(Buffer.alloc(32 * 1024 * 1024, 1))
  let left = -1
  for (let still = 0; still < 50; still += 1) {
    await new Promise((resolve) => setImmediate(resolve))
    if (bare.socket.writableLength !== left) still = 0
    left = bare.socket.writableLength
  }
  expect(left).toBeGreaterThan(0)
  bare.socket.destroy()
})

/** Numbers below 2^32 that are the same each time. */
function draws(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return state
  }
}

test('whatever bytes come, before and after the handshake, the next client is served', async () => {
  const served = await open({ plugins: [journal()], stallTimeoutMs: 100, handshakeTimeoutMs: 100 })
  const draw = draws(7)
  const chunk = () => Buffer.from(Array.from({ length: draw() % 64 }, () => draw() % (draw() % 3 === 0 ? 256 : 8)))
  const attempts = Array.from({ length: 60 }, async (_, i) => {
    const bare = await served.socket()
    if (i % 2 === 0) bare.hello()
    for (let n = draw() % 6; n >= 0; n -= 1) {
      if (draw() % 2 === 0) bare.write(chunk())
      else bare.frame(draw() % 10, chunk())
    }
    if (i % 3 === 0) bare.socket.end()
    while ((await bare.next()) !== null);
  })
  await Promise.all(attempts)
  await stillServes(served)
  const { accepted, opened, refused, closed } = served.server.counts
  const sum = (counts: Record<string, number>) => Object.values(counts).reduce((all, count) => all + count, 0)
  await until('each to be counted once', () => sum(closed) === opened)
  expect(sum(refused) + opened).toBe(accepted)
})
