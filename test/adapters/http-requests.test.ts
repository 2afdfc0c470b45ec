/** Every door of HTTP: the three outcomes, what plugins see and what clients are told, over real connections. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, describe, expect, test } from 'vitest'
import { closeShared, DOORS, type Door, type HookedServer, startHttp } from '../support/http-servers.js'
import { until } from '../support/until.js'

afterAll(closeShared)

const DOOR_NAMES = Object.keys(DOORS) as Door[]

async function get(server: HookedServer, path: string, init?: RequestInit) {
  const response = await fetch(server.origin + path, { redirect: 'manual', ...init })
  return { status: response.status, headers: response.headers, body: await response.text() }
}

function problem(status: number, title: string, detail: string) {
  return { type: 'about:blank', title, status, detail }
}

/** What goes over one connection, as bytes. The last request should ask for the connection to be closed. */
async function raw({ port }: HookedServer, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes, 'latin1')
  return text(socket)
}

describe.each(DOOR_NAMES)('%s', (door) => {
  test('what nobody objects to reaches the handler', async () => {
    const server = await startHttp(door)
    expect(await get(server, '/')).toMatchObject({ status: 200, body: 'handled' })
    expect(server.handled).toEqual([''])
    expect(server.counts).toMatchObject({ asked: 1, refused: 0, undecided: 0, answered: 0 })
  })

  test.each([
    ['/refuse', 403, 'Forbidden'],
    ['/refuse/429', 429, 'Too Many Requests'],
    ['/refuse/599', 599, undefined],
    ['/refuse/200', 403, 'Forbidden'],
    ['/refuse/600', 403, 'Forbidden'],
  ])('a refusal at %s is %i, with the reason', async (path, status, title) => {
    const server = await startHttp(door)
    const refused = await get(server, path)
    expect(refused.status).toBe(status)
    expect(refused.headers.get('content-type')).toBe('application/problem+json')
    expect(JSON.parse(refused.body)).toEqual({
      ...problem(status, '', 'not today'),
      title,
    })
    expect(server.handled).toEqual([])
    expect(server.counts).toMatchObject({ refused: 1, undecided: 0 })
  })

  test.each([
    ['a gate that throws', '/throw', {}, 503],
    ['an answering plugin that throws', '/route-throws', {}, 503],
    ['a gate that is late', '/wait', { timeoutMs: 30 }, 504],
    ['an answering plugin that is late', '/route-waits', { timeoutMs: 30 }, 504],
  ])('%s leaves it undecided, and nothing internal is told', async (_, path, plugin, status) => {
    const server = await startHttp(door, { plugin })
    const undecided = await get(server, path)
    expect(undecided.status).toBe(status)
    expect(undecided.body).not.toMatch(/secret|by-path|hook|plugin/i)
    expect(JSON.parse(undecided.body)).toEqual(
      status === 503
        ? problem(503, 'Service Unavailable', 'the request could not be checked, try again later')
        : problem(504, 'Gateway Timeout', 'the request could not be checked in time'),
    )
    expect(undecided.headers.get('retry-after')).toBe(status === 503 ? '1' : null)
    expect(server.handled).toEqual([])
    expect(server.counts).toMatchObject({ refused: 0, undecided: 1 })
  })

  test('a closed engine is undecided: 503', async () => {
    const server = await startHttp(door, { plugin: {} })
    await server.engine.close()
    expect(await get(server, '/')).toMatchObject({ status: 503 })
    expect(server.handled).toEqual([])
  })

  test('the operator says what clients are told; where that fails, the default is', async () => {
    const respond = (outcome: { kind: string; status: number }, { path }: { path: string }) => {
      if (path === '/refuse/418') throw new Error('no words')
      if (path === '/refuse/404') return undefined
      return { status: outcome.status + 1, headers: { 'X-Why': outcome.kind }, body: 'told' }
    }
    const server = await startHttp(door, { options: { respond } })
    const refused = await get(server, '/refuse/410')
    expect(refused).toMatchObject({ status: 411, body: 'told' })
    expect(refused.headers.get('x-why')).toBe('refused')
    expect((await get(server, '/throw')).headers.get('x-why')).toBe('undecided')
    expect(JSON.parse((await get(server, '/refuse/404')).body)).toMatchObject({ status: 404, detail: 'not today' })
    expect(JSON.parse((await get(server, '/refuse/418')).body)).toMatchObject({ status: 418, detail: 'not today' })
    expect(server.errors).toEqual([{ error: new Error('no words'), place: 'respond' }])
  })

  test('a plugin sees the request, without credentials, and its id is the trace id', async () => {
    const server = await startHttp(door)
    const { body } = await get(server, '/event/a%2Fb//?tag=a&tag=b%20c&__proto__=x&constructor=y&bad=%ff%zz', {
      method: 'POST',
      headers: { 'user-agent': 'tester', authorization: 'Bearer 1', cookie: 'a=1', 'x-other': '1' },
      body: 'hello',
    })
    const event = JSON.parse(body)
    expect(event).toMatchObject({
      method: 'POST',
      path: '/event/a%2Fb//',
      clientAddress: '127.0.0.1',
      tlsSubject: null,
      route: door === 'fastify' ? '/*' : null,
      credentials: {},
      body: null,
    })
    expect(Object.entries(event.query)).toEqual(
      expect.arrayContaining([
        ['tag', ['a', 'b c']],
        ['__proto__', ['x']],
        ['constructor', ['y']],
        ['bad', ['\ufffd%zz']],
      ]),
    )
    expect(event.headers).toMatchObject({ 'user-agent': 'tester', host: `127.0.0.1:${server.port}` })
    expect(Object.keys(event.headers)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/authorization|cookie|x-other/)]),
    )
    expect(event.requestId).toMatch(door === 'fastify' ? /^req-\d+$/ : /^[\da-f-]{36}$/)
    expect(event.traceId).toBe(event.requestId)
  })

  test('named headers are seen, credentials apart, and names of prototypes are nothing', async () => {
    const options = { headers: ['Authorization', 'X-Tag', 'constructor', '__proto__', 'toString'] }
    const server = await startHttp(door, { options })
    const headers = { authorization: 'Bearer 1', 'x-tag': 'a', accept: 'b' }
    const event = JSON.parse((await get(server, '/event', { headers })).body)
    expect(event.headers).toEqual({ 'x-tag': 'a' })
    expect(event.credentials).toEqual({ authorization: 'Bearer 1' })
  })

  test('the operator names request, trace and client', async () => {
    const server = await startHttp(door, {
      options: {
        requestId: () => 'r-1',
        traceId: ({ requestId }) => `t-${requestId}`,
        clientAddress: () => '::ffff:192.0.2.7',
      },
    })
    expect(JSON.parse((await get(server, '/event')).body)).toMatchObject({
      requestId: 'r-1',
      traceId: 't-r-1',
      clientAddress: '192.0.2.7',
    })
  })

  test('X-Forwarded-For is believed by nobody', async () => {
    const server = await startHttp(door)
    const { body } = await get(server, '/event', { headers: { 'x-forwarded-for': '198.51.100.1' } })
    expect(JSON.parse(body).clientAddress).toBe('127.0.0.1')
  })

  test('a body is seen by plugins, and read by the handler as if they had not', async () => {
    const server = await startHttp(door, { options: { body: true } })
    const seen = await get(server, '/event', { method: 'POST', body: 'häh' })
    expect(JSON.parse(seen.body).body).toBe('häh')
    const bodies = ['one', 'x'.repeat(60_000), '']
    for (const body of bodies)
      expect(await get(server, '/body', { method: 'POST', body })).toMatchObject({ status: 200 })
    expect(server.handled).toEqual(bodies)
    expect(await get(server, '/body', { method: 'PUT', body: 'forbidden' })).toMatchObject({ status: 422 })
    expect(server.handled).toHaveLength(3)
  })

  test('a body in chunks is put together, and one without bytes does not hold the request up', async () => {
    const server = await startHttp(door, { options: { body: true } })
    const head = 'POST /body HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n'
    const chunks = '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n'
    expect(await raw(server, `${head}connection: close\r\n\r\n${chunks}`)).toContain('200 OK')
    expect(await raw(server, `${head}connection: close\r\n\r\n0\r\n\r\n`)).toContain('200 OK')
    expect(server.handled).toEqual(['abcde', ''])
  })

  test.each([
    ['that says so', 'content-length: 2000\r\n\r\n', 'x'.repeat(2_000)],
    ['in chunks', 'transfer-encoding: chunked\r\n\r\n', `7d0\r\n${'x'.repeat(2_000)}\r\n0\r\n\r\n`],
  ])('a body larger than it may be, %s, is 413', async (_, framing, body) => {
    const server = await startHttp(door, { options: { body: true, maxBodyBytes: 1_000 } })
    const head = `POST /body HTTP/1.1\r\nhost: a\r\nconnection: close\r\n`
    expect(await raw(server, head + framing + body)).toMatch(/^HTTP\/1\.1 413 /)
    expect(server.handled).toEqual([])
    expect(server.counts.undecided).toBe(1)
  })

  test('a body that does not come is 408', async () => {
    const server = await startHttp(door, { options: { body: true, bodyTimeoutMs: 30 } })
    const head = 'POST /body HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nab'
    expect(await raw(server, head)).toMatch(/^HTTP\/1\.1 408 /)
    expect(server.handled).toEqual([])
  })

  test('a request larger than the engine takes is refused as HTTP has it', async () => {
    const server = await startHttp(door, { options: { body: true }, engineOptions: { maxEventBytes: 1_024 } })
    expect(await get(server, '/', { headers: { 'user-agent': 'x'.repeat(2_000) } })).toMatchObject({ status: 431 })
    expect(await get(server, `/${'x'.repeat(9_000)}`)).toMatchObject({ status: 414 })
    expect(await get(server, '/', { method: 'POST', body: 'x'.repeat(2_000) })).toMatchObject({ status: 413 })
    expect(server.handled).toEqual([])
  })

  test('a plugin answers in place of the handler', async () => {
    const server = await startHttp(door)
    expect(await get(server, '/answer/plain')).toMatchObject({ status: 200, body: 'from a plugin' })
    const bytes = await fetch(`${server.origin}/answer/bytes`)
    expect(bytes.status).toBe(203)
    expect(new Uint8Array(await bytes.arrayBuffer())).toEqual(Uint8Array.of(0, 1, 255))
    const redirect = await get(server, '/answer/redirect')
    expect([redirect.status, redirect.headers.get('location')]).toEqual([302, '/elsewhere'])
    expect(await get(server, '/answer/empty')).toMatchObject({ status: 204, body: '' })
    expect(server.handled).toEqual([])
    expect(server.counts).toMatchObject({ answered: 4 })
  })

  test('headers of answers that are not on the list are left out, counted and said', async () => {
    const server = await startHttp(door)
    const { status, headers, body } = await get(server, '/answer/headers')
    expect({ status, body }).toEqual({ status: 200, body: 'ok' })
    expect(headers.get('etag')).toBe('"1"')
    expect([headers.get('set-cookie'), headers.get('x-own'), headers.get('content-length')]).toEqual([null, null, '2'])
    expect(server.counts.headersLeftOut).toBe(4)
    expect(server.errors.map(({ error }) => (error as { code: string }).code)).toContain('RESPONSE_INVALID')
  })

  test('a header that the operator names may be set', async () => {
    const server = await startHttp(door, { options: { answerHeaders: ['Set-Cookie'] } })
    expect((await get(server, '/answer/headers')).headers.get('set-cookie')).toBe('a=b')
  })

  test.each(['empty-with-body', 'line-break', 'nul', 'status-low', 'status-high', 'bad-name', 'twice'])(
    'an answer that cannot be sent (%s) is undecided',
    async (answer) => {
      const server = await startHttp(door)
      const { status, body, headers } = await get(server, `/answer/${answer}`)
      expect([status, headers.get('set-cookie')]).toEqual([503, null])
      expect(JSON.parse(body).detail).toBe('the request could not be checked, try again later')
      expect(server.counts.undecided).toBe(1)
    },
  )

  test('HEAD has the headers of GET, and no body', async () => {
    const server = await startHttp(door)
    for (const path of ['/answer/plain', '/refuse']) {
      const whole = await get(server, path)
      const head = await get(server, path, { method: 'HEAD' })
      expect(head).toMatchObject({ status: whole.status, body: '' })
      expect(head.headers.get('content-length')).toBe(String(whole.body.length))
      expect(head.headers.get('content-type')).toBe(whole.headers.get('content-type'))
    }
  })

  test('a client that leaves aborts the hook, is answered by nobody, and nobody is to blame', async () => {
    const server = await startHttp(door, { engineOptions: { quarantine: { minFailures: 1 } } })
    const leaving = new AbortController()
    const request = fetch(`${server.origin}/wait`, { signal: leaving.signal })
    await until('the hook to wait', () => server.log.lines.some(({ message }) => message === 'waits'))
    leaving.abort()
    await expect(request).rejects.toThrow()
    await until('the hook to hear of it', () => server.log.lines.some(({ message }) => message === 'aborted'))
    await until('the client to be counted', () => server.counts.gone === 1)
    expect(server.handled).toEqual([])
    expect(server.counts).toMatchObject({ refused: 0, undecided: 0, gone: 1 })
    await until('its end to be told', () => server.log.lines.some(({ message }) => message === 'ended'))
    const { fields } = server.log.lines.find(({ message }) => message === 'ended') ?? {}
    expect(fields?.event).toMatchObject({ path: '/wait', bytes: 0, isAborted: true })
    expect(await get(server, '/')).toMatchObject({ status: 200 })
  })

  test('requests of one connection, sent at once, are answered in their order', async () => {
    const server = await startHttp(door)
    const line = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nhost: a\r\n${more}\r\n`
    const answers = await raw(
      server,
      line('/refuse/410') + line('/') + line('/answer/plain') + line('/refuse/409', 'connection: close\r\n'),
    )
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['410', '200', '200', '409'].map((one) => `HTTP/1.1 ${one}`))
  })

  test('a connection goes on after a refused request with a body that nobody read', async () => {
    const server = await startHttp(door)
    const body = 'x'.repeat(200_000)
    const refused = `POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    const answers = await raw(server, `${refused}GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`)
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 403', 'HTTP/1.1 200'])
  })

  test('a client that waits for 100 gets it, or its final answer', async () => {
    const server = await startHttp(door, { options: { body: true } })
    const socket = connect(server.port, '127.0.0.1')
    socket.write(
      'POST /body HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 3\r\n\r\n',
    )
    const [first] = await once(socket, 'data')
    expect(String(first)).toMatch(/^HTTP\/1\.1 100 /)
    socket.write('abc')
    expect(await text(socket)).toMatch(/HTTP\/1\.1 200 /)
    expect(server.handled).toEqual(['abc'])
  })

  test('the end of every response is told, whoever made it', async () => {
    const server = await startHttp(door)
    for (const path of ['/', '/refuse', '/answer/plain']) await get(server, path)
    await get(server, '/', { method: 'HEAD' })
    await until('four ends', async () => {
      await server.engine.flush()
      return server.log.lines.filter(({ message }) => message === 'ended').length === 4
    })
    const ends = server.log.lines.filter(({ message }) => message === 'ended').map(({ fields }) => fields.event)
    expect(ends).toEqual([
      expect.objectContaining({ method: 'GET', path: '/', status: 200, bytes: 7, isAborted: false }),
      expect.objectContaining({ path: '/refuse', status: 403, isAborted: false }),
      expect.objectContaining({ path: '/answer/plain', status: 200, bytes: 13 }),
      expect.objectContaining({ method: 'HEAD', status: 200, bytes: 0 }),
    ])
    for (const end of ends as { durationMs: number }[]) expect(end.durationMs).toBeGreaterThan(0)
  })
})

test.each([
  ['absolute', 'http://other.example//a/../b?x=1', '//a/../b', { x: ['1'] }],
  ['absolute without a path', 'http://other.example?x=1', '/', { x: ['1'] }],
  ['a path that looks like a host', '//other.example/a', '//other.example/a', {}],
])('a target that is %s is what the client meant', async (_, target, path, query) => {
  const server = await startHttp('node', {
    options: { respond: ({ status }, request) => ({ status, body: JSON.stringify([request.path, request.query]) }) },
    plugin: { match: () => true },
  })
  await server.engine.close()
  const answer = await raw(server, `GET ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`)
  expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toEqual([path, query])
})
