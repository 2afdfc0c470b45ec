/** The provider with TLS, and with mutual TLS. The certificates are in test/fixtures/exhook/tls, good until 2126. */
import { readFileSync } from 'node:fs'
import { credentials, status } from '@grpc/grpc-js'
import { exhook3 } from 'hookring/contracts'
import { type ExhookTls, startExhookProvider } from 'hookring/exhook'
import { expect, onTestFinished, test } from 'vitest'
import { connectBroker } from '../support/exhook-broker.js'
import { fixture, refusalOf, silent } from '../support/lab.js'

const pem = (name: string) => readFileSync(fixture(`exhook/tls/${name}`))
const SERVER = { cert: pem('server.pem'), key: pem('server.key') }
const MUTUAL = { ...SERVER, ca: pem('ca.pem') }
const WITHIN = { deadlineMs: 5000 }
/** The address is a number, which TLS does not take for a name. */
const NAMED = { 'grpc.ssl_target_name_override': 'localhost', 'grpc.default_authority': 'localhost' }

/** An engine without plugins: these tests are about who gets to ask. */
const engine = { contract: exhook3, hooks: {}, plugins: [] } as never

async function serve(tls: ExhookTls) {
  const provider = await startExhookProvider(engine, { address: '127.0.0.1:0', tls, logger: silent })
  onTestFinished(() => provider.close())
  return (security: ReturnType<typeof credentials.createInsecure>) => {
    const broker = connectBroker(3, provider.address, security, NAMED)
    onTestFinished(() => broker.close())
    return broker.call('OnProviderLoaded', {}, WITHIN)
  }
}

test('with TLS a broker that trusts the certificate is served', async () => {
  const load = await serve(SERVER)
  expect(await load(credentials.createSsl(pem('ca.pem')))).toEqual({})
})

test('with TLS a broker that speaks plain text, or trusts someone else, is not', async () => {
  const load = await serve(SERVER)
  expect(await refusalOf(load(credentials.createInsecure()))).toMatchObject({ code: status.UNAVAILABLE })
  expect(await refusalOf(load(credentials.createSsl(pem('other.pem'))))).toMatchObject({ code: status.UNAVAILABLE })
})

test('with mutual TLS a broker with a certificate of the authority is served', async () => {
  const load = await serve(MUTUAL)
  const security = credentials.createSsl(pem('ca.pem'), pem('broker.key'), pem('broker.pem'))
  expect(await load(security)).toEqual({})
})

test('with mutual TLS a broker without a certificate, or with one of someone else, is not', async () => {
  const load = await serve(MUTUAL)
  expect(await refusalOf(load(credentials.createSsl(pem('ca.pem'))))).toMatchObject({ code: status.UNAVAILABLE })
  const stranger = credentials.createSsl(pem('ca.pem'), pem('other.key'), pem('other.pem'))
  expect(await refusalOf(load(stranger))).toMatchObject({ code: status.UNAVAILABLE })
})

test('a key that does not fit the certificate is refused at the start', async () => {
  const tls = { ...SERVER, key: pem('broker.key') }
  expect(await refusalOf(startExhookProvider(engine, { address: '127.0.0.1:0', tls }))).toMatchObject({
    code: 'OPTIONS_INVALID',
    message: expect.stringContaining('options.tls: cert, key and ca do not make a server'),
  })
})
