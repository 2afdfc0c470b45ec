/** The subject of a client's certificate, with HTTPS and HTTP/2. The certificates are in test/fixtures/exhook/tls. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectHttp2, createSecureServer } from 'node:http2'
import { Agent, createServer, get } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { createHookEngine } from 'hookring'
import { http } from 'hookring/contracts'
import { hookMiddleware } from 'hookring/http'
import { expect, onTestFinished, test } from 'vitest'
import { recordingLogger } from '../support/recording-logger.js'

const pem = (name: string) => readFileSync(new URL(`../fixtures/exhook/tls/${name}`, import.meta.url))
const SERVER = { cert: pem('server.pem'), key: pem('server.key'), ca: pem('ca.pem') }
/** A server that asks for a certificate and serves those who have none, too. */
const ASKING = { ...SERVER, requestCert: true, rejectUnauthorized: false }
const TRUSTED = { cert: pem('broker.pem'), key: pem('broker.key') }
const STRANGER = { cert: pem('other.pem'), key: pem('other.key') }

async function start() {
  const from = new URL('./fixtures/http-plugin.mjs', import.meta.url)
  const engine = await createHookEngine({
    contract: http,
    plugins: [{ from, timeoutMs: 5_000 }],
    logger: recordingLogger(),
  })
  onTestFinished(() => engine.close())
  return hookMiddleware(engine)
}

test('a verified certificate is seen by its subject; others, and none, are nobody', async () => {
  const middleware = await start()
  const server = createServer(ASKING, (request, response) => middleware(request, response, () => response.end()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const subjectOf = async (certificate: object, agent = new Agent()) => {
    const request = get({ host: '127.0.0.1', port, path: '/event', rejectUnauthorized: false, agent, ...certificate })
    const [response] = await once(request, 'response')
    return JSON.parse(await text(response)).tlsSubject
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  expect(await subjectOf(TRUSTED, agent)).toMatch(/^(?:\w+=[^,\n]+,)*CN=[^,\n]+$/)
  expect(await subjectOf(TRUSTED, agent)).toMatch(/CN=/)
  expect(await subjectOf(STRANGER)).toBeNull()
  expect(await subjectOf({})).toBeNull()
})

test('HTTP/2 over TLS has the subject, and the address of its connection', async () => {
  const middleware = await start()
  const server = createSecureServer(ASKING, (request, response) => {
    middleware(request as never, response as never, () => response.end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, ...TRUSTED })
  onTestFinished(() => {
    client.close()
    server.close()
  })
  const event = JSON.parse(await text(client.request({ ':path': '/event' })))
  expect(event).toMatchObject({ tlsSubject: expect.stringContaining('CN='), clientAddress: '127.0.0.1' })
})
