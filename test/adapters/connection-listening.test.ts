/** Where a server listens and whom it lets wait: TLS, the mode of a unix socket, connections that are not let in yet. */
import { readFileSync, statSync } from 'node:fs'
import { connect as connectTls } from 'node:tls'
import { connect } from 'hookring/connection'
import { describe, expect, onTestFinished, test } from 'vitest'
import { serve, socketPath } from '../support/connections.js'
import { fixture, refusalOf, until } from '../support/lab.js'

const pem = (name: string) => readFileSync(fixture(`exhook/tls/${name}`))
const CERTIFICATE = { cert: pem('server.pem'), key: pem('server.key') }
const ca = pem('ca.pem')
const SERVER_NAME = 'localhost'

describe('TLS', () => {
  test('carries requests, messages, and what was sent before the end', async () => {
    const got: unknown[] = []
    const { server } = await serve({
      handler(message, { kind }) {
        if (kind === 'async') got.push(message)
        return message
      },
    })
    const { port } = (await server.listen({ port: 0, tls: CERTIFICATE })) as { port: number }
    const c = await connect({ port, tls: { ca, serverName: SERVER_NAME } })
    const heard: unknown[] = []
    c.on('message', (message) => heard.push(message))
    expect(await c.sync('x'.repeat(500_000))).toHaveLength(500_000)
    server.post(c.handle, 'hello')
    for (let n = 0; n < 200; n += 1) void c.async(n)
    await c.close()
    expect(heard).toEqual(['hello'])
    expect(got).toHaveLength(200)
  })

  test('refuses a client without a certificate where clients must show one', async () => {
    const { server } = await serve({ handler: (message) => message })
    const { port } = (await server.listen({ port: 0, tls: { ...CERTIFICATE, ca } })) as { port: number }
    const own = { cert: pem('broker.pem'), key: pem('broker.key') }
    const c = await connect({ port, tls: { ca, serverName: SERVER_NAME, ...own } })
    expect(await c.sync(1)).toBe(1)
    await c.close()
    const stranger = await refusalOf(connect({ port, tls: { ca, serverName: SERVER_NAME } }))
    expect(stranger).toMatchObject({ code: expect.stringMatching(/^(?:CONNECTION_FAILED|CONNECTION_CLOSED)$/) })
    await until('the count', () => server.counts.refused.handshake === 1)
  })

  test('is told apart from plain text, on both sides', async () => {
    const { server, address, lines } = await serve()
    const { port } = (await server.listen({ port: 0, tls: CERTIFICATE })) as { port: number }
    expect(await refusalOf(connect({ port }))).toMatchObject({
      code: expect.stringMatching(/^(?:HANDSHAKE_INVALID|CONNECTION_FAILED)$/),
    })
    await until('a line', () => lines.some(({ message }) => message.includes('could not be talked to by TLS')))
    const plain = address as { port: number }
    expect(await refusalOf(connect({ ...plain, tls: { ca, serverName: SERVER_NAME } }))).toMatchObject({
      code: 'CONNECTION_FAILED',
    })
    await until('a line', () => lines.some(({ message }) => message.includes('the first bytes are those of TLS')))
  })

  test('is not believed where nobody known has signed the certificate', async () => {
    const { server } = await serve()
    const { port } = (await server.listen({ port: 0, tls: CERTIFICATE })) as { port: number }
    const refusal = await refusalOf(connect({ port, tls: true }))
    expect(refusal).toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringMatching(/certificate|self.signed/i),
    })
  })

  test('a peer that never finishes its handshake does not stay', async () => {
    const { server } = await serve({ handshakeTimeoutMs: 100 })
    const { port } = (await server.listen({ port: 0, tls: CERTIFICATE })) as { port: number }
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => {})
    // It is encrypted, and says no hello.
    await until('the end', () => server.counts.refused.timeout === 1)
  })

  test.each([
    ['without a key', { tls: { cert: CERTIFICATE.cert } }, ['tls']],
    ['with a key that is none', { tls: { cert: CERTIFICATE.cert, key: 'no' } }, ['tls']],
    ['with a mode for a port', { mode: 0o600 }, ['mode']],
  ])('%s is refused', async (_, options, path) => {
    const { server } = await serve()
    expect(await refusalOf(server.listen({ port: 0, ...options } as never))).toMatchObject({
      ...{ code: 'OPTIONS_INVALID', path },
    })
  })
})

test.each([0o600, 0o660, 0o666])('a unix socket has the mode %i that it is given', async (mode) => {
  const { server } = await serve({ handler: () => 'here' })
  const path = socketPath()
  const before = process.umask()
  await server.listen({ path, mode })
  expect(statSync(path).mode & 0o777).toBe(mode)
  expect(process.umask()).toBe(before)
  await using c = await connect({ path })
  expect(await c.sync(1)).toBe('here')
})

test('past maxHandshakes a connection is refused, and those that are let in are not counted', async () => {
  const { client, socket, server } = await serve({ maxHandshakes: 2, handler: (message) => message })
  const open = [await client(), await client(), await client()]
  const waiting = [await socket(), await socket()]
  await until('both', () => server.counts.accepted === 5)
  expect(await refusalOf(client())).toMatchObject({
    ...{ code: 'CONNECTION_LIMIT', message: 'too many connections wait to be let in' },
  })
  expect(await open[0]?.sync(1)).toBe(1)
  waiting[0]?.hello()
  await waiting[0]?.next()
  expect((await client()).isOpen).toBe(true)
})

test('a peer that was refused does not keep its place for long', async () => {
  const { client, socket, server } = await serve({ maxConnections: 1, stallTimeoutMs: 60_000, handler: () => 1 })
  const bare = await socket()
  bare.frame(99)
  expect(await bare.error()).toMatchObject({ code: 'HANDSHAKE_INVALID' })
  // It keeps its side open.
  await until('room', async () => {
    const c = await client().catch(() => null)
    return c !== null
  })
  expect(server.counts.refused.handshake).toBe(1)
})
