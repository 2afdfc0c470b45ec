/** The host services of mqtt@1 on a broker, asked for by a plugin, and their effect as clients see it. */
import { Aedes } from 'aedes'
import { createHookEngine } from 'hookring'
import { attachHooks } from 'hookring/aedes'
import { mqtt } from 'hookring/contracts'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connect, mqttActor, type RunningBroker, startBroker } from '../support/broker.js'
import { silent, until } from '../support/lab.js'

const SERVICES = ['publish', 'disconnect', 'subscriptions', 'stats']

async function open() {
  const plugins = [
    mqttActor({}, { services: SERVICES }),
    mqttActor({ hears: ['onPublish', 'onPublishReceived', 'onDisconnect', 'onWillPublish'] }, { name: 'listener' }),
  ]
  const broker = await startBroker({ plugins })
  const asking = await connect(broker, { clientId: 'asking' })
  return {
    broker,
    asking,
    async asked(service: string, input?: object): Promise<Record<string, unknown>> {
      const before = served(broker, service).length
      await asking.publish(`service/${service}`, input === undefined ? '' : JSON.stringify(input))
      await until(`an answer of ${service}`, () => served(broker, service).length > before)
      return served(broker, service).at(-1) as Record<string, unknown>
    },
  }
}

const served = ({ lines }: RunningBroker, service: string) =>
  lines.filter(({ message }) => message === `served ${service}`).map(({ fields }) => fields)

describe('publish', () => {
  it('reaches subscribers and is kept, and hooks of publishing are not asked', async () => {
    const { broker, asked } = await open()
    const client = await connect(broker)
    await client.subscribe({ 'news/#': 1 })
    const packet = { topic: 'news/today', payload: 'x', qos: 1, retain: true }
    // A line's fields are JSON: what is undefined is not among them.
    expect(await asked('publish', packet)).toEqual({ plugin: 'actor', bulkhead: 'trusted' })
    expect(await client.receives(1)).toEqual(['news/today x'])
    const later = await connect(broker)
    await later.subscribe({ 'news/#': 1 })
    expect(await later.receives(1)).toEqual(['news/today x'])
    const topics = (await broker.hears('onPublish')).map((event) => (event.packet as { topic: string }).topic)
    expect(topics).toEqual(['service/publish'])
  })

  it.each(['', 'a/#', '+', '$SYS/x/new/clients', '$SYS/b/heartbeat'])('refuses the topic %j', async (topic) => {
    const { asked } = await open()
    expect(await asked('publish', { topic, payload: 'x', qos: 0, retain: false })).toMatchObject({
      code: 'SERVICE_INPUT_INVALID',
    })
  })
})

describe('disconnect', () => {
  it('ends a client’s connection, with its will, and says whether there was one', async () => {
    const { broker, asked } = await open()
    const watcher = await connect(broker, { clientId: 'watcher' })
    await watcher.subscribe({ will: 0 })
    const will = { topic: 'will', payload: Buffer.from('gone'), qos: 0 as const, retain: false }
    const client = await connect(broker, { clientId: 'c', will })
    expect(await asked('disconnect', { clientId: 'c', code: 0x98 })).toMatchObject({ output: true })
    await until('the end', () => !client.isConnected)
    expect(await watcher.receives(1)).toEqual(['will gone'])
    expect(await broker.hears('onDisconnect')).toMatchObject([
      { client: { clientId: 'c' }, reason: 'disconnected by actor (0x98)' },
    ])
    expect(await asked('disconnect', { clientId: 'c' })).toMatchObject({ output: false })
    expect(await asked('disconnect', { clientId: '__proto__' })).toMatchObject({ output: false })
  })
})

describe('subscriptions', () => {
  it('counts those of connected clients, and those kept for clients that are away', async () => {
    const { broker, asked } = await open()
    expect(await asked('subscriptions')).toMatchObject({ output: { count: 0, clients: 0 } })
    const a = await connect(broker)
    await a.subscribe({ x: 0, y: 1, z: 2 })
    const kept = await connect(broker, { clientId: 'kept', clean: false })
    await kept.subscribe({ x: 1, y: 1 })
    expect(await asked('subscriptions')).toMatchObject({ output: { count: 5, clients: 2 } })
    await kept.end()
    expect(await asked('subscriptions')).toMatchObject({ output: { count: 5, clients: 2 } })
    await a.mqtt.unsubscribeAsync('x')
    expect(await asked('subscriptions')).toMatchObject({ output: { count: 4, clients: 2 } })
  })
})

describe('stats', () => {
  it('counts clients, messages and bytes in both directions', async () => {
    const { broker, asked } = await open()
    const client = await connect(broker, { clientId: 'c' })
    await client.subscribe({ t: 1 })
    await client.publish('t', 'x'.repeat(1_000), { qos: 1 })
    await client.receives(1)
    const kept = await connect(broker, { clientId: 'kept', clean: false })
    await kept.subscribe({ t: 1 })
    await kept.end()
    await until('its end', () => broker.aedes.connectedClients === 2)
    const { output } = (await asked('stats')) as { output: Record<string, number> }
    expect(output).toMatchObject({
      clientsConnected: 2,
      clientsTotal: 3,
      // The question came as a message too.
      messagesReceived: 2,
      messagesSent: 1,
      subscriptions: 2,
    })
    for (const bytes of [output.bytesReceived!, output.bytesSent!]) {
      expect(bytes).toBeGreaterThan(1_000)
      expect(bytes).toBeLessThan(1_500)
    }
    expect(output.startedAtMs).toBeLessThanOrEqual(Date.now())
  })
})

describe('attaching', () => {
  it('is refused for what is no broker, or not in a state for it', async () => {
    const engine = await createHookEngine({ contract: mqtt, logger: silent, spares: 0 })
    onTestFinished(() => engine.close())
    const refused = (broker: object, message: RegExp) =>
      expect(() => attachHooks(broker as Aedes, engine)).toThrow(
        expect.objectContaining({ code: 'BROKER_UNSUPPORTED', message: expect.stringMatching(message) }),
      )
    refused({}, /expects a broker of Aedes 1, got something else/)
    refused({ version: '2.0.0' }, /got 2\.0\.0/)
    refused(new Aedes(), /not open/)
    const { aedes } = await startBroker({ bare: true })
    Object.assign(aedes, { connectedClients: 1 })
    refused(aedes, /has clients already/)
    Object.assign(aedes, { connectedClients: 0 })
    attachHooks(aedes, engine)
  })

  it('is undone by detach', async () => {
    const acts = [
      { on: 'onPublish', reject: 'no' },
      { on: 'canRead', reject: 'no' },
    ]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const client = await connect(broker)
    await client.subscribe({ t: 1 })
    await client.publish('t', 'x', { qos: 1 })
    expect(broker.attached.counts.publishesRefused).toBe(1)
    broker.attached.detach()
    await client.publish('t', 'y', { qos: 1 })
    expect(await client.receives(1)).toEqual(['t y'])
    const other = await connect(broker)
    await other.subscribe({ t: 1 })
    await other.publish('t', 'z', { qos: 1 })
    expect(await other.receives(1)).toEqual(['t z'])
  })

  it('asks about what the application publishes by itself', async () => {
    const acts = [
      { on: 'onPublish', topic: 'no', reject: 'no' },
      { on: 'onPublishReceived', topic: 'old', replace: { topic: 'new' } },
    ]
    const broker = await startBroker({ plugins: [mqttActor({ acts, hears: ['onPublish'] })] })
    const client = await connect(broker)
    await client.subscribe({ '+': 1 })
    for (const topic of ['no', 'old', 'yes']) {
      const packet = { cmd: 'publish', topic, payload: 'x', qos: 1, retain: false, dup: false } as const
      await new Promise<void>((resolve, reject) =>
        broker.aedes.publish(packet, (error) => (error ? reject(error) : resolve())),
      )
    }
    expect(await client.receives(2)).toEqual(['new x', 'yes x'])
    expect(await broker.hears('onPublish', 3)).toMatchObject([{ client: null }, { client: null }, { client: null }])
  })
})
