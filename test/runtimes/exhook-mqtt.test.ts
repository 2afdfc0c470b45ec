/** A remote provider as a plugin of an MQTT broker: what the events of mqtt@1 are in the protocol's terms, and the broker. */
import { createHookEngine, type HookEngine } from 'hookring'
import { mqtt } from 'hookring/contracts'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { mqttExchanges, NOT_ASKED } from '../../dist/worker/runtimes/exhook/mqtt-events.js'
import { connect, startBroker } from '../support/broker.js'
import {
  type Answer,
  type HookSpec,
  type Message,
  startProvider,
  type TestProvider,
} from '../support/exhook-provider.js'
import { silent, until } from '../support/lab.js'

const client = {
  clientId: 'c1',
  username: 'ada',
  remoteAddress: '10.0.0.7',
  protocolVersion: 4,
  clean: true,
  keepalive: 60,
} as const
const packet = {
  topic: 'a/b',
  payload: Buffer.from('hello') as Uint8Array<ArrayBuffer>,
  qos: 1,
  retain: false,
} as const
const HOOKS = [
  'client.connect',
  'client.connack',
  'client.connected',
  'client.disconnected',
  'client.authenticate',
  'client.authorize',
  'client.subscribe',
  'client.unsubscribe',
  'session.created',
  'session.unsubscribed',
  'session.resumed',
  'session.terminated',
  'message.publish',
  'message.delivered',
  'message.dropped',
].map((name): HookSpec => ({ name }))

describe('an engine of mqtt@1', () => {
  let provider: TestProvider
  let engine: HookEngine<(typeof mqtt)['hookpoints']>
  let answers: Record<string, (request: Message) => Answer> = {}
  let slow: (() => Promise<void>) | null = null
  const node = 'ring@one'
  const clientinfo = {
    node,
    clientid: 'c1',
    username: 'ada',
    password: '',
    peerhost: '10.0.0.7',
    protocol: 'mqtt',
    anonymous: false,
  }
  const conninfo = {
    node,
    clientid: 'c1',
    username: 'ada',
    peerhost: '10.0.0.7',
    protoName: 'MQTT',
    protoVer: '4',
    keepalive: 60,
  }
  const meta = { node, clusterName: 'rings' }

  beforeAll(async () => {
    const asked = [
      'OnClientConnect',
      'OnClientAuthenticate',
      'OnClientAuthorize',
      'OnMessagePublish',
      'OnMessageDelivered',
    ]
    provider = await startProvider(3, {
      hooks: [...HOOKS, { name: 'session.subscribed' }, { name: 'message.acked' }],
      answers: Object.fromEntries(
        asked.map((rpc) => [
          rpc,
          async (request: Message) => {
            await slow?.()
            return answers[rpc]?.(request) ?? (/Authen|Author|Publish/.test(rpc) ? { type: 'IGNORE' } : {})
          },
        ]),
      ),
      keep: true,
    })
    warnings = []
    engine = await createHookEngine({
      contract: mqtt,
      plugins: [{ from: provider.url, runtime: 'exhook', config: { node, cluster: 'rings' } }],
      logger: { ...silent, warn: (_, text) => warnings.push(text) },
      quarantine: false,
      spares: 0,
      timeoutMs: 5_000,
    })
  })
  afterAll(async () => {
    await engine.close()
    provider.end()
  })
  let warnings: string[]
  beforeEach(() => {
    answers = {}
  })

  const last = (rpc: string) => provider.requests(rpc).at(-1)

  it('says which hooks it does not tell of', async () => {
    await until('a warning', () => warnings.length > 0)
    expect(warnings).toEqual([expect.stringMatching(/asks for session\.subscribed, message\.acked, of which mqtt@1/)])
  })

  it('onConnect: client.connect, then client.authenticate, which may refuse', async () => {
    const event = { client, password: Buffer.from('secret') as Uint8Array<ArrayBuffer>, will: null }
    expect(await engine.hooks.onConnect(event)).toEqual({ kind: 'continue' })
    expect(last('OnClientConnect')).toMatchObject({ conninfo, meta })
    expect(last('OnClientAuthenticate')).toMatchObject({
      clientinfo: { ...clientinfo, password: 'secret' },
      result: true,
      meta,
    })
    expect(provider.calls.slice(-2).map(({ rpc }) => rpc)).toEqual(['OnClientConnect', 'OnClientAuthenticate'])
    for (const type of ['CONTINUE', 'STOP_AND_RETURN']) {
      answers.OnClientAuthenticate = () => ({ type, boolResult: false })
      expect(await engine.hooks.onConnect(event)).toMatchObject({ kind: 'reject', code: 0x87 })
    }
  })

  it('onConnect: a client without name or password is anonymous', async () => {
    await engine.hooks.onConnect({
      client: { ...client, username: null, protocolVersion: 3 },
      password: null,
      will: null,
    })
    expect(last('OnClientConnect')).toMatchObject({ conninfo: { username: '', protoName: 'MQIsdp', protoVer: '3' } })
    expect(last('OnClientAuthenticate')).toMatchObject({ clientinfo: { username: '', password: '', anonymous: true } })
  })

  it('onConnect: a provider that fails to be told of it is asked all the same', async () => {
    answers.OnClientConnect = () => ({ code: 13, details: 'broken' })
    answers.OnClientAuthenticate = () => ({ type: 'STOP_AND_RETURN', boolResult: true })
    expect(await engine.hooks.onConnect({ client, password: null, will: null })).toEqual({ kind: 'continue' })
    await until('a warning', () => warnings.some((text) => /could not be told of OnClientConnect.*broken/.test(text)))
  })

  it('onConnected: client.connack and client.connected', async () => {
    engine.hooks.onConnected({ client, sessionPresent: false })
    expect(await provider.heard('OnClientConnack')).toMatchObject([{ conninfo, resultCode: 'success', meta }])
    expect(await provider.heard('OnClientConnected')).toMatchObject([{ clientinfo, meta }])
  })

  it('onDisconnect: client.disconnected', async () => {
    engine.hooks.onDisconnect({ client, reason: null })
    engine.hooks.onDisconnect({ client, reason: 'keepalive' })
    const requests = await provider.heard('OnClientDisconnected', 2)
    expect(requests).toMatchObject([{ clientinfo, reason: 'normal', meta }, { reason: 'keepalive' }])
  })

  it('onSubscribe: client.subscribe, then client.authorize for each filter, of which some may be refused', async () => {
    const subscriptions = [
      { filter: 'a/+', qos: 1 as const },
      { filter: 'secret', qos: 2 as const },
    ]
    answers.OnClientAuthorize = ({ topic }) => ({ type: 'STOP_AND_RETURN', boolResult: topic !== 'secret' })
    const before = provider.requests('OnClientAuthorize').length
    const verdict = await engine.hooks.onSubscribe({ client, subscriptions })
    expect(verdict).toMatchObject({ kind: 'replace', event: { client, subscriptions: [{ filter: 'a/+', qos: 1 }] } })
    expect(last('OnClientSubscribe')).toMatchObject({
      clientinfo,
      topicFilters: [
        { name: 'a/+', subopts: { qos: 1 } },
        { name: 'secret', subopts: { qos: 2 } },
      ],
    })
    expect(provider.requests('OnClientAuthorize').slice(before)).toMatchObject([
      { clientinfo, type: 'SUBSCRIBE', topic: 'a/+', result: true },
      { clientinfo, type: 'SUBSCRIBE', topic: 'secret', result: true },
    ])
    answers.OnClientAuthorize = () => ({ type: 'CONTINUE', boolResult: false })
    expect(await engine.hooks.onSubscribe({ client, subscriptions })).toMatchObject({ kind: 'reject', code: 0x87 })
    answers = {}
    expect(await engine.hooks.onSubscribe({ client, subscriptions })).toEqual({ kind: 'continue' })
  })

  it('onUnsubscribe: client.unsubscribe, and session.unsubscribed for each filter', async () => {
    engine.hooks.onUnsubscribe({ client, filters: ['a/+', 'b'] })
    expect(await provider.heard('OnSessionUnsubscribed', 2)).toMatchObject([
      { clientinfo, topic: 'a/+' },
      { topic: 'b' },
    ])
    expect(last('OnClientUnsubscribe')).toMatchObject({ clientinfo, topicFilters: [{ name: 'a/+' }, { name: 'b' }] })
  })

  it('onPublish: client.authorize, which may refuse; the broker itself needs no leave', async () => {
    expect(await engine.hooks.onPublish({ client, packet })).toEqual({ kind: 'continue' })
    expect(last('OnClientAuthorize')).toMatchObject({ clientinfo, type: 'PUBLISH', topic: 'a/b', result: true, meta })
    answers.OnClientAuthorize = () => ({ type: 'STOP_AND_RETURN', boolResult: false })
    expect(await engine.hooks.onPublish({ client, packet })).toMatchObject({ kind: 'reject', code: 0x87 })
    expect(await engine.hooks.onPublish({ client: null, packet })).toEqual({ kind: 'continue' })
  })

  it('onWillPublish: client.authorize, as for a message of the client’s own', async () => {
    answers = { OnClientAuthorize: () => ({ type: 'STOP_AND_RETURN', boolResult: false }) }
    expect(await engine.hooks.onWillPublish({ client, packet })).toMatchObject({ kind: 'reject', code: 0x87 })
    expect(last('OnClientAuthorize')).toMatchObject({ clientinfo, type: 'PUBLISH', topic: 'a/b' })
    answers = {}
    expect(await engine.hooks.onWillPublish({ client, packet })).toEqual({ kind: 'continue' })
  })

  it('canRead: nobody is asked, as by EMQX', async () => {
    const before = provider.requests('OnClientAuthorize').length
    expect(await engine.hooks.canRead({ client, packet })).toEqual({ kind: 'continue' })
    expect(provider.requests('OnClientAuthorize')).toHaveLength(before)
  })

  it('onSubscribe: of 200 filters all are asked about at once, of a shared one about what it shares', async () => {
    let underWay = 0
    let most = 0
    slow = async () => {
      underWay += 1
      most = Math.max(most, underWay)
      await new Promise((resolve) => setTimeout(resolve, 20))
      underWay -= 1
    }
    const subscriptions = Array.from({ length: 200 }, (_, at) => ({ filter: `a/${at}`, qos: 1 as const }))
    subscriptions.push({ filter: '$share/group/b/+', qos: 1 })
    expect(await engine.hooks.onSubscribe({ client, subscriptions })).toEqual({ kind: 'continue' })
    slow = null
    expect(most).toBeGreaterThan(50)
    const asked = provider.requests('OnClientAuthorize').slice(-201)
    expect(new Set(asked.map(({ topic }) => topic))).toEqual(
      new Set(subscriptions.map(({ filter }) => filter.replace('$share/group/', ''))),
    )
  })

  it('onSubscribe: a refusal said as a status is about its filter alone', async () => {
    answers = {
      OnClientAuthorize: ({ topic }) => (topic === 'b' ? { code: 7, details: 'not you' } : { type: 'IGNORE' }),
    }
    const subscriptions = ['a', 'b', 'c'].map((filter) => ({ filter, qos: 1 as const }))
    expect(await engine.hooks.onSubscribe({ client, subscriptions })).toMatchObject({
      kind: 'replace',
      event: { subscriptions: [{ filter: 'a' }, { filter: 'c' }] },
    })
    answers = {}
  })

  it('onPublishReceived: message.publish, which may change the message or drop it', async () => {
    expect(await engine.hooks.onPublishReceived({ client, packet })).toEqual({ kind: 'continue' })
    expect(last('OnMessagePublish')).toMatchObject({
      message: {
        node,
        id: expect.stringMatching(/^[0-9a-f]{32}$/),
        qos: 1,
        from: 'c1',
        topic: 'a/b',
        payload: Buffer.from('hello'),
        headers: { username: 'ada', peerhost: '10.0.0.7', protocol: 'mqtt', allow_publish: 'true' },
      },
      meta,
    })
    answers.OnMessagePublish = ({ message }) => ({
      type: 'STOP_AND_RETURN',
      message: { ...(message as Message), topic: 'x', qos: 0, payload: Buffer.from('y') },
    })
    const verdict = await engine.hooks.onPublishReceived({ client, packet: { ...packet, retain: true } })
    expect(verdict).toMatchObject({ kind: 'replace', event: { client, packet: { topic: 'x', qos: 0, retain: true } } })
    answers.OnMessagePublish = ({ message }) => ({
      type: 'CONTINUE',
      message: { ...(message as Message), headers: { allow_publish: 'false' } },
    })
    expect(await engine.hooks.onPublishReceived({ client, packet })).toMatchObject({ kind: 'reject' })
  })

  it('onPublishDeliver: message.delivered, and the message is delivered whatever becomes of it', async () => {
    expect(await engine.hooks.onPublishDeliver({ client, packet })).toEqual({ kind: 'continue' })
    expect(last('OnMessageDelivered')).toMatchObject({ clientinfo, message: { topic: 'a/b', from: '' } })
    answers.OnMessageDelivered = () => ({ code: 13, details: 'broken' })
    expect(await engine.hooks.onPublishDeliver({ client, packet })).toEqual({ kind: 'continue' })
  })

  it('onMessageDropped: message.dropped', async () => {
    engine.hooks.onMessageDropped({ client: null, packet, reason: 'nobody' })
    expect(await provider.heard('OnMessageDropped')).toMatchObject([
      { message: { topic: 'a/b' }, reason: 'nobody', meta },
    ])
  })

  it.each(['onSessionCreated', 'onSessionResumed'] as const)('%s: the session hook of that name', async (name) => {
    engine.hooks[name]({ client })
    expect(await provider.heard(`O${name.slice(1)}`)).toMatchObject([{ clientinfo, meta }])
  })

  it('onSessionEnded: session.terminated', async () => {
    engine.hooks.onSessionEnded({ clientId: 'c1' })
    expect(await provider.heard('OnSessionTerminated')).toMatchObject([
      { clientinfo: { clientid: 'c1' }, reason: 'ended' },
    ])
  })
})

describe.each([1, 2, 3] as const)('a broker with a provider of version %i', (version) => {
  const names = HOOKS.map(({ name }) => ({
    name: version === 1 && name === 'client.authorize' ? 'client.check_acl' : name,
  }))
  const authorize = version === 1 ? 'OnClientCheckAcl' : 'OnClientAuthorize'

  it('lets it decide who connects, subscribes and publishes, and what becomes of messages', async () => {
    const provider = await startProvider(version, {
      hooks: names,
      answers: {
        OnClientAuthenticate: ({ clientinfo }) => {
          const { password } = clientinfo as { password: string }
          return { type: 'STOP_AND_RETURN', boolResult: password === 'right' }
        },
        [authorize]: ({ topic }) => ({ type: 'STOP_AND_RETURN', boolResult: topic !== 'secret' }),
        OnMessagePublish: ({ message }) => {
          const sent = message as { topic: string; payload: Buffer }
          const headers = sent.topic === 'spam' ? { allow_publish: 'false' } : {}
          const payload = Buffer.from(sent.payload.toString().toUpperCase())
          return { type: 'CONTINUE', message: { ...sent, payload, headers } }
        },
      },
    })
    const broker = await startBroker({ plugins: [{ from: provider.url, runtime: 'exhook', version }] })
    await expect(connect(broker, { clientId: 'c0', username: 'u', password: 'wrong' })).rejects.toMatchObject({
      code: 5,
    })
    const c1 = await connect(broker, { clientId: 'c1', username: 'u', password: 'right' })
    expect(await c1.subscribe({ '#': 1, secret: 1 })).toEqual([1, 128])
    await c1.publish('secret', 'hidden')
    await c1.publish('spam', 'buy')
    await c1.publish('news', 'hello')
    expect(await c1.receives(1)).toEqual(['news HELLO'])
    await c1.end()
    await provider.heard('OnClientDisconnected')
    expect(provider.requests('OnMessageDelivered')).toMatchObject([{ message: { topic: 'news' } }])
    const told = new Set(provider.calls.map(({ rpc }) => rpc))
    for (const rpc of [
      'OnClientConnect',
      'OnClientConnack',
      'OnClientConnected',
      'OnSessionCreated',
      'OnClientSubscribe',
    ]) {
      expect(told).toContain(rpc)
    }
  })
})

it('each gate and transform of mqtt@1 is asked about, or named as one that is not', () => {
  const asked = Object.keys(mqttExchanges({ authorizeDeliveries: false }))
  const questions = Object.entries(mqtt.hookpoints).filter(([, { kind }]) => kind === 'gate' || kind === 'transform')
  expect(questions.map(([name]) => name).filter((name) => !asked.includes(name))).toEqual(NOT_ASKED)
  expect(Object.keys(mqttExchanges({ authorizeDeliveries: true }))).toEqual(expect.arrayContaining([...NOT_ASKED]))
})

it('where the operator wants it, each delivery is asked about', async () => {
  const provider = await startProvider(3, {
    hooks: [{ name: 'client.authorize' }],
    answers: { OnClientAuthorize: ({ topic }) => ({ type: 'CONTINUE', boolResult: topic !== 'secret' }) },
  })
  await using engine = await createHookEngine({
    contract: mqtt,
    plugins: [{ from: provider.url, runtime: 'exhook', config: { authorizeDeliveries: true } }],
    logger: silent,
    spares: 0,
  })
  expect(await engine.hooks.canRead({ client, packet })).toEqual({ kind: 'continue' })
  expect(await engine.hooks.canRead({ client, packet: { ...packet, topic: 'secret' } })).toMatchObject({ code: 0x87 })
  expect(provider.requests('OnClientAuthorize')).toMatchObject([{ type: 'SUBSCRIBE' }, { type: 'SUBSCRIBE' }])
})

it('a broker goes on while its provider is away, by the policy', async () => {
  const hooks = [{ name: 'message.publish' }]
  const provider = await startProvider(3, { hooks })
  const broker = await startBroker({
    plugins: [{ from: provider.url, runtime: 'exhook', onFailure: 'allow' }],
  })
  const c1 = await connect(broker)
  await c1.subscribe({ '#': 0 })
  await c1.publish('a', 'before', { qos: 1 })
  provider.end()
  await until('the loss to be noticed', () => broker.lines.some(({ message }) => message.includes('is lost')))
  await c1.publish('a', 'while', { qos: 1 })
  const again = await startProvider(3, { hooks, port: provider.port })
  await until('the provider to be back', () => broker.lines.some(({ message }) => message.includes('is back')))
  await c1.publish('a', 'after', { qos: 1 })
  expect(await c1.receives(3)).toEqual(['a before', 'a while', 'a after'])
  const payloads = (of: TestProvider) =>
    of.requests('OnMessagePublish').map(({ message }) => String((message as Message).payload))
  expect(payloads(provider)).toEqual(['before'])
  expect(payloads(again).at(-1)).toBe('after')
})
