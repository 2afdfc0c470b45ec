/** mqtt@1: what crosses, as it is, and what is refused before it does. */
import { createHookEngine } from 'hookring'
import { MQTT_REASON, mqtt } from 'hookring/contracts'
import { describe, expect, it, onTestFinished } from 'vitest'
import { mqttActor } from '../support/broker.js'
import { silent } from '../support/lab.js'

const client = {
  clientId: 'c',
  username: 'ü\u0000\u202e',
  remoteAddress: '::1',
  protocolVersion: 4,
  clean: true,
  keepalive: 65_535,
}
const packet = { topic: 'a/b', payload: Buffer.from([0, 255, 128]), qos: 2 as const, retain: true }

async function open(config: object) {
  const engine = await createHookEngine({
    contract: mqtt,
    plugins: [mqttActor(config)],
    logger: silent,
    spares: 0,
    timeoutMs: 5_000,
  })
  onTestFinished(() => engine.close())
  return engine
}

describe('mqtt@1', () => {
  it('has every hook method of its document, each of the kind that its effect needs', () => {
    const kinds = Object.fromEntries(Object.entries(mqtt.hookpoints).map(([name, { kind }]) => [name, kind]))
    expect(mqtt.id).toBe('mqtt@1')
    expect(kinds).toMatchObject({
      onConnect: 'gate',
      onConnected: 'observe',
      onDisconnect: 'observe',
      onSubscribe: 'transform',
      onPublish: 'gate',
      onPublishReceived: 'transform',
      canRead: 'gate',
      onPublishDeliver: 'transform',
      onSessionCreated: 'observe',
      onSessionResumed: 'observe',
      onSessionEnded: 'observe',
      onWillPublish: 'gate',
      onMessageDropped: 'observe',
      storeRetained: 'respond',
      getRetained: 'respond',
    })
  })

  it('carries a message as it is, and a replacement larger than the message back', async () => {
    const payload = 'x'.repeat(60_000)
    const engine = await open({ acts: [{ on: 'onPublishReceived', replace: { payload } }] })
    const verdict = await engine.hooks.onPublishReceived({ client, packet })
    expect(verdict).toMatchObject({
      kind: 'replace',
      event: { client, packet: { ...packet, payload: expect.anything() } },
    })
    const { event } = verdict as { event: { packet: { payload: Uint8Array } } }
    expect(Buffer.from(event.packet.payload).toString()).toBe(payload)
  })

  it('carries reason codes', async () => {
    const engine = await open({ acts: [{ on: 'onConnect', reject: 'no', code: MQTT_REASON.quotaExceeded }] })
    const verdict = await engine.hooks.onConnect({ client, password: null, will: packet })
    expect(verdict).toMatchObject({ kind: 'reject', reason: 'no', code: 0x97 })
  })

  it.each([
    ['a QoS of 3', { client, packet: { ...packet, qos: 3 } }, 'packet.qos'],
    ['a payload that is text', { client, packet: { ...packet, payload: 'x' } }, 'packet.payload'],
    ['a client without an id', { client: { ...client, clientId: undefined }, packet }, 'client.clientId'],
    ['a keepalive that does not fit', { client: { ...client, keepalive: 65_536 }, packet }, 'client.keepalive'],
  ])('refuses %s by its path', async (_, event, path) => {
    const engine = await open({ acts: [{ on: 'onPublish' }] })
    await expect(engine.hooks.onPublish(event as never)).rejects.toMatchObject({
      code: 'EVENT_INVALID',
      message: expect.stringContaining(path),
    })
  })

  it('takes no answer for retained messages that are none', async () => {
    const engine = await open({ acts: [{ on: 'getRetained', answer: 'x' }] })
    await expect(engine.hooks.getRetained({ filter: '#' })).rejects.toMatchObject({ code: 'PLUGIN_FAILED' })
  })
})
