/** The provider as a broker and its operator meet it: what it asks to be called for, deadlines, bad input, endings. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { createHookEngine, type EngineOptions, type PluginOptions } from 'hookring'
import { delivery, exhook1, exhook2, exhook3, type Hookpoints } from 'hookring/contracts'
import { type ExhookProviderOptions, startExhookProvider, wantedHooks } from 'hookring/exhook'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Broker, clientInfo, connectBroker, META, message, type Wire } from '../support/exhook-broker.js'
import { fixture, refusalOf } from '../support/lab.js'
import { recordingLogger } from '../support/recording-logger.js'

type Settings = Omit<EngineOptions<Hookpoints>, 'contract' | 'plugins' | 'logger'>

const actor = (options: Partial<PluginOptions> = {}): PluginOptions => ({
  from: fixture('exhook/actor.mjs'),
  timeoutMs: 5000,
  ...options,
})
const hooking = (...hooks: string[]) => ({ hooks })

async function open(
  plugins: readonly PluginOptions[],
  options: ExhookProviderOptions = {},
  settings: Settings & { contract?: typeof exhook3 } = {},
) {
  const logger = recordingLogger()
  const engine = await createHookEngine({ spares: 0, contract: exhook3, ...settings, plugins, logger })
  onTestFinished(() => engine.close())
  const provider = await startExhookProvider(engine, { address: '127.0.0.1:0', logger, ...options })
  onTestFinished(() => provider.close())
  const connect = (version: number, channel: Record<string, number> = {}): Broker => {
    const broker = connectBroker(version, provider.address, undefined, channel)
    onTestFinished(() => broker.close())
    return broker
  }
  const broker = connect(3)
  const loads = async (version = 3): Promise<Record<string, string[]>> => {
    const { hooks = [] } = (await connect(version).call('OnProviderLoaded', {})) as {
      hooks?: { name: string; topics?: string[] }[]
    }
    return Object.fromEntries(hooks.map(({ name, topics = [] }) => [name, topics]))
  }
  const authenticate = (password: string, callOptions: { deadlineMs?: number } = {}, result = false) =>
    broker.call('OnClientAuthenticate', { clientinfo: clientInfo(3, { password }), result }, callOptions)
  const publish = (act: string, changes: Wire = {}, callOptions: { deadlineMs?: number } = {}) =>
    broker.call('OnMessagePublish', { message: message({ headers: { act }, ...changes }) }, callOptions)
  return { logger, engine, provider, broker, connect, loads, authenticate, publish }
}

const NO = { type: 'STOP_AND_RETURN', bool_result: false }

describe('the hooks that are asked for', () => {
  test('are those that plugins subscribe to, under the names of the version', async () => {
    const hooks = hooking('onClientAuthorize', 'onSessionTakenover', 'onProviderLoaded')
    const { loads } = await open([
      actor({ config: hooks }),
      actor({ name: 'other', config: hooking('onClientConnect') }),
    ])
    expect(await loads(3)).toEqual({ 'client.connect': [], 'client.authorize': [], 'session.takenover': [] })
    expect(await loads(2)).toEqual({ 'client.connect': [], 'client.authorize': [], 'session.takenover': [] })
    expect(await loads(1)).toEqual({ 'client.connect': [], 'client.check_acl': [], 'session.takeovered': [] })
  })

  test('are none without plugins, and change with them', async () => {
    const { engine, loads } = await open([])
    expect(await loads()).toEqual({})
    await engine.add(actor({ config: hooking('onMessageAcked'), mode: 'shadow' }))
    expect(await loads()).toEqual({ 'message.acked': [] })
    await engine.remove('actor')
    expect(await loads()).toEqual({})
  })

  const published = (name: string, match?: PluginOptions['match']) =>
    actor({ name, config: hooking('onMessagePublish'), ...(match === undefined ? {} : { match }) })

  test('carry the topic filters of the plugins, and none where one plugin has none', async () => {
    const up = published('up', { 'message.topic': { mqtt: ['up/#', 'cmd/+'] } })
    const exact = published('exact', { 'message.topic': 'status' })
    const some = published('some', { 'message.topic': ['status', 'alarm'] })
    const { engine, loads } = await open([up, exact, some])
    expect(await loads()).toEqual({ 'message.publish': ['up/#', 'cmd/+', 'status', 'alarm'] })
    await engine.add(published('other', { 'message.topic': { prefix: 'up/' } }))
    expect(await loads()).toEqual({ 'message.publish': [] })
    await engine.reload('other', { match: (event: unknown) => event !== null })
    expect(await loads()).toEqual({ 'message.publish': [] })
  })

  test('carry the topics of the operator where there are some, for hooks about messages alone', async () => {
    const plugin = actor({ config: hooking('onMessagePublish', 'onMessageAcked', 'onClientConnect') })
    const { engine, loads } = await open([plugin], { topics: { 'message.publish': ['up/#'] } })
    expect(await loads()).toEqual({ 'client.connect': [], 'message.publish': ['up/#'], 'message.acked': [] })
    expect(wantedHooks(engine, 1, ['a', 'b/+'])).toEqual([
      { name: 'client.connect', topics: [] },
      { name: 'message.publish', topics: ['a', 'b/+'] },
      { name: 'message.acked', topics: ['a', 'b/+'] },
    ])
  })

  test('do not keep messages from being matched again', async () => {
    const { publish } = await open([published('up', { 'message.topic': { mqtt: 'up/#' } })])
    expect(await publish('no thanks', { topic: 'down/1' })).toEqual({ type: 'IGNORE' })
    expect(await publish('no thanks', { topic: 'up/1' })).toMatchObject({ type: 'STOP_AND_RETURN' })
  })
})

describe('a contract of an older version', () => {
  test('exhook@1 serves brokers of all versions', async () => {
    const logger = recordingLogger()
    const plugin = { from: fixture('exhook/actor1.mjs'), timeoutMs: 5000 }
    const engine = await createHookEngine({ contract: exhook1, plugins: [plugin], spares: 0, logger })
    onTestFinished(() => engine.close())
    const provider = await startExhookProvider(engine, { address: '127.0.0.1:0', logger })
    onTestFinished(() => provider.close())
    for (const version of [1, 2, 3]) {
      const broker = connectBroker(version, provider.address)
      onTestFinished(() => broker.close())
      const clientinfo = clientInfo(version, { password: 'yes!' })
      const rpc = version === 1 ? 'OnClientCheckAcl' : 'OnClientAuthorize'
      expect(await broker.call(rpc, { clientinfo, topic: 't' })).toMatchObject({ type: 'STOP_AND_RETURN' })
      const uptime = version === 1 ? '2 days' : '172800'
      await broker.call('OnProviderLoaded', { broker: { uptime }, meta: META })
      await engine.flush()
      await expect
        .poll(() => logger.lines.filter((line) => line.message === 'onProviderLoaded').at(-1)?.fields.event)
        .toMatchObject({ broker: { uptime } })
    }
  })

  test('exhook@2 serves brokers of all versions, whether they say qos or subopts', async () => {
    const logger = recordingLogger()
    const plugin = { from: fixture('exhook/actor2.mjs'), timeoutMs: 5000 }
    const engine = await createHookEngine({ contract: exhook2, plugins: [plugin], spares: 0, logger })
    onTestFinished(() => engine.close())
    const provider = await startExhookProvider(engine, { address: '127.0.0.1:0', logger })
    onTestFinished(() => provider.close())
    const options = { qos: 2, share: '', rh: 1, rap: 0, nl: 0 }
    const filters = [
      [1, { name: 'a', qos: 1 }, { name: 'a', qos: 1, subopts: { qos: 1, share: '', rh: 0, rap: 0, nl: 0 } }],
      [2, { name: 'a', subopts: options }, { name: 'a', qos: 2, subopts: options }],
      [3, { name: 'a', subopts: { qos: 2, rh: 1 } }, { name: 'a', qos: 2, subopts: options }],
    ] as const
    for (const [version, sent, seen] of filters) {
      const broker = connectBroker(version, provider.address)
      onTestFinished(() => broker.close())
      await broker.call('OnClientSubscribe', { clientinfo: clientInfo(version), topic_filters: [sent] })
      await engine.flush()
      await expect
        .poll(() => logger.lines.filter((line) => line.message === 'onClientSubscribe').at(-1)?.fields.event)
        .toMatchObject({ topicFilters: [seen] })
    }
  })

  test('another contract is refused', async () => {
    const engine = await createHookEngine({ contract: delivery, spares: 0 })
    onTestFinished(() => engine.close())
    expect(await refusalOf(startExhookProvider(engine, { address: '127.0.0.1:0' }))).toMatchObject({
      code: 'OPTIONS_INVALID',
      message: 'engine: must be one of exhook@1, @2 or @3, got an engine of delivery@1',
    })
  })
})

describe('a plugin that gives no verdict', () => {
  test.each([
    ['deny', NO],
    ['allow', { type: 'IGNORE' }],
  ] as const)('in its own time: its policy %s is the answer', async (onFailure, answer) => {
    const { authenticate } = await open([actor({ timeoutMs: 30, onFailure })], {}, { quarantine: false })
    expect(await authenticate('pends')).toMatchObject(answer)
    expect(await authenticate('throws oh')).toMatchObject(answer)
  })

  test('is past its deadline before the broker is, by the deadline of the call', async () => {
    const { authenticate, publish } = await open([actor({ timeoutMs: 60_000 })], {}, { quarantine: false })
    const within = { deadlineMs: 1500 }
    const [client, sent] = await Promise.all([authenticate('pends', within), publish('pends', {}, within)])
    expect(client).toMatchObject(NO)
    expect(sent).toMatchObject({
      ...{ type: 'STOP_AND_RETURN', message: { headers: { act: 'pends', allow_publish: 'false' } } },
    })
  })

  test('is past its deadline before the broker is, by the request timeout that the operator told', async () => {
    const { authenticate } = await open(
      [actor({ timeoutMs: 60_000 })],
      { requestTimeoutMs: 250 },
      { quarantine: false },
    )
    expect(await authenticate('pends')).toMatchObject(NO)
  })

  test('is told when the broker gives up, and nobody else is kept waiting', async () => {
    const { broker, authenticate } = await open([actor({ timeoutMs: 60_000 })], {}, { quarantine: false })
    const { call, answer } = broker.begin('OnClientAuthenticate', { clientinfo: clientInfo(3, { password: 'pends' }) })
    const refused = refusalOf(answer)
    call.cancel()
    expect(await refused).toMatchObject({ code: status.CANCELLED })
    expect(await authenticate('yes')).toMatchObject({ type: 'CONTINUE' })
  })

  test('and an invalid message: its policy is the answer', async () => {
    const { publish } = await open([actor({ onFailure: 'allow' })], {}, { quarantine: false })
    expect(await publish('qos 3')).toEqual({ type: 'IGNORE' })
    expect(await publish('qos 2')).toMatchObject({ type: 'CONTINUE', message: { qos: 2 } })
  })
})

describe('brokers of version 1 that number the types of answers otherwise', () => {
  const load = (broker: Broker, version: string, meta?: Wire) =>
    broker.call('OnProviderLoaded', { broker: { version, sysdescr: '', uptime: '1', datetime: '' }, meta })
  const ask = (broker: Broker, password: string, meta?: Wire) =>
    broker.call('OnClientAuthenticate', { clientinfo: clientInfo(1, { password }), result: true, meta })

  test.each([
    ['4.3.0', true],
    ['4.3.2', true],
    ['4.3.2-rc.1', true],
    ['v4.3.1', true],
    ['4.3.3', false],
    ['4.3.10', false],
    ['4.3.20', false],
    ['4.4.0', false],
  ])('%s: %s', async (version, isSwapped) => {
    const { connect } = await open([actor()])
    const [loading, asking] = [connect(1), connect(1)]
    await load(loading, version)
    const [ignore, go] = isSwapped ? ['CONTINUE', 'IGNORE'] : ['IGNORE', 'CONTINUE']
    expect(await ask(asking, '')).toEqual({ type: ignore })
    expect(await ask(asking, 'yes')).toEqual({ type: go, bool_result: true })
    expect(await ask(asking, 'no')).toEqual(NO)
    expect(await asking.call('OnMessagePublish', { message: message() })).toEqual({ type: ignore })
  })

  test('are told apart by what a request says of its broker, where it says it', async () => {
    const { connect } = await open([actor()])
    const broker = connect(1)
    await load(broker, '4.3.0')
    expect(await ask(broker, '', { ...META, version: '4.4.1' })).toEqual({ type: 'IGNORE' })
    expect(await ask(broker, '', META)).toEqual({ type: 'IGNORE' })
    expect(await ask(broker, '')).toEqual({ type: 'CONTINUE' })
    await load(broker, '4.3.5')
    expect(await ask(broker, '')).toEqual({ type: 'IGNORE' })
  })

  test('and later versions of the protocol are not among them', async () => {
    const { connect } = await open([actor()])
    const broker = connect(2)
    await load(broker, '4.3.0')
    const answer = await broker.call('OnClientAuthenticate', { clientinfo: clientInfo(2), result: true })
    expect(answer).toEqual({ type: 'IGNORE' })
  })

  test('a request that gRPC refuses is answered in their numbers too', async () => {
    const { connect } = await open([actor({ onFailure: 'allow' })], { maxRequestBytes: 2_000 })
    const broker = connect(1)
    await load(broker, '4.3.0')
    expect(await ask(broker, 'x'.repeat(3_000))).toEqual({ type: 'CONTINUE' })
  })
})

describe('several plugins', () => {
  test('answer as one: each sees what the one before it said, until one has the last word', async () => {
    const { authenticate, publish } = await open([actor({ name: 'a' }), actor({ name: 'b' })])
    expect(await authenticate('a:yes & b:says')).toMatchObject({ type: 'CONTINUE', bool_result: true })
    expect(await authenticate('a:yes & b:never')).toMatchObject({ type: 'CONTINUE', bool_result: false })
    expect(await authenticate('a:yes! & b:no')).toMatchObject({ type: 'STOP_AND_RETURN', bool_result: true })
    expect(await publish('a:topic x & b:payload y')).toMatchObject({
      ...{ type: 'CONTINUE', message: { topic: 'x', payload: Buffer.from('y') } },
    })
    expect(await publish('a:header allow_publish=false! & b:topic x')).toMatchObject({
      ...{ type: 'STOP_AND_RETURN', message: { topic: 'up/1', headers: { allow_publish: 'false' } } },
    })
  })
})

test('what a broker says in order is told in order', async () => {
  const { broker, engine, logger } = await open([actor()])
  const ids = Array.from({ length: 50 }, (_, index) => String(index))
  const about = (id: string) => ({ clientinfo: clientInfo(3), message: message({ id }) })
  await Promise.all(ids.map((id) => broker.call('OnMessageDelivered', about(id))))
  await engine.flush()
  const told = () =>
    logger.lines.flatMap(({ message: text, fields }) =>
      text === 'onMessageDelivered' ? [(fields.event as { message: { id: string } }).message.id] : [],
    )
  await expect.poll(() => told().length).toBe(ids.length)
  expect(told()).toEqual(ids)
})

test('who loads and unloads the provider, and why a plugin refuses, is logged', async () => {
  const { broker, authenticate, logger } = await open([actor({ config: hooking('onClientAuthenticate') })])
  await broker.call('OnProviderLoaded', {})
  await authenticate('no such client')
  await broker.call('OnProviderUnloaded', {})
  expect(logger.lines.map(({ level, message: text, fields }) => [level, text, fields])).toEqual([
    [
      'info',
      'a broker loads the ExHook provider',
      { version: 3, peer: expect.any(String), hooks: ['client.authenticate'] },
    ],
    ['debug', 'refused: such client', { version: 3, rpc: 'OnClientAuthenticate', plugin: 'actor', failure: undefined }],
    ['info', 'a broker unloads the ExHook provider', { version: 3, peer: expect.any(String) }],
  ])
})

/** What a broker drops. */
const dropped = (message: Wire = {}) => ({
  type: 'STOP_AND_RETURN',
  message: { ...message, headers: expect.objectContaining({ allow_publish: 'false' }) },
})
const POLICIES = [
  ['deny', { client: NO, sent: dropped() }],
  ['allow', { client: { type: 'IGNORE' }, sent: { type: 'IGNORE' } }],
] as const

describe.each(POLICIES)(
  'what nobody can be asked about is answered by the policy %s: ',
  (onFailure, { client, sent }) => {
    const RPCS = ['OnClientAuthenticate', 'OnClientAuthorize', 'OnMessagePublish']

    test('a question that is about nobody', async () => {
      const { broker, provider, logger } = await open([actor({ onFailure })])
      for (const rpc of RPCS) {
        expect(await broker.call(rpc, {})).toMatchObject(rpc === 'OnMessagePublish' ? sent : client)
      }
      expect(provider.counts.map(({ rpc, calls, failed, undecided }) => [rpc, calls, failed, undecided])).toEqual(
        RPCS.map((rpc) => [rpc, 1, 1, 1]),
      )
      expect(logger.lines.filter(({ level }) => level === 'error').map(({ message: text }) => text)).toEqual([
        'OnClientAuthenticate of version 3 failed: ClientAuthenticateRequest has no clientinfo',
        'OnClientAuthorize of version 3 failed: ClientAuthorizeRequest has no clientinfo',
        'OnMessagePublish of version 3 failed: MessagePublishRequest has no message',
      ])
    })

    test('a question that does not fit the contract', async () => {
      const { broker, publish } = await open([actor({ onFailure })])
      expect(await publish('', { qos: 3 })).toMatchObject(sent)
      expect(await publish('', { topic: 'a/#' })).toMatchObject(sent)
      const about = { clientinfo: clientInfo(3), type: 7, topic: 't' }
      expect(await broker.call('OnClientAuthorize', about)).toMatchObject(client)
    })

    test('an event that is too large, a request that is too large, and one that is too large when it is unpacked', async () => {
      const { publish, provider, connect } = await open(
        [actor({ onFailure })],
        { maxRequestBytes: 200_000 },
        { maxEventBytes: 100_000 },
      )
      for (const bytes of [150_000, 250_000, 20_000_000]) {
        expect(await publish('', { payload: Buffer.alloc(bytes) })).toMatchObject(sent)
      }
      const packing = connect(3, { 'grpc.default_compression_algorithm': 2 })
      const bomb = { message: message({ payload: Buffer.alloc(1_000_000) }) }
      expect(await packing.call('OnMessagePublish', bomb)).toMatchObject(sent)
      expect(provider.counts).toMatchObject([{ rpc: 'OnMessagePublish', calls: 4, failed: 4, undecided: 4 }])
      expect(await publish('payload x', { payload: Buffer.alloc(90_000) })).toMatchObject({ type: 'CONTINUE' })
    })

    test('a request that is too large about a client', async () => {
      const { authenticate } = await open([actor({ onFailure })], { maxRequestBytes: 2_000 })
      expect(await authenticate('x'.repeat(3_000))).toMatchObject(client)
    })

    test('bytes that are no message', async () => {
      const { broker, authenticate } = await open([actor({ onFailure })])
      const same = (bytes: Buffer) => bytes
      const answers = await Promise.all(
        RPCS.map(
          (rpc) =>
            new Promise((resolve) => {
              const path = `/emqx.exhook.v3.HookProvider/${rpc}`
              broker.raw.makeUnaryRequest(path, same, same, Buffer.from([0x0a, 0x7f, 1]), (error, answer) =>
                resolve(error ?? answer),
              )
            }),
        ),
      )
      for (const answer of answers) expect(Buffer.isBuffer(answer)).toBe(true)
      const isDenied = onFailure === 'deny'
      // STOP_AND_RETURN is 2, IGNORE is 1.
      expect(answers.map((answer) => (answer as Buffer)[1])).toEqual(RPCS.map(() => (isDenied ? 2 : 1)))
      expect((answers[2] as Buffer).includes('allow_publish')).toBe(isDenied)
      expect(await authenticate('yes')).toMatchObject({ type: 'CONTINUE' })
    })

    test('a closed engine', async () => {
      const { engine, authenticate, publish } = await open([actor({ onFailure })])
      await engine.close()
      expect(await authenticate('yes')).toMatchObject(client)
      expect(await publish('')).toMatchObject(sent)
    })

    test('a replacement for a topic that no message can have', async () => {
      const { publish } = await open([actor({ onFailure })], {}, { quarantine: false })
      for (const topic of ['a/#', 'a/+/b', '']) expect(await publish(`topic ${topic}`)).toMatchObject(sent)
    })
  },
)

describe('bad input', () => {
  test('where no plugin has the hook, nobody has a say in what cannot be asked', async () => {
    const { publish } = await open([actor({ config: hooking('onClientAuthenticate') })], {}, { maxEventBytes: 100_000 })
    expect(await publish('', { payload: Buffer.alloc(150_000) })).toEqual({ type: 'IGNORE' })
  })

  test('one plugin that denies is enough, and one that only watches has no say', async () => {
    const lenient = actor({ name: 'lenient', onFailure: 'allow' })
    const strict = actor({ name: 'strict', onFailure: { invalid: 'deny', timeout: 'allow' } })
    const large = { payload: Buffer.alloc(150_000) }
    const both = await open([lenient, strict], {}, { maxEventBytes: 100_000 })
    expect(await both.publish('', large)).toMatchObject(dropped())
    const watched = await open([lenient, { ...strict, mode: 'shadow' }], {}, { maxEventBytes: 100_000 })
    expect(await watched.publish('', large)).toEqual({ type: 'IGNORE' })
  })

  test('a policy that raises one kind of failure is that kind’s: it does not become the policy of errors', async () => {
    const onFailure = { timeout: 'raise', error: 'allow' } as const
    const { publish, authenticate } = await open([actor({ timeoutMs: 30, onFailure })], {}, { quarantine: false })
    expect(await publish('pends')).toMatchObject(dropped())
    expect(await authenticate('pends')).toMatchObject(NO)
    expect(await publish('throws')).toEqual({ type: 'IGNORE' })
  })

  test('a message that one plugin makes too large for the next one is answered by the policy', async () => {
    const payload = 'x'.repeat(4_000)
    const first = actor({ name: 'a', bulkhead: 'a', onFailure: 'deny' })
    const both = await open([first, actor({ name: 'b' })], {}, { maxEventBytes: 8_000, quarantine: false })
    expect(await both.publish(`a:payload ${payload}`)).toMatchObject(dropped())
    expect(both.provider.counts.map(({ undecided }) => undecided)).toEqual([1])
    const lenient = { ...first, onFailure: 'allow' } as const
    const allowed = await open([lenient, actor({ name: 'b' })], {}, { maxEventBytes: 8_000, quarantine: false })
    expect(await allowed.publish(`a:payload ${payload}`)).toEqual({ type: 'IGNORE' })
  })

  test('what is told and is about nobody, or too large, is acknowledged and counted', async () => {
    const { broker, provider, logger } = await open([actor()], { maxRequestBytes: 100_000 })
    expect(await broker.call('OnClientConnect', {})).toEqual({})
    const large = { clientinfo: clientInfo(3), message: message({ payload: Buffer.alloc(150_000) }) }
    expect(await broker.call('OnMessageAcked', large)).toEqual({})
    expect(provider.counts).toMatchObject([
      { rpc: 'OnClientConnect', calls: 1, failed: 1, undecided: 0 },
      { rpc: 'OnMessageAcked', calls: 1, failed: 1, undecided: 0 },
    ])
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(2)
  })

  test('an observation that does not fit is acknowledged, and an error of the engine', async () => {
    const { broker, engine } = await open([actor()])
    const heard = once(engine as never, 'error')
    const acked = broker.call('OnMessageAcked', { clientinfo: clientInfo(3), message: message({ qos: 9 }) })
    expect(await acked).toEqual({})
    expect(await heard).toMatchObject([{ code: 'EVENT_INVALID' }])
  })

  test('names that JavaScript takes are headers like any other', async () => {
    const { publish } = await open([actor()])
    const headers = { act: 'topic x', constructor: 'a', toString: 'b', hasOwnProperty: 'c' }
    expect(await publish('', { headers })).toMatchObject({ message: { topic: 'x', headers } })
  })

  test('a version that is not served is not there', async () => {
    const { connect, broker } = await open([], { versions: [3] })
    expect(await refusalOf(connect(1).call('OnProviderLoaded', {}))).toMatchObject({ code: status.UNIMPLEMENTED })
    expect(await broker.call('OnProviderLoaded', {})).toEqual({})
  })
})

describe('its life', () => {
  test.each([
    [{ address: 'nowhere' }, 'options.address'],
    [{ address: '127.0.0.1:70000' }, 'options.address'],
    [{ versions: [] }, 'options.versions'],
    [{ versions: [4] }, 'options.versions'],
    [{ topics: ['a/#/b'] }, 'topics'],
    [{ topics: { 'client.connect': ['a'] } }, 'topics.client.connect'],
    [{ topics: 'up/#' }, 'topics'],
    [{ requestTimeoutMs: 0 }, 'options.requestTimeoutMs'],
    [{ maxRequestBytes: 1 }, 'options.maxRequestBytes'],
    [{ tls: { cert: 'a.pem', key: 'b.pem' } }, 'options.tls.cert'],
    [{ tls: {} }, 'options.tls.cert'],
    [{ port: 9000 }, 'options.port'],
  ])('%j is refused by name', async (options, path) => {
    const engine = { contract: exhook3, hooks: {}, plugins: [] } as never
    const refusal = await refusalOf(startExhookProvider(engine, options as never))
    expect(refusal).toMatchObject({ code: 'OPTIONS_INVALID' })
    expect(refusal.message.startsWith(`${path}: `), refusal.message).toBe(true)
  })

  test('an address that is taken is LISTEN_FAILED', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    onTestFinished(() => void taken.close())
    const { port } = taken.address() as { port: number }
    const engine = { contract: exhook3, hooks: {}, plugins: [] } as never
    expect(await refusalOf(startExhookProvider(engine, { address: `127.0.0.1:${port}` }))).toMatchObject({
      code: 'LISTEN_FAILED',
      message: expect.stringContaining(`cannot listen at 127.0.0.1:${port}`),
    })
  })

  test('close waits for calls under way, takes no more, and leaves the engine be', async () => {
    const { engine, provider, broker, authenticate } = await open(
      [actor({ timeoutMs: 300 })],
      {},
      { quarantine: false },
    )
    const pending = authenticate('pends')
    await expect.poll(() => provider.counts.length).toBe(1)
    const closed = provider.close()
    expect(provider.close()).toBe(closed)
    expect(await pending).toMatchObject(NO)
    await closed
    expect(
      await refusalOf(broker.call('OnClientConnected', { clientinfo: clientInfo(3) }, { deadlineMs: 2000 })),
    ).toMatchObject({
      code: expect.any(Number),
    })
    expect(engine.plugins).toHaveLength(1)
  })

  test('it listens at a unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hookring-exhook-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const address = `unix:${join(folder, 'hooks.sock')}`
    const { provider, authenticate, logger } = await open([actor()], { address })
    expect(provider.address).toBe(address)
    expect(await authenticate('yes')).toMatchObject({ type: 'CONTINUE' })
    expect(logger.lines.filter(({ level }) => level === 'warn')).toEqual([])
  })

  test('a listener without TLS that others can reach is warned of', async () => {
    const { logger } = await open([], { address: '0.0.0.0:0' })
    expect(logger.lines.filter(({ level }) => level === 'warn').map(({ message: text }) => text)).toEqual([
      expect.stringMatching(/^the ExHook provider listens at 0\.0\.0\.0:\d+ without TLS/),
    ])
  })
})
